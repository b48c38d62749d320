"""What is wrong with a sweep, in raydt's own words."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Set
from functools import partial

from pydantic import ValidationError

from raydt.config.fields import FIELDS
from raydt.config.model import MODELS
from raydt.config.protocol import RECIPES
from raydt.config.sweep import Sweep
from raydt.config.wording import requirement_of
from raydt.errors import Problem
from raydt.units import Size, approximate_bytes

# Pydantic's word for a default that cannot be known because the field it follows is wrong: that
# one is reported already.
_FOLLOWS = "default_factory_not_called"


# Each table by the last part of its name, and in full.
_TABLES = {field.path[-2]: ".".join(field.path[:-1]) for field in FIELDS if len(field.path) > 1}


def problems_of_fields(
    error: ValidationError, table: tuple[str, ...] = (), file: str = ""
) -> list[Problem]:
    """Each field that is unknown or cannot be what it is: of a sweep, or of one `table` of it.
    `file` stands before their names."""
    problems = []
    for item in error.errors():
        if item["type"] == _FOLLOWS:
            continue
        name = ".".join((*table, *_path(item["loc"]))) or "sweep"
        if item["type"] == "extra_forbidden":
            problems.append(_unknown(file + name, str(item["loc"][-1]), item["input"]))
        else:
            found = item["input"]
            shown = "nothing" if found in ((), [], "") else repr(found)
            problems.append(Problem(file + name, requirement_of(item, name), shown))
    return list(dict.fromkeys(problems))


def wrong_fields(error: ValidationError) -> frozenset[tuple[str, ...]]:
    """The paths of the fields and tables that `problems_of_fields` is about."""
    return frozenset(_path(item["loc"]) for item in error.errors() if item["type"] != _FOLLOWS)


def _path(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """Without the number of a value in a list: the problem shows the value."""
    return tuple(part for part in place if isinstance(part, str))


def _unknown(where: str, name: str, value: object) -> Problem:
    if isinstance(value, Mapping):
        close = difflib.get_close_matches(name, _TABLES, n=1)
        return Problem(
            where,
            f"a table of a sweep{_hint([f'[{_TABLES[each]}]' for each in close])}",
            "no such table",
        )
    elsewhere = [field.dotted for field in FIELDS if field.path[-1] == name]
    close = difflib.get_close_matches(name, [field.path[-1] for field in FIELDS], n=1)
    return Problem(where, f"a field of a sweep{_hint(elsewhere or close)}", "no such field")


def _hint(names: list[str]) -> str:
    return f" (did you mean {' or '.join(names)}?)" if names else ""


def problems_between_fields(
    sweep: Sweep, unknown: Set[tuple[str, ...]] = frozenset()
) -> list[Problem]:
    """Fields that are right one by one and do not fit together. Of those that are `unknown`, as
    `wrong_fields` names them, the sweep has a default in place of what was meant: what follows
    from it is left out."""
    problems: list[Problem] = []
    for reads, check in _CHECKS:
        paths = [tuple(field.split(".")) for field in reads]
        if not any(path[: len(other)] == other for path in paths for other in unknown):
            problems += check(sweep)
    return problems


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


def _targets_in_mixtures(sweep: Sweep) -> list[Problem]:
    return [
        Problem(
            f"sources: {name}",
            "a mixture without any target, whose text a finetune would have read before",
            f"target {target}",
        )
        for name, mixture in sweep.mixtures.items()
        for target in sweep.targets
        if target in mixture.languages
    ]


def _joint_without_text(sweep: Sweep) -> list[Problem]:
    if not sweep.joint or sweep.source_languages or sweep.mixtures:
        return []
    return [Problem("joint", "a source that is text, and not weights alone", "none")]


def _rungs_below_a_window(sweep: Sweep) -> list[Problem]:
    return _sizes_below_a_window(sweep, sweep.ladder)


def _source_below_a_window(sweep: Sweep) -> list[Problem]:
    return _sizes_below_a_window(sweep, (sweep.pretrain_size,))


def _sizes_below_a_window(sweep: Sweep, sizes: tuple[Size, ...]) -> list[Problem]:
    windows = {model: sweep.model(model).window_bytes for model in sweep.models}
    return [
        Problem(
            f"size {size}",
            f"at least one window of model {model}, {window} bytes",
            f"{size.num_bytes} bytes",
        )
        for model, window in windows.items()
        for size in sizes
        if size.num_bytes < window
    ]


def _escapes_in_hub_models(sweep: Sweep) -> list[Problem]:
    """Rows of theirs belong to ids, and not to bytes."""
    return [
        Problem(f"protocol.{stage}.unseen_bytes", f"train, for the Hub's model {name}", "escape")
        for name in sweep.models
        for stage in RECIPES
        if sweep.model(name).family == "hub"
        and getattr(sweep.protocol, stage).unseen_bytes == "escape"
    ]


def _labels_of_own_models(sweep: Sweep) -> list[Problem]:
    return [
        Problem(f"sources: {label}", "another label than that of a model of raydt's", label)
        for label in sweep.hub_models
        if label in MODELS
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


def _empty_budget(stage: str, field: str, sweep: Sweep) -> list[Problem]:
    if getattr(getattr(sweep.protocol, stage), field).num_bytes > 0:
        return []
    return [Problem(f"protocol.{stage}.{field}", "at least 1 byte", "0")]


def _small_val(sweep: Sweep) -> list[Problem]:
    return _small_split("val_bytes", sweep.protocol.asked_val_bytes)


def _small_test(sweep: Sweep) -> list[Problem]:
    return _small_split("test_bytes", sweep.protocol.asked_test_bytes)


def _small_split(field: str, num_bytes: int | None) -> list[Problem]:
    if num_bytes is None or num_bytes >= 1_000:
        return []
    requirement = "at least 1k, or its loss means nothing"
    return [Problem(f"protocol.{field}", requirement, approximate_bytes(num_bytes))]


def _gpus_without_use(sweep: Sweep) -> list[Problem]:
    if sweep.gpus_per_cell <= 1:
        return []
    number = math.ceil(sweep.gpus_per_cell)
    return [
        Problem(
            "gpus_per_cell",
            "at most 1, as a process trains on one GPU (--gpus-per-cell 1 --workers "
            f"{number} trains a large cell on {number})",
            f"{sweep.gpus_per_cell:g}",
        )
    ]


def _workers_on_one_gpu(sweep: Sweep) -> list[Problem]:
    if sweep.workers < 2 or not 0 < sweep.gpus_per_cell < 1:
        return []
    return [
        Problem(
            "gpus_per_cell",
            "1 where several workers train a cell: NCCL refuses two of them on one GPU (or "
            "--workers 0)",
            f"{sweep.gpus_per_cell:g} with {sweep.workers} workers",
        )
    ]


# Each with the fields that it reads.
_CHECKS: tuple[tuple[tuple[str, ...], Callable[[Sweep], list[Problem]]], ...] = (
    (("sources", "targets"), _targets_without_source),
    (("sources", "targets"), _targets_in_mixtures),
    (("sources", "joint"), _joint_without_text),
    (("models", "sizes", "scratch_sizes"), _rungs_below_a_window),
    (("models", "pretrain_size"), _source_below_a_window),
    (("sizes", "scratch_sizes"), _equal_rungs),
    (("sources",), _labels_of_own_models),
    (("models", "protocol"), _escapes_in_hub_models),
    *(
        ((f"protocol.{stage}.{field}",), partial(_empty_budget, stage, field))
        for stage in RECIPES
        for field in ("budget_bytes", "budget_at_bytes")
    ),
    (("gpus_per_cell",), _gpus_without_use),
    (("gpus_per_cell", "workers"), _workers_on_one_gpu),
    (("protocol.val_bytes",), _small_val),
    (("protocol.test_bytes",), _small_test),
)
