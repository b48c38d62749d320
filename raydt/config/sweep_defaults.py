"""Defaults of a sweep: the demo, and defaults that depend on other fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raydt.config.protocol import DEMO_PROTOCOL, Protocol
from raydt.units import Size

RESERVED = {"corpora", "mlflow.db", "mlflow-artifacts"}  # used in the storage by raydt itself
# Two families and an unrelated language, all as sources and targets: the smallest grid in which
# every claim of the analysis can have an answer.
DEMO_LANGUAGES = ("related", "alba", "brio", "lusa", "hispa", "unrelated")
DEMO_SIZES = (Size(2_000, "2k"),)


def default_name(fields: Mapping[str, object]) -> str:
    """`demo` for the demo, `folder` for `files:some/folder`."""
    corpus = str(fields.get("corpus", ""))
    if corpus == "controlled":
        return "demo"
    kind, _, rest = corpus.partition(":")
    if kind == "controlled":
        return f"controlled-{rest}"
    last = rest.partition("?")[0].rstrip("/").split("/")[-1]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", last).strip("-.") or kind
    return f"{kind}-{name}" if name in RESERVED else name


def _is_controlled(fields: Mapping[str, object]) -> bool:
    return str(fields.get("corpus", "")).partition(":")[0] == "controlled"


def default_protocol(fields: Mapping[str, object]) -> Protocol:
    """The demo's shortcuts for controlled languages, else the defaults."""
    return DEMO_PROTOCOL if _is_controlled(fields) else Protocol()


def _is_demo(fields: Mapping[str, object]) -> bool:
    axes = (fields.get("sources"), fields.get("targets"), fields.get("sizes"))
    return axes == (DEMO_LANGUAGES, DEMO_LANGUAGES, DEMO_SIZES)


def default_scratch_sizes(fields: Mapping[str, object]) -> tuple[Size, ...]:
    """Rungs around the losses of the demo's best finetunes; unknown for other sweeps."""
    return (Size(6_000, "6k"), Size(20_000, "20k")) if _is_demo(fields) else ()


def default_pretrain_size(fields: Mapping[str, object]) -> Size:
    """Small enough that D_E of controlled languages falls inside a short ladder; more for text."""
    return Size(400_000, "400k") if _is_controlled(fields) else Size(800_000, "800k")


def default_models(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """A checkpoint in Hugging Face format is compared with scratch cells of its architecture."""
    return (next(iter(fields.get("hub_models", ())), "nano"),)


def default_seeds(fields: Mapping[str, object]) -> tuple[int, ...]:
    """Two seeds in the demo, which has thirty pairs and should take three minutes."""
    return (0, 1) if _is_demo(fields) else (0, 1, 2)
