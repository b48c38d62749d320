"""`transformers`' Llama of a given shape, trained by the plain loop of its documentation."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.peers.nano_gpt import Shape


class Llama(nn.Module):
    """Gated feed-forward of 2/3 of the hidden width: three matrices with the parameters of two."""

    def __init__(self, shape: Shape) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        super().__init__()
        self.model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=shape.vocabulary,
                hidden_size=shape.width,
                intermediate_size=round(shape.hidden * 2 / 3 / 8) * 8,
                num_hidden_layers=shape.num_layers,
                num_attention_heads=shape.num_heads,
                max_position_embeddings=shape.window_bytes,
                attn_implementation="sdpa",
                tie_word_embeddings=False,
                use_cache=False,
            )
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.model(input_ids=x, shift_labels=y, labels=y).loss
