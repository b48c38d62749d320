"""The problems of a sweep: pydantic's errors in raydt's words, and conflicts between fields."""

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
from raydt.config.wording import expected_of
from raydt.errors import Problem, UnknownName
from raydt.units import Size, approximate_bytes

# Pydantic's error type for a default that depends on an invalid field, which is reported itself.
_DEPENDENT = "default_factory_not_called"


# The full name of each table, by its last part.
_TABLES = {field.path[-2]: ".".join(field.path[:-1]) for field in FIELDS if len(field.path) > 1}


def problems_of_fields(
    error: ValidationError, table: tuple[str, ...] = (), file: str = ""
) -> list[Problem]:
    """A problem for each unknown or invalid field of a sweep, or of one `table` of it. `file` is a
    prefix of their names."""
    problems = []
    for item in error.errors():
        if item["type"] == _DEPENDENT:
            continue
        name = ".".join((*table, *_path(item["loc"]))) or "sweep"
        if item["type"] == "extra_forbidden":
            problems.append(_unknown(file + name, str(item["loc"][-1]), item["input"]))
        else:
            found = item["input"]
            shown = "nothing" if found in ((), [], "") else repr(found)
            problems.append(Problem(file + name, expected_of(item, name), shown))
    return list(dict.fromkeys(problems))


def wrong_fields(error: ValidationError) -> frozenset[tuple[str, ...]]:
    """The paths of the fields and tables that `problems_of_fields` reports."""
    return frozenset(_path(item["loc"]) for item in error.errors() if item["type"] != _DEPENDENT)


def _path(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """Drop the index of a value in a list: the problem shows the value itself."""
    return tuple(part for part in place if isinstance(part, str))


def _unknown(where: str, name: str, value: object) -> Problem:
    if isinstance(value, Mapping):
        close = difflib.get_close_matches(name, _TABLES, n=1)
        return UnknownName(where, _hint([f"[{_TABLES[each]}]" for each in close]), "table")
    elsewhere = [field.dotted for field in FIELDS if field.path[-1] == name]
    close = difflib.get_close_matches(name, [field.path[-1] for field in FIELDS], n=1)
    return UnknownName(where, _hint(elsewhere or close), "field")


def _hint(names: list[str]) -> str:
    return f"did you mean {' or '.join(names)}?" if names else ""


def problems_between_fields(
    sweep: Sweep, unknown: Set[tuple[str, ...]] = frozenset()
) -> list[Problem]:
    """Problems between fields that are valid on their own. Checks that read a field in `unknown`
    (from `wrong_fields`) are skipped, because the sweep has a default in its place."""
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
            "a mixture without any target, because its finetunes would have seen the text before",
            f"target {target}",
        )
        for name, mixture in sweep.mixtures.items()
        for target in sweep.targets
        if target in mixture.languages
    ]


def _joint_without_text(sweep: Sweep) -> list[Problem]:
    if not sweep.joint or sweep.source_languages or sweep.mixtures:
        return []
    return [Problem("joint", "at least one source that has text", "sources that are weights only")]


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
    """Their embedding rows belong to ids, not to bytes."""
    return [
        Problem(f"protocol.{stage}.unseen_bytes", f"train for the Hub model {name}", "escape")
        for name in sweep.models
        for stage in RECIPES
        if sweep.model(name).family == "hub"
        and getattr(sweep.protocol, stage).unseen_bytes == "escape"
    ]


def _labels_of_own_models(sweep: Sweep) -> list[Problem]:
    return [
        Problem(f"sources: {label}", "a label that is not the name of a raydt model", label)
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
    expected = "at least 1k, because the loss on less means nothing"
    return [Problem(f"protocol.{field}", expected, approximate_bytes(num_bytes))]


def _gpus_without_use(sweep: Sweep) -> list[Problem]:
    if sweep.gpus_per_cell <= 1:
        return []
    number = math.ceil(sweep.gpus_per_cell)
    return [
        Problem(
            "gpus_per_cell",
            "at most 1, because a process trains on one GPU (--gpus-per-cell 1 --workers "
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
            "1 with several workers per cell, because NCCL refuses two of them on one GPU (or "
            "--workers 0)",
            f"{sweep.gpus_per_cell:g} with {sweep.workers} workers",
        )
    ]


# Each check with the fields that it reads.
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
