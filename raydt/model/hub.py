"""Models in Hugging Face format, built by `transformers`, as decoders of bytes.

Shape suffixes: B batch, T bytes of a window, V vocabulary, I ids of the model.

A byte is mapped to its id in the model, and the softmax is over these 256 ids only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from raydt.config.model import ModelConfig
from raydt.errors import RunError
from raydt.model.alphabet import Alphabet
from raydt.model.decoder import Decoder


class HubDecoder(Decoder):
    """A causal language model of `transformers`, with the ids of the bytes."""

    id_V: Tensor

    def __init__(self, config: ModelConfig, model: nn.Module | None = None) -> None:
        """`model` has the config's shape and weights; without it, the initialisation is random.

        `RunError` if this version of `transformers` has no causal model of the config's type.
        """
        super().__init__(config)
        assert config.hub is not None
        self.model = _new_model(config.hub.fields) if model is None else model
        self.register_buffer("id_V", torch.tensor(config.hub.byte_ids), persistent=False)
        self.blocks = nn.ModuleList()  # not alike, so not compiled: see `compile_blocks`
        own = {name for name, _ in self.named_parameters()}
        by_parameter = {id(parameter): name for name, parameter in self.named_parameters()}
        every = self.named_parameters(remove_duplicate=False)
        # Tied weights have two names, and are written once.
        self._tied = {name: by_parameter[id(p)] for name, p in every if name not in own}

    def logits(self, x_BT: Tensor) -> Tensor:
        logits_BTI: Tensor = self.model(input_ids=self.id_V[x_BT], use_cache=False).logits
        return logits_BTI.index_select(2, self.id_V)

    def byte_rows(self) -> list[Tensor]:
        return []  # rows belong to ids, not bytes; `restrict` raises

    def matrices(self) -> list[Tensor]:
        tables = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)}
        output = self.model.get_output_embeddings()  # type: ignore[operator]
        if isinstance(output, nn.Module):
            tables |= {id(parameter) for parameter in output.parameters()}
        return [p for p in self.model.parameters() if p.ndim == 2 and id(p) not in tables]

    def restrict(self, alphabet: Alphabet) -> None:
        if alphabet.escape is not None:
            raise RunError(
                "a model in Hugging Face format: expected a softmax over all bytes (unseen_bytes = "
                "train), got an escape for unseen ones"
            )

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The weights, tied ones once."""
        every: dict[str, Any] = super().state_dict(*args, **kwargs)
        return {name: tensor for name, tensor in every.items() if name not in self._tied}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        tied = {name: state_dict[owner] for name, owner in self._tied.items()}
        return super().load_state_dict({**state_dict, **tied}, strict, assign)


def _new_model(fields: Mapping[str, Any]) -> nn.Module:
    try:
        config = AutoConfig.for_model(**fields)
        model: nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        found = str(error).partition("\n")[0]
        raise RunError(
            f"a model of type {fields.get('model_type')}: expected a causal language model of this "
            f"version of transformers, got {found:.300}"
        ) from None
    return model
