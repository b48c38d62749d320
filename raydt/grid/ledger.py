"""Which cells are done: read from what they wrote, needing neither Ray nor MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from pydantic import ValidationError

from raydt.config.problems import problems_of_fields
from raydt.config.protocol import RECIPES
from raydt.config.recipe import FREE_RECIPE_FIELDS
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem, RunError, bad
from raydt.gpus import gpu_of_device
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT, holder, is_cancelled
from raydt.grid.lease import is_alive, running_launch
from raydt.grid.result import Result, read_result
from raydt.storage.folder import Folder
from raydt.storage.many import each
from raydt.storage.opening import open_folder
from raydt.tracking.schema import Status

_SWEEP = "sweep.json"
_WHOLE = "a sweep as a launch wrote it; restore the file, or take another --name"
# Fields of a sweep that may change from launch to launch without touching what is done: the axes,
# which only grow a grid or leave a part of it out, and where it runs.
_AXES = {"name", "sources", "targets", "sizes", "scratch_sizes", "models", "seeds", "joint"}
_ASIDE = {"forgetting"}  # what is measured of trained weights, and changes nothing about them
_PLACE = {"storage", "tracking_uri", "slots", "cpus_per_cell", "gpus_per_cell", "workers"}
_PLACE |= {"gpu", "dollars_per_gpu_hour"}
_FREE_FIELDS = _AXES | _ASIDE | _PLACE | {"large_cell_seconds", "checkpoint_seconds", "max_retries"}
_FREE_FIELDS |= {"keep_weights", "log_models", "hub_models"}
# And of its recipes what changes no more than time and rounding, which no fingerprint has either.
_FREE_PATHS = {f"protocol.{stage}.{name}" for stage in RECIPES for name in FREE_RECIPE_FIELDS}

_FEW = 5  # names in a message about many cells


class _Found(NamedTuple):
    result: Result | None
    is_cancelled: bool
    runs: bool
    is_begun: bool


@dataclass(frozen=True)
class Ledger:
    """What the storage says of a sweep's cells, by cell id."""

    results: Mapping[str, Result]
    cancelled: frozenset[str]
    running: frozenset[str]  # held by an attempt of the launch that is at work
    begun: frozenset[str]  # a lease was taken at some time, or there is a result

    @classmethod
    def read(cls, sweep: Sweep, cells: Iterable[Cell]) -> Ledger:
        """What is on storage of these cells. `RunError` if a result is damaged."""
        root = sweep.folder / "cells"
        cell_ids = [cell.cell_id for cell in cells]
        launch = running_launch(sweep.folder)
        launch_id = launch.launch if launch is not None and is_alive(launch) else None

        def look(cell_id: str) -> _Found:
            folder = root / cell_id
            result = read_result(folder, RESULT)
            if result is not None:
                return _Found(result, False, False, True)
            lease = holder(folder)
            runs = launch_id is not None and lease is not None and lease.launch == launch_id
            return _Found(None, is_cancelled(folder), runs, lease is not None)

        maybe = begun_cells(sweep, cell_ids)
        found = dict(zip(maybe, each(look, maybe, sweep.folder), strict=True))
        return cls(
            {cell_id: seen.result for cell_id, seen in found.items() if seen.result is not None},
            frozenset(cell_id for cell_id, seen in found.items() if seen.is_cancelled),
            frozenset(cell_id for cell_id, seen in found.items() if seen.runs),
            frozenset(cell_id for cell_id, seen in found.items() if seen.is_begun),
        )

    def status(self, cell: Cell) -> Status:
        """As its result says; else cancelled, running, blocked by its parent, or waiting."""
        if cell.cell_id in self.results:
            return self.results[cell.cell_id].status
        if cell.cell_id in self.cancelled:
            return Status.CANCELLED
        if cell.cell_id in self.running:
            return Status.RUNNING
        if cell.parent_id is not None:
            parent = self.results.get(cell.parent_id)
            if parent is not None and parent.status is not Status.DONE:
                return Status.BLOCKED
            if parent is None and cell.parent_id in self.cancelled:
                return Status.BLOCKED
        return Status.WAITING

    def flops_per_second(self, sweep: Sweep) -> dict[str, float]:
        """Per model, what its trained cells have reached: the median, in FLOP/s per slot, which is
        one of the ranks of a group. Only of cells that ran on what the next will run on."""
        rates: dict[str, list[float]] = {}
        for result in self.results.values():
            if result.training_seconds > 0 and _runs_alike(result, sweep):
                speed = result.bytes_seen / result.training_seconds / result.num_ranks
                flops = speed * sweep.model(result.model).training_flops_per_byte
                rates.setdefault(result.model, []).append(flops)
        return {model: median(speeds) for model, speeds in rates.items()}

    def check_fingerprints(self, fingerprints: Mapping[str, str]) -> None:
        """`InputError` if a done cell was made from something else, with how many were and a few
        of their names: of a new version of raydt it is all of them. One that failed was not made
        from anything, and is trained again."""
        decided = [c for c, result in self.results.items() if result.status is not Status.FAILED]
        changed = [c for c in decided if self.results[c].fingerprint != fingerprints[c]]
        if not changed:
            return
        named = ", ".join(changed[:_FEW])
        if len(changed) > _FEW:
            named += f" and {len(changed) - _FEW} more"
        raise bad(
            "cells that are done",
            "trained on the same data and by the same numerics as raydt has now (another --name "
            "makes a new sweep beside them)",
            f"{len(changed)} of {len(decided)} that were not: {named}",
        )


def _runs_alike(result: Result, sweep: Sweep) -> bool:
    if sweep.gpus_per_cell == 0 or result.gpu is None:
        return sweep.gpus_per_cell == 0 and result.gpu is None
    if result.gpus_per_rank not in (None, sweep.gpus_per_cell):
        return False
    gpu = gpu_of_device(result.gpu)
    return sweep.gpu is None or (gpu is not None and gpu.name == sweep.gpu)


def cell_folder(sweep: Sweep, cell_id: str) -> Folder:
    """Where a cell keeps its journals, weights and result."""
    return sweep.folder / "cells" / cell_id


def begun_cells(sweep: Sweep, cell_ids: Iterable[str]) -> list[str]:
    """The cells whose stage and languages have a folder, so that they may have begun: most of a new
    grid is not looked for."""
    root = sweep.folder / "cells"
    there = {(stage, languages) for stage in root.names() for languages in (root / stage).names()}
    return [cell_id for cell_id in cell_ids if tuple(cell_id.split("/", 2)[:2]) in there]


def check_name_is_free(sweep: Sweep) -> None:
    """`InputError` if a sweep of this name with another protocol is on the storage."""
    try:
        earlier = sweep.folder.read_json(_SWEEP)
    except (RunError, OSError) as error:
        raise bad(f"{sweep.folder.uri}/{_SWEEP}", "a readable sweep.json", error) from None
    if earlier is None:
        return
    if not isinstance(earlier, Mapping):
        raise bad(f"{sweep.folder.uri}/{_SWEEP}", _WHOLE, f"{earlier!r:.80}")
    was, now = _flat(_as_read_now(earlier)), _flat(sweep.model_dump(mode="json"))
    problems = [
        Problem(
            field,
            f"{was.get(field)!r}, as in the sweep {sweep.name!r} that is in {sweep.folder.uri}, "
            "or another --name",
            repr(now.get(field)),
        )
        for field in sorted(was.keys() | now.keys())
        if not _is_free(field) and was.get(field) != now.get(field)
    ]
    if problems:
        raise InputError(problems)


def _is_free(field: str) -> bool:
    """Whether a field, by its dotted path, may change from launch to launch."""
    return field.split(".")[0] in _FREE_FIELDS or field in _FREE_PATHS


def _as_read_now(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the defaults of fields that are newer than the record: it was trained by those."""
    try:
        return Sweep.model_validate(recorded).model_dump(mode="json")
    except ValidationError:
        return recorded  # the differences that are shown say what is wrong with it


def record_sweep(sweep: Sweep) -> None:
    """Write down what the sweep is, for the next launch and for `raydt status`."""
    sweep.folder.write_json(_SWEEP, sweep.model_dump(mode="json"))


def recorded_sweeps(storage: Folder) -> list[str]:
    """The names of the sweeps in a storage."""
    return [name for name in storage.names() if (storage / name).exists(_SWEEP)]


def recorded_sweep(storage: str, name: str) -> Sweep:
    """A sweep as it was last launched; `InputError` if there is none, or its file is damaged."""
    folder = open_folder(storage) / name
    try:
        recorded = folder.read_json(_SWEEP)
    except RunError as error:
        raise bad(f"sweep {name}", "a readable sweep.json", error) from None
    if recorded is None:
        raise bad(folder.uri, "the folder of a sweep, with its sweep.json", "no such file")
    if not isinstance(recorded, Mapping):
        raise bad(f"{folder.uri}/{_SWEEP}", _WHOLE, f"{recorded!r:.80}")
    # Where it is now, not where it was, or as seen from another working directory.
    try:
        return Sweep.model_validate({**recorded, "storage": storage})
    except ValidationError as error:
        raise InputError(problems_of_fields(error, file=f"{folder.uri}/{_SWEEP}: ")) from None


def _flat(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat.update(_flat(item, f"{prefix}{key}."))
        else:
            flat[prefix + key] = item
    return flat
