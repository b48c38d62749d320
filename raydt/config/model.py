"""The shape of a model, its sizes by name, and what it costs in closed form."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

VOCABULARY = 256  # one token is one byte


class ModelConfig(BaseModel):
    """A byte-level decoder. The parameter and FLOP counts here are held against torch's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(gt=0, description="width of the residual stream")
    num_layers: int = Field(gt=0, description="blocks of attention and feed-forward")
    num_heads: int = Field(gt=0, description="attention heads, each of width / num_heads")
    hidden: int = Field(gt=0, description="width of the feed-forward layer")
    window_bytes: int = Field(gt=1, description="bytes of context")
    conv_bytes: int = Field(4, ge=1, description="reach of the causal convolution; 1 is none")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelConfig:
        if self.width % (2 * self.num_heads):
            raise ValueError(
                f"width must be a multiple of 2 x num_heads (rotary positions turn pairs); "
                f"found {self.width} and {self.num_heads}"
            )
        return self

    @property
    def num_matrix_parameters(self) -> int:
        """Parameters that are multiplied with once per byte: all but norms, mixes, embedding."""
        attention = 4 * self.width * self.width
        feed_forward = 2 * self.width * self.hidden
        return self.num_layers * (attention + feed_forward) + self.width * VOCABULARY

    @property
    def num_parameters(self) -> int:
        """All parameters; input and output embeddings are not tied."""
        per_layer = 2 * self.width + (self.conv_bytes - 1) * self.width
        return (
            self.num_matrix_parameters
            + VOCABULARY * self.width
            + self.num_layers * per_layer
            + self.width
        )

    @property
    def forward_flops_per_byte(self) -> int:
        """Multiply-adds count two; attention over the whole window, as torch counts it."""
        attention = 4 * self.num_layers * self.width * self.window_bytes
        return 2 * self.num_matrix_parameters + attention

    @property
    def training_flops_per_byte(self) -> int:
        """Forward and backward: three times the forward pass."""
        return 3 * self.forward_flops_per_byte


MODELS = {
    "nano": ModelConfig(width=64, num_layers=1, num_heads=1, hidden=192, window_bytes=128),
    "micro": ModelConfig(width=128, num_layers=3, num_heads=2, hidden=512, window_bytes=256),
    "mini": ModelConfig(width=256, num_layers=6, num_heads=4, hidden=1024, window_bytes=512),
    "small": ModelConfig(width=640, num_layers=10, num_heads=10, hidden=2560, window_bytes=1024),
}
