"""Make decoders by the family in their config."""

from __future__ import annotations

from raydt.config.model import ModelConfig
from raydt.model.decoder import Decoder
from raydt.model.default import DefaultDecoder
from raydt.model.paper import PaperDecoder

_FAMILIES: dict[str, type[Decoder]] = {"default": DefaultDecoder, "paper": PaperDecoder}


def new_decoder(config: ModelConfig) -> Decoder:
    """A decoder of the config's family, with initial weights."""
    if config.family == "hub":
        from raydt.model.hub import HubDecoder  # needs `transformers`, which is optional

        return HubDecoder(config)
    return _FAMILIES[config.family](config)
