"""Facts about models and sources that runs record."""

from __future__ import annotations

import json

from analysis.store.read import SweepRuns
from raydt.tracking.schema import (
    PARAM_FLOPS_PER_BYTE,
    PARAM_MODEL,
    PARAM_NUM_PARAMETERS,
    PARAM_SOURCE,
    TAG_MIXTURE,
)


def num_parameters(runs: SweepRuns) -> dict[str, int] | None:
    """N (parameters) by model; None unless every run has it, which imported runs need not."""
    found: dict[str, int] = {}
    for run in runs.cells:
        model, number = run.params.get(PARAM_MODEL), run.params.get(PARAM_NUM_PARAMETERS)
        if model is None or number is None or not number.isdigit():
            return None
        found[model] = int(number)
    return found


def flops_per_byte(runs: SweepRuns) -> dict[str, float]:
    """FLOPs per byte of training, by model, where runs have them; runs of old versions do not."""
    found: dict[str, float] = {}
    for run in runs.cells:
        model, number = run.params.get(PARAM_MODEL), run.params.get(PARAM_FLOPS_PER_BYTE)
        if model is not None and number is not None and number.isdigit():
            found[model] = float(number)
    return found


def mixtures(runs: SweepRuns) -> dict[str, str]:
    """The shares of each source that is a mixture, as text: "0.7 of en, 0.3 of pt"."""
    recorded = {
        r.params.get(PARAM_SOURCE): r.tags[TAG_MIXTURE] for r in runs.cells if TAG_MIXTURE in r.tags
    }
    found = {}
    for source, text in sorted((s, t) for s, t in recorded.items() if s is not None):
        try:
            shares = {str(name): float(share) for name, share in json.loads(text).items()}
        except (ValueError, TypeError, AttributeError):
            found[source] = text  # not written by raydt: shown verbatim
        else:
            found[source] = ", ".join(f"{share:.4g} of {name}" for name, share in shares.items())
    return found
