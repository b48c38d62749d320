"""Which cells are done: read from what they wrote, needing neither Ray nor MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem, bad
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT, write_atomically
from raydt.tracking.schema import Status

_SWEEP = "sweep.json"
# Fields of a sweep that may change from launch to launch without touching what is done: the axes,
# which only grow a grid or leave a part of it out, and where it runs.
_FREE_FIELDS = {
    "name", "sources", "targets", "sizes", "scratch_sizes", "models", "seeds",
    "storage", "tracking_uri", "slots", "cpus_per_cell", "gpus_per_cell", "max_retries",
}  # fmt: skip


@dataclass(frozen=True)
class Ledger:
    """The results of a sweep's cells, by cell id."""

    folder: Path
    results: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, sweep: Sweep, cells: Iterable[Cell]) -> Ledger:
        """The results on storage of these cells of the sweep."""
        results = {}
        for cell in cells:
            path = cell_folder(sweep, cell.cell_id) / RESULT
            try:
                text = path.read_text()
            except FileNotFoundError:
                continue
            results[cell.cell_id] = json.loads(text)
        return cls(sweep.folder, results)

    def status(self, cell: Cell) -> Status:
        """Done, failed or diverged as its result says; blocked by such a parent; else waiting."""
        if cell.cell_id in self.results:
            return Status(self.results[cell.cell_id]["status"])
        parent = self.results.get(cell.parent_id or "")
        if parent is not None and parent["status"] != Status.DONE:
            return Status.BLOCKED
        return Status.WAITING

    def flops_per_second(self) -> dict[str, float]:
        """Per model, what its trained cells have reached: the median, in FLOP/s per slot."""
        rates: dict[str, list[float]] = {}
        for result in self.results.values():
            if result["training_seconds"] > 0:
                speed = result["bytes_seen"] / result["training_seconds"]
                model = result["model"]
                rates.setdefault(model, []).append(speed * MODELS[model].training_flops_per_byte)
        return {model: median(speeds) for model, speeds in rates.items()}

    def check_fingerprints(self, fingerprints: Mapping[str, str]) -> None:
        """`InputError` naming every done cell that was made from something else."""
        changed = [
            cell_id
            for cell_id, result in self.results.items()
            if result["fingerprint"] != fingerprints[cell_id]
        ]
        if changed:
            raise InputError(
                Problem(
                    f"cell {cell_id}",
                    "the same data, protocol and raydt numerics as when it was trained; "
                    "take another --name for a new sweep",
                    "something else in them",
                )
                for cell_id in changed
            )


def cell_folder(sweep: Sweep, cell_id: str) -> Path:
    """Where a cell keeps its journals, weights and result."""
    return sweep.folder / "cells" / cell_id


def check_name_is_free(sweep: Sweep) -> None:
    """`InputError` if a sweep of this name with another protocol is on the storage."""
    path = sweep.folder / _SWEEP
    try:
        earlier = json.loads(path.read_text())
    except FileNotFoundError:
        return
    except (json.JSONDecodeError, OSError) as error:
        raise bad(str(path), "a readable sweep.json", error) from None
    was, now = _flat(earlier), _flat(sweep.model_dump(mode="json"))
    problems = [
        Problem(
            field,
            f"{was.get(field)!r}, as in the sweep {sweep.name!r} that is in {sweep.folder}, "
            "or another --name",
            repr(now.get(field)),
        )
        for field in sorted(was.keys() | now.keys())
        if field.split(".")[0] not in _FREE_FIELDS and was.get(field) != now.get(field)
    ]
    if problems:
        raise InputError(problems)


def record_sweep(sweep: Sweep) -> None:
    """Write down what the sweep is, for the next launch and for `raydt status`."""
    write_atomically(sweep.folder / _SWEEP, sweep.model_dump(mode="json"))


def recorded_sweep(folder: Path) -> Sweep:
    """The sweep of a folder, as it was last launched; `InputError` if there is none."""
    path = folder / _SWEEP
    if not path.exists():
        raise bad(str(folder), "the folder of a sweep, with its sweep.json", "no such file")
    recorded = Sweep.model_validate(json.loads(path.read_text()))
    # Where it is now, not where it was, or as seen from another working directory.
    return recorded.model_copy(update={"storage": folder.parent})


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat.update(_flat(item, f"{prefix}{key}."))
        else:
            flat[prefix + key] = item
    return flat
