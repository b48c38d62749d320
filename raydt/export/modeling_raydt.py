"""raydt's byte-level decoders for `transformers`, in one file: both families, with a KV cache.

`raydt export` puts this file beside the weights, where `trust_remote_code=True` loads it. It needs
torch and transformers but not raydt. One token is one byte; byte 0 precedes the first byte of a
document and follows its last.

Shape suffixes: B batch, T new bytes, P bytes in the cache, J = P + T, D width, H heads, K width of
a head, F half of it, V the 256 bytes, S the bytes in the softmax, N bytes of a text.

A byte attends to a window of `max_position_embeddings` bytes. A longer input is computed in one
pass in which each byte attends to that many bytes before it (and, through the layers below,
indirectly to a few bytes further back); `byte_losses` computes each window separately, as in
training and evaluation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

VOCABULARY = 256
SEPARATOR = 0
# Family `paper`: T5's distance buckets; the last starts at 128 bytes.
_BUCKETS, _FAR_BYTES, _NORM_EPSILON = 32, 128, 1e-6
# transformers has renamed this argument.
_CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"


class RaydtConfig(PretrainedConfig):
    """The config of a model. With `seen_bytes` and `escape` the softmax is over these bytes, and
    all others together have the probability `escape`; None: the softmax is over all bytes."""

    model_type = "raydt"

    def __init__(
        self,
        family: str = "default",
        hidden_size: int = 64,
        num_hidden_layers: int = 1,
        num_attention_heads: int = 1,
        intermediate_size: int = 192,
        max_position_embeddings: int = 128,
        conv_bytes: int = 4,
        mask_documents: bool = False,
        seen_bytes: list[int] | None = None,
        escape: float | None = None,
        **others: Any,
    ) -> None:
        self.family = family
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.conv_bytes = conv_bytes
        self.mask_documents = mask_documents
        self.seen_bytes = seen_bytes
        self.escape = escape
        self.vocab_size = VOCABULARY
        self.use_cache = True
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            others.setdefault(name, SEPARATOR)
        others["tie_word_embeddings"] = False  # `paper` has only one table, so nothing to tie
        super().__init__(**others)


class RaydtForCausalLM(PreTrainedModel, GenerationMixin):
    """Predicts the distribution of the next byte."""

    config_class = RaydtConfig
    base_model_prefix = "raydt"
    _no_split_modules = ("Block",)
    _supports_sdpa = True

    def __init__(self, config: RaydtConfig) -> None:
        super().__init__(config)
        is_paper = config.family == "paper"
        self.embedding = nn.Embedding(VOCABULARY, config.hidden_size)
        if is_paper:
            self.position_bias = RelativePositionBias(config)
        layers = range(config.num_hidden_layers)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in layers)
        self.final_norm = _norm(config)
        if not is_paper:
            self.head = nn.Linear(config.hidden_size, VOCABULARY, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> nn.Module | None:
        return None if self.config.family == "paper" else self.head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        return_dict: bool | None = None,
        **others: Any,
    ) -> Any:
        """Logits (B, T, V), float32 in family `paper` and if the softmax is restricted.

        `attention_mask` (B, P + T) is 0 for padding, on either side.
        """
        cache = past_key_values if cache is None else cache
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and cache is None:
            cache = DynamicCache()
        P = 0 if cache is None else int(cache.get_seq_length())
        inputs = self._block_inputs(input_ids, P, attention_mask)
        x_BTD = self.embedding(input_ids)
        for block in self.blocks:
            x_BTD = block(x_BTD, inputs, cache)
        if isinstance(logits_to_keep, int) and logits_to_keep:
            x_BTD = x_BTD[:, -logits_to_keep:]
        logits_BTV = self._logits(x_BTD)
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits_BTV, labels=labels, vocab_size=VOCABULARY, **others
            )
        output = CausalLMOutputWithPast(loss=loss, logits=logits_BTV, **{_CACHE: cache})
        return output.to_tuple() if return_dict is False else output

    @torch.no_grad()
    def byte_losses(
        self, input_ids: Tensor, stride: int | None = None, rows_at_once: int = 16
    ) -> Tensor:
        """The loss in nats of each byte of a text of any length (N,), after a separator; (N,)
        float32.

        Windows overlap: each starts `stride` bytes after the one before (default: half a window),
        so every byte after the first window is predicted from at least a window minus the stride.
        raydt reports the mean as the loss of a text.
        """
        W, N = self.config.max_position_embeddings, len(input_ids)
        stride = min(stride or W // 2, W)
        text = torch.cat([input_ids.new_full((W + 1,), SEPARATOR), input_ids])
        ends = [min(W, N), *range(W + stride, N, stride), *([N] if N > W else [])]
        starts = [0, *ends[:-1]]
        losses = []
        for first in range(0, len(ends), rows_at_once):
            some = slice(first, first + rows_at_once)
            rows = torch.stack([text[end : end + W + 1] for end in ends[some]])
            logits = self(rows[:, :-1], use_cache=False).logits.float()
            loss_BT = F.cross_entropy(logits.mT, rows[:, 1:], reduction="none")
            for row, start, end in zip(loss_BT, starts[some], ends[some], strict=True):
                losses.append(row[W - (end - start) :])
        return torch.cat(losses)

    def _logits(self, x_BTD: Tensor) -> Tensor:
        seen_S = None
        if self.config.escape is not None:
            seen_S = torch.tensor(self.config.seen_bytes, device=x_BTD.device)
        n_BTD = self.final_norm(x_BTD)
        if self.config.family == "paper":
            rows = self.embedding.weight if seen_S is None else self.embedding.weight[seen_S]
            with torch.autocast(x_BTD.device.type, enabled=False):
                scaled_BTD = n_BTD.float() * self.config.hidden_size**-0.5
                logits = F.linear(scaled_BTD, rows.float())
        else:
            rows = self.head.weight if seen_S is None else self.head.weight[seen_S]
            logits = F.linear(n_BTD, rows)
        if seen_S is None:
            return logits
        # All other bytes together have the probability `escape`, shared evenly.
        escape = self.config.escape
        log_odds = math.log(escape / (1 - escape) / (VOCABULARY - len(seen_S)))
        logits = logits.float()
        unseen = logits.logsumexp(dim=-1, keepdim=True) + log_odds
        return unseen.repeat(1, 1, VOCABULARY).index_copy_(2, seen_S, logits)

    def _block_inputs(self, x_BT: Tensor, P: int, padding_BJ: Tensor | None) -> BlockInputs:
        B, T = x_BT.shape
        J, config = P + T, self.config
        device = x_BT.device
        distance_TJ = torch.arange(P, J, device=device)[:, None] - torch.arange(J, device=device)
        sees = (distance_TJ >= 0) & (distance_TJ < config.max_position_embeddings)
        is_plain = P == 0 and config.max_position_embeddings >= T and not config.mask_documents
        is_text_BJ = None
        if padding_BJ is not None and padding_BJ.ndim == 2 and not bool(padding_BJ.all()):
            is_plain = False
            is_text_BJ = padding_BJ[:, :J].bool()
            # Padding attends to itself, so that no softmax is empty.
            sees = sees & (is_text_BJ[:, None] | (distance_TJ == 0))
        bias_HTJ = None
        if config.family == "paper":
            bias_HTJ = self.position_bias(distance_TJ.clamp(min=0))
        starts_BT = x_BT == SEPARATOR if config.mask_documents else None
        cos_TF = sin_TF = None
        if config.family != "paper":
            half = config.hidden_size // config.num_attention_heads // 2
            frequency_F = 10_000.0 ** (-torch.arange(half) / half)
            angle_TF = (torch.arange(P, J)[:, None] * frequency_F).to(device)
            cos_TF, sin_TF = angle_TF.cos(), angle_TF.sin()
        sees_BTJ = sees.expand(B, T, J)
        return BlockInputs(cos_TF, sin_TF, sees_BTJ, bias_HTJ, starts_BT, is_text_BJ, is_plain)


class BlockInputs:
    """Inputs that all blocks of one forward pass share."""

    def __init__(
        self,
        cos_TF: Tensor | None,
        sin_TF: Tensor | None,
        sees_BTJ: Tensor,
        bias_HTJ: Tensor | None,
        starts_BT: Tensor | None,
        is_text_BJ: Tensor | None,
        is_plain: bool,
    ) -> None:
        self.cos_TF, self.sin_TF = cos_TF, sin_TF
        self.sees_BTJ = sees_BTJ
        self.bias_HTJ = bias_HTJ
        self.starts_BT = starts_BT  # document starts; None: documents are not masked
        self.is_text_BJ = is_text_BJ  # None: no padding
        self.is_plain = is_plain  # at most one window, from the start of a text


class Block(nn.Module):
    """Attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: RaydtConfig, layer: int) -> None:
        super().__init__()
        width, hidden = config.hidden_size, config.intermediate_size
        self.is_paper = config.family == "paper"
        self.num_heads, self.layer = config.num_attention_heads, layer
        self.attention_norm = _norm(config)
        if not self.is_paper:
            self.conv_weight = nn.Parameter(torch.zeros(config.conv_bytes - 1, width))
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = _norm(config)
        into = 2 * hidden if self.is_paper else hidden
        self.feed_forward_in = nn.Linear(width, into, bias=False)
        self.feed_forward_out = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BTD: Tensor, inputs: BlockInputs, cache: Any) -> Tensor:
        B, T, D = x_BTD.shape
        H = self.num_heads
        n_BTD = self.attention_norm(x_BTD)
        # Stored beside the values of each byte, so that cropping or reordering the cache applies to
        # these too: the inputs of the convolution, and document starts.
        kept = [] if self.is_paper else [_by_heads(n_BTD, H)]
        if inputs.starts_BT is not None:
            starts = inputs.starts_BT[:, None, :, None].expand(B, H, T, 1)
            kept.append(starts.to(n_BTD.dtype))
        past = _past_values(cache, self.layer)
        starts_BJ = inputs.starts_BT
        if past is not None and starts_BJ is not None:
            starts_BJ = torch.cat([past[:, 0, :, -1] > 0, starts_BJ], dim=1)
        document_BJ = None if starts_BJ is None else starts_BJ.cumsum(dim=1)
        if not self.is_paper:
            K = D // H
            before = None if past is None else _joined(past[..., K : 2 * K])
            n_BTD = self._convolve(n_BTD, before, document_BJ, inputs.is_text_BJ)
        qkv = self.query_key_value(n_BTD).view(B, T, 3, H, D // H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if inputs.cos_TF is not None and inputs.sin_TF is not None:
            q = _rotate(q, inputs.cos_TF, inputs.sin_TF).to(v.dtype)
            k = _rotate(k, inputs.cos_TF, inputs.sin_TF).to(v.dtype)
        if cache is not None:
            packed = torch.cat([v, *(each.to(v.dtype) for each in kept)], dim=-1)
            k, packed = cache.update(k, packed, self.layer)
            v = packed[..., : D // H]
        y_BHTK = self._attend(q, k, v, inputs, document_BJ)
        x_BTD = x_BTD + self.attention_out(y_BHTK.transpose(1, 2).reshape(B, T, D))
        hidden = self.feed_forward_in(self.feed_forward_norm(x_BTD))
        if self.is_paper:
            gate, linear = hidden.chunk(2, dim=-1)
            hidden = F.gelu(gate, approximate="tanh") * linear
        else:
            hidden = F.relu(hidden) * F.relu(hidden)
        fed_BTD: Tensor = self.feed_forward_out(hidden)
        return x_BTD + fed_BTD

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, inputs: BlockInputs, document_BJ: Tensor | None
    ) -> Tensor:
        if inputs.is_plain and not self.is_paper:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        sees = inputs.sees_BTJ
        if document_BJ is not None:
            T = q.shape[2]
            sees = sees & (document_BJ[:, -T:, None] == document_BJ[:, None, :])
        sees = sees[:, None]
        if inputs.bias_HTJ is None:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=sees)
        bias = inputs.bias_HTJ[None].masked_fill(~sees, -math.inf).to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)

    def _convolve(
        self,
        n_BTD: Tensor,
        before_BPD: Tensor | None,
        document_BJ: Tensor | None,
        is_text_BJ: Tensor | None,
    ) -> Tensor:
        """Each byte's vector plus those of the bytes before it, weighted per channel."""
        T = n_BTD.shape[1]
        n_BJD = n_BTD if before_BPD is None else torch.cat([before_BPD.to(n_BTD), n_BTD], dim=1)
        if is_text_BJ is not None:
            n_BJD = n_BJD * is_text_BJ[:, :, None]
        J, mixed = n_BJD.shape[1], n_BTD
        for distance, weight_D in enumerate(self.conv_weight[: J - 1], start=1):
            earlier = F.pad(n_BJD[:, : J - distance] * weight_D, (0, 0, distance, 0))
            if document_BJ is not None:
                there = F.pad(document_BJ[:, : J - distance], (distance, 0), value=-1)
                earlier = earlier * (there == document_BJ)[:, :, None]
            mixed = mixed + earlier[:, -T:]
        return mixed


class RelativePositionBias(nn.Module):
    """The bias on attention scores by distance, per head."""

    def __init__(self, config: RaydtConfig) -> None:
        super().__init__()
        self.table_HN = nn.Parameter(torch.zeros(config.num_attention_heads, _BUCKETS))

    def forward(self, distance_TJ: Tensor) -> Tensor:
        """(H, T, J)."""
        exact = _BUCKETS // 2
        growth = torch.log(distance_TJ.clamp(min=1) / exact + torch.finfo(torch.float32).eps)
        growth = growth / math.log(_FAR_BYTES / exact) * (_BUCKETS - exact)
        far_TJ = (exact + growth.long()).clamp(max=_BUCKETS - 1)
        return self.table_HN[:, torch.where(distance_TJ < exact, distance_TJ, far_TJ)]


def _norm(config: RaydtConfig) -> nn.Module:
    if config.family == "paper":
        return nn.RMSNorm(config.hidden_size, eps=_NORM_EPSILON)
    return nn.LayerNorm(config.hidden_size, bias=False)


def _past_values(cache: Any, layer: int) -> Tensor | None:
    """The cached values of a layer, (B, H, P, ...); None if the cache is empty."""
    if cache is None or layer >= len(cache.layers) or not cache.get_seq_length(layer):
        return None
    values: Tensor = cache.layers[layer].values
    return values


def _by_heads(x_BTD: Tensor, num_heads: int) -> Tensor:
    B, T, D = x_BTD.shape
    return x_BTD.view(B, T, num_heads, D // num_heads).transpose(1, 2)


def _joined(x_BHTK: Tensor) -> Tensor:
    return x_BHTK.transpose(1, 2).flatten(2)


def _rotate(x: Tensor, cos_TF: Tensor, sin_TF: Tensor) -> Tensor:
    """Rotary position embedding, halves paired; float32."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos_TF - b * sin_TF, b * cos_TF + a * sin_TF], dim=-1)
