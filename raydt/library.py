"""raydt from a program or a notebook: `raydt.plan`, `raydt.train` and `raydt.analyze`.

Each does what the command of the same name does, with the same checks, and returns typed results.
Heavy imports happen on the first call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydt.config.read import Typed, read_sweep
from raydt.config.sweep import Sweep, local_folder
from raydt.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

    from analysis.result import Analysis
    from raydt.orchestration.launch import Launch


@dataclass(frozen=True)
class Plan:
    """A sweep and its cells.

    `cells` has one row per cell, parents before children, indexed by `cell_id`, with the columns
    `stage`, `source`, `target`, `size`, `size_bytes`, `seed`, `model`, `parent_cell_id`, the
    expected `seconds` and the training `flops`.
    """

    sweep: Sweep
    cells: DataFrame


def plan(**fields: Any) -> Plan:
    """The cells that a sweep would train, and about how long each would take.

    Parameters are the fields of `raydt.config.sweep.Sweep`, as on the command line; those of the
    protocol are mappings inside `protocol`. Raises an `InputError` with all problems before
    anything is written.

    >>> planned = plan(sources=["related"], targets=["alba"], sizes=["2k"], seeds=[0])
    >>> planned.cells.groupby("stage").size().to_dict()
    {'finetune': 1, 'pretrain': 1, 'scratch': 1, 'zeroshot': 1}
    >>> bool(planned.cells["seconds"].sum() > 0)
    True
    """
    from pandas import DataFrame

    from raydt.grid.added import sweep_cells
    from raydt.grid.cost import cell_costs, seen_bytes
    from raydt.grid.ledger import Ledger
    from raydt.orchestration.preflight import check_declaration

    sweep = read_sweep(Typed(fields=dict(_dotted(fields))))
    _, problems = check_declaration(sweep)
    if problems:
        raise InputError(problems)
    cells = sweep_cells(sweep)
    ledger = Ledger.read(sweep, cells)
    seen = seen_bytes(cells, ledger.results)
    costs = cell_costs(cells, sweep, ledger.flops_per_second(sweep), seen)
    rows = [
        {
            "cell_id": cell.cell_id,
            "stage": str(cell.stage),
            "source": cell.source,
            "target": cell.target,
            "size": cell.size.label,
            "size_bytes": cell.size.num_bytes,
            "seed": cell.seed,
            "model": cell.model,
            "parent_cell_id": cell.parent_id,
            "seconds": costs[cell.cell_id].seconds,
            "flops": costs[cell.cell_id].flops,
        }
        for cell in cells
    ]
    return Plan(sweep, DataFrame(rows).set_index("cell_id"))


def train(sweep: Sweep, *, quiet: bool = True) -> Launch:
    """Train the missing cells of a sweep, as `raydt run` does; call it again to resume.

    Raises `InputError` before anything is written if the sweep cannot run here, and `RunError` if
    another launch of it is running. Failed cells are in the returned statuses.

    >>> small = {"val_bytes": "2k", "test_bytes": "2k", "pretrain": {"epochs": 1}}
    >>> axes = dict(sources=["related"], targets=["alba"], sizes=["2k", "8k"], seeds=[0])
    >>> planned = plan(**axes, pretrain_size="8k", slots=1, name="small", protocol=small)
    >>> train(planned.sweep).whole
    True
    """
    from rich.console import Console

    from raydt.orchestration.launch import launch
    from raydt.terminal.progress import Progress

    return launch(sweep, Progress(Console(quiet=quiet)))


def analyze(
    sweep: Sweep | str,
    *,
    storage: str | Path = "runs",
    estimator: str = "guided",
    confidence: float = 0.9,
    every_launch: bool = False,
) -> Analysis:
    """Compute D_E and D_T of a sweep and write the report, as `raydt analyze` does.

    `sweep` is a sweep of `plan`, or the name of one in the folder `storage`: one that was trained
    there, or a table of losses that `raydt import` read. With `every_launch` the cells of all its
    launches are read, not only those of the newest one's grid.

    Raises `InputError` and `RunError` as `analysis.analyze.analyze` does.

    >>> small = {"val_bytes": "2k", "test_bytes": "2k", "pretrain": {"epochs": 1}}
    >>> axes = dict(sources=["related"], targets=["alba"], sizes=["2k", "8k"], seeds=[0])
    >>> planned = plan(**axes, pretrain_size="8k", slots=1, name="small", protocol=small)
    >>> done = train(planned.sweep)
    >>> analysis = analyze(planned.sweep)
    >>> sorted(analysis.effective["target"].unique())
    ['alba']
    """
    from analysis.reuse import analyzed
    from raydt.tracking.uri import sqlite_uri

    if isinstance(sweep, str):
        name, folder = sweep, local_folder(str(storage))
        store_uri = sqlite_uri(folder / "mlflow.db")
    else:
        name, folder, store_uri = sweep.name, sweep.local_storage, sweep.store_uri
    result, _ = analyzed(
        store_uri,
        name,
        folder / name / "report",
        estimator=estimator,
        confidence=confidence,
        corpora_dir=folder / "corpora",
        every_launch=every_launch,
    )
    return result


def _dotted(fields: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Fields by dotted path, as on the command line."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
