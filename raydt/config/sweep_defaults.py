"""What a sweep is where nothing else is said: the demo, and what follows from other fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raydt.config.protocol import DEMO_PROTOCOL, Protocol
from raydt.units import Size

RESERVED = {"corpora", "mlflow.db", "mlflow-artifacts"}  # what else is in the storage
# Two families and a stranger, all in both roles: the smallest grid in which every claim of the
# analysis can have an answer.
DEMO_LANGUAGES = ("related", "alba", "brio", "lusa", "hispa", "unrelated")
DEMO_SIZES = (Size(2_000, "2k"),)


def default_name(fields: Mapping[str, object]) -> str:
    """The demo's sweep is `demo`, that of `files:some/folder` is `folder`."""
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
    """Controlled languages are for trying things out, and have the demo's shortcuts."""
    return DEMO_PROTOCOL if _is_controlled(fields) else Protocol()


def _is_demo(fields: Mapping[str, object]) -> bool:
    axes = (fields.get("sources"), fields.get("targets"), fields.get("sizes"))
    return axes == (DEMO_LANGUAGES, DEMO_LANGUAGES, DEMO_SIZES)


def default_scratch_sizes(fields: Mapping[str, object]) -> tuple[Size, ...]:
    """Rungs among which the demo's best finetunes fall; of other sweeps they are not known."""
    return (Size(6_000, "6k"), Size(20_000, "20k")) if _is_demo(fields) else ()


def default_pretrain_size(fields: Mapping[str, object]) -> Size:
    """What a ladder of a few rungs can tell of controlled languages, and more of real text."""
    return Size(400_000, "400k") if _is_controlled(fields) else Size(800_000, "800k")


def default_models(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """A checkpoint of another architecture is compared with scratch of its own."""
    return (next(iter(fields.get("hub_models", ())), "nano"),)


def default_seeds(fields: Mapping[str, object]) -> tuple[int, ...]:
    """The demo has three minutes, and thirty pairs."""
    return (0, 1) if _is_demo(fields) else (0, 1, 2)
