"""Load the weights of a model in Hugging Face format with `transformers`, and check them: nothing
is missing, the model is causal, and bytes have the ids of its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from raydt.config.model import HubModel, ModelConfig
from raydt.errors import Problem
from raydt.model.hub import HubDecoder

# Maximum difference between two computations of the same, relative to the largest logit.
_ROUNDING = 1e-4
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")


def read_hub_weights(what: str, folder: Path, config: ModelConfig) -> HubDecoder | Problem:
    """The model of a folder on the CPU in float32, or its problem; `what` names it."""
    assert config.hub is not None
    with _quiet():
        try:
            settings = AutoConfig.for_model(**config.hub.fields)
            model, found = AutoModelForCausalLM.from_pretrained(
                folder, config=settings, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            kind = config.hub.fields.get("model_type")
            requirement = "a causal language model that this version of transformers loads"
            return Problem(what, requirement, f"{kind}: {error!s:.300}")
        absent = sorted([*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])])
        if absent:
            named = f"{len(absent)} missing or of another shape, such as {absent[0]}"
            return Problem(what, "all weights of the model", named)
        wrong = _other_ids(folder, config.hub)
        if wrong is not None:
            return Problem(what, "a tokenizer with exactly one token per byte", wrong)
    decoder = HubDecoder(config, model).eval()
    if _is_not_causal(decoder):
        found_kind = f"{config.hub.fields.get('model_type')}, whose logits change with later bytes"
        return Problem(what, "a causal model", found_kind)
    return decoder


def _is_not_causal(decoder: HubDecoder) -> bool:
    """Whether the logits of the first bytes depend on those after them."""
    half = min(8, decoder.config.window_bytes // 2)
    x_BT = torch.arange(1, 2 * half + 1).repeat(2, 1)
    x_BT[1, half:] += 64
    with torch.inference_mode():
        first_BTV = decoder(x_BT)[:, :half]
    difference = (first_BTV[0] - first_BTV[1]).abs().max()
    return bool(difference > _ROUNDING * first_BTV.abs().max())


def _other_ids(folder: Path, hub: HubModel) -> str | None:
    """A description of a byte to which the folder's tokenizer gives another id; None if none."""
    if not any((folder / name).exists() for name in _TOKENIZERS):
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        return f"one that cannot be loaded: {error!s:.300}"
    for text in _every_byte():
        expected = [hub.byte_ids[byte] for byte in text.encode()]
        ids = tokenizer.encode(text, add_special_tokens=False)
        if ids != expected:
            return f"ids {ids} for {text!r}, whose bytes have {expected}"
    return None


def _every_byte() -> Iterator[str]:
    """Short texts in UTF-8 with every possible byte except the separator."""
    points = [*range(1, 0x80), *range(0x80, 0x800, 0x3F)]
    points += [*range(0x800, 0xD800, 0x3F1), *range(0xE000, 0x10000, 0x3F1)]
    points += range(0x10000, 0x110000, 0x3F41)
    for start in range(0, len(points), 8):
        yield "".join(map(chr, points[start : start + 8]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress transformers' progress bars, which would disturb a launch's display."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
