"""What is wrong with a sweep, in raydt's own words."""

from __future__ import annotations

import difflib

from pydantic import ValidationError

from raydt.config.fields import FIELDS
from raydt.config.model import MODELS
from raydt.config.protocol import RECIPES
from raydt.config.sweep import Sweep
from raydt.errors import Problem
from raydt.units import approximate_bytes

# Pydantic's word for a default that cannot be known because the field it follows is wrong: that
# one is reported already.
_FOLLOWS = "default_factory_not_called"


def problems_of_fields(error: ValidationError) -> list[Problem]:
    """Each field that is unknown or cannot be what it is."""
    problems = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "sweep"
        if item["type"] == _FOLLOWS:
            continue
        if item["type"] == "extra_forbidden":
            requirement = "a field of a sweep" + _field_meant(str(item["loc"][-1]))
            problems.append(Problem(where, requirement, "no such field"))
        else:
            requirement = item["msg"].removeprefix("Value error, ")
            found = item["input"]
            problems.append(
                Problem(where, requirement, "nothing" if found in ((), [], "") else repr(found))
            )
    return problems


def _field_meant(name: str) -> str:
    elsewhere = [field.dotted for field in FIELDS if field.path[-1] == name]
    if elsewhere:
        return f" (did you mean {' or '.join(elsewhere)}?)"
    close = difflib.get_close_matches(name, [field.path[-1] for field in FIELDS], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def problems_between_fields(sweep: Sweep) -> list[Problem]:
    """Fields that are right one by one and do not fit together."""
    return [
        *_targets_without_source(sweep),
        *_sizes_below_a_window(sweep),
        *_equal_rungs(sweep),
        *_empty_budgets(sweep),
        *_small_splits(sweep),
    ]


def _targets_without_source(sweep: Sweep) -> list[Problem]:
    reached = {target for _, target in sweep.pairs()}
    return [
        Problem(
            f"targets: {target}",
            "at least one source other than the target itself",
            f"sources {' '.join(sweep.sources)}",
        )
        for target in sweep.targets
        if target not in reached
    ]


def _sizes_below_a_window(sweep: Sweep) -> list[Problem]:
    windows = {model: MODELS[model].window_bytes for model in sweep.models}
    return [
        Problem(
            f"size {size}",
            f"at least one window of model {model}, {window} bytes",
            f"{size.num_bytes} bytes",
        )
        for model, window in windows.items()
        for size in (*sweep.ladder, sweep.pretrain_size)
        if size.num_bytes < window
    ]


def _equal_rungs(sweep: Sweep) -> list[Problem]:
    return [
        Problem(
            "sizes and scratch_sizes",
            "rungs of different bytes and different labels",
            " ".join(f"{size.label}={size.num_bytes}" for size in sweep.ladder),
        )
        for what in ("label", "num_bytes")
        if len({getattr(size, what) for size in sweep.ladder}) < len(sweep.ladder)
    ]


def _empty_budgets(sweep: Sweep) -> list[Problem]:
    return [
        Problem(f"protocol.{stage}.{field}", "at least 1 byte", "0")
        for stage in RECIPES
        for field in ("budget_bytes", "budget_at_bytes")
        if getattr(getattr(sweep.protocol, stage), field).num_bytes == 0
    ]


def _small_splits(sweep: Sweep) -> list[Problem]:
    asked = {
        "val_bytes": sweep.protocol.asked_val_bytes,
        "test_bytes": sweep.protocol.asked_test_bytes,
    }
    return [
        Problem(
            f"protocol.{split}",
            "at least 1k, or its loss means nothing",
            approximate_bytes(num_bytes),
        )
        for split, num_bytes in asked.items()
        if num_bytes is not None and num_bytes < 1_000
    ]
