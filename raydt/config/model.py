"""Model shapes, the named sizes, and their parameters and FLOPs in closed form."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

VOCABULARY = 256  # one token is one byte
RELATIVE_BUCKETS = 32  # of relative positions, in family paper

Family = Literal["default", "paper", "hub"]


class HubModel(BaseModel):
    """The parts of a model of family `hub` that `transformers` needs to build it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str = Field(description="the fields of its config.json that decide what is computed")
    byte_ids: tuple[int, ...] = Field(
        min_length=VOCABULARY, max_length=VOCABULARY, description="the id of each byte"
    )
    num_parameters: int = Field(
        gt=0, description="parameters in its files: tied weights count once"
    )

    @property
    def fields(self) -> dict[str, Any]:
        """The parsed config."""
        fields: dict[str, Any] = json.loads(self.config)
        return fields


class ModelConfig(BaseModel):
    """The shape of a byte-level decoder. Tests compare its parameters and FLOPs with torch's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(gt=0, description="width of the residual stream")
    num_layers: int = Field(gt=0, description="blocks of attention and feed-forward")
    num_heads: int = Field(gt=0, description="attention heads, each of width / num_heads")
    hidden: int = Field(gt=0, description="width of the feed-forward layer")
    window_bytes: int = Field(gt=1, description="bytes of context")
    conv_bytes: int = Field(
        4, ge=1, description="kernel size of the causal convolution; 1: no convolution"
    )
    family: Family = Field(
        "default",
        description="architecture: raydt's own (default), the published one (paper), or that of a "
        "model of the Hub (hub)",
    )
    mask_documents: bool = Field(
        False, description="attention does not cross document separators (byte 0)"
    )
    hub: HubModel | None = Field(None, description="everything else about a model of family hub")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelConfig:
        if self.family == "default" and self.width % (2 * self.num_heads):
            raise ValueError(
                f"expected width to be a multiple of 2 x num_heads (rotary embeddings rotate "
                f"pairs), got {self.width} and {self.num_heads}"
            )
        if self.family != "hub" and self.width % self.num_heads:
            raise ValueError(
                f"expected width to be a multiple of num_heads, got {self.width} and "
                f"{self.num_heads}"
            )
        return self

    @model_validator(mode="after")
    def _the_paper_has_no_convolution(self) -> ModelConfig:
        if self.family == "paper" and self.conv_bytes != 1:
            raise ValueError(
                f"expected conv_bytes = 1 in family paper, which has no convolution, got "
                f"{self.conv_bytes}"
            )
        return self

    @model_validator(mode="after")
    def _only_family_hub_has_hub(self) -> ModelConfig:
        if (self.family == "hub") != (self.hub is not None):
            raise ValueError(f"expected hub in family hub only, got family {self.family}")
        return self

    @property
    def num_matrix_parameters(self) -> int:
        """Parameters that take part in a matrix product once per byte: all but norms, mixing
        weights and the input embedding.

        The output embedding counts, tied or not. In family `hub`, norms, biases and position
        embeddings count too; they are few.
        """
        if self.hub is not None:
            tied = self.hub.fields.get("tie_word_embeddings", True)
            embedding = 0 if tied else self.hub.fields["vocab_size"] * self.width
            return self.hub.num_parameters - embedding
        attention = 4 * self.width * self.width
        # The gate of family paper is a third matrix.
        feed_forward = (3 if self.family == "paper" else 2) * self.width * self.hidden
        return self.num_layers * (attention + feed_forward) + self.width * VOCABULARY

    @property
    def num_parameters(self) -> int:
        """All parameters. Of raydt's own families, only `paper` ties its embeddings."""
        if self.hub is not None:
            return self.hub.num_parameters
        norms = (2 * self.num_layers + 1) * self.width
        if self.family == "paper":
            return self.num_matrix_parameters + norms + RELATIVE_BUCKETS * self.num_heads
        convolutions = self.num_layers * (self.conv_bytes - 1) * self.width
        return self.num_matrix_parameters + VOCABULARY * self.width + norms + convolutions

    @property
    def forward_flops_per_byte(self) -> int:
        """A multiply-add counts as two; attention spans the whole window, as torch counts it."""
        attention = 4 * self.num_layers * self.width * self.window_bytes
        return 2 * self.num_matrix_parameters + attention

    @property
    def training_flops_per_byte(self) -> int:
        """Forward and backward pass: three times the forward pass."""
        return 3 * self.forward_flops_per_byte


def _own(width: int, num_layers: int, num_heads: int, hidden: int, window: int) -> ModelConfig:
    return ModelConfig(
        width=width,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden=hidden,
        window_bytes=window,
    )


def _paper(width: int, num_layers: int, num_heads: int, hidden: int, window: int) -> ModelConfig:
    own = _own(width, num_layers, num_heads, hidden, window).model_dump()
    return ModelConfig(**own | {"family": "paper", "conv_bytes": 1})


# The comments give parameters; docs/model.md has FLOPs as well.
MODELS = {
    "nano": _own(64, 1, 1, 192, 128),  # 0.07 M, the demo's
    "micro": _own(128, 3, 2, 512, 256),  # 0.66 M
    "mini": _own(256, 6, 4, 1024, 512),  # 4.9 M
    "small": _own(640, 10, 10, 2560, 1024),  # 49 M
    "medium": _own(1024, 16, 16, 4096, 1024),  # 0.20 B
    "large": _own(1536, 24, 24, 6144, 1024),  # 0.68 B
    "xl": _own(2048, 32, 32, 8192, 1024),  # 1.6 B
    "paper-nano": _paper(64, 1, 1, 128, 128),  # 0.06 M, for tests
    "paper-micro": _paper(128, 3, 2, 384, 256),  # 0.67 M
    "paper-mini": _paper(256, 6, 4, 704, 512),  # 4.9 M
    "paper-small": _paper(640, 10, 10, 2560, 1024),  # 66 M, the published model
    "paper-medium": _paper(1024, 12, 16, 4096, 1024),  # 0.20 B
    "paper-large": _paper(1536, 18, 24, 6144, 1024),  # 0.68 B
    "paper-xl": _paper(2048, 24, 32, 8192, 1024),  # 1.6 B
}
