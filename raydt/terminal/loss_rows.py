"""The parsed rows of an imported table of losses, for `--dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHOWN = 3  # of each stage
_SHOWN_NAMES = 12


class Row(Protocol):
    """A row of a table of losses."""

    @property
    def stage(self) -> str: ...
    @property
    def source(self) -> str | None: ...
    @property
    def target(self) -> str | None: ...
    @property
    def size(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def model(self) -> str: ...
    @property
    def test_loss(self) -> float | None: ...


class ParsedLosses(Protocol):
    """A parsed table of losses."""

    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def sizes(self) -> str: ...
    @property
    def left_out(self) -> Sequence[str]: ...
    @property
    def notes(self) -> Sequence[str]: ...


def show_parsed_losses(read: ParsedLosses, console: Console) -> None:
    """Print the first rows of each stage, the counts, all languages, sizes and seeds, and the rows
    that were left out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("stage", "source", "target", "model", "size"):
        table.add_column(name, no_wrap=True)
    for name in ("bytes", "seed", "nats per byte"):
        table.add_column(name, justify="right", no_wrap=True)
    by_stage: dict[str, list[Row]] = {}
    for row in read.rows:
        by_stage.setdefault(row.stage, []).append(row)
    for row in (row for rows in by_stage.values() for row in rows[:_SHOWN]):
        names = (row.stage, row.source or "", row.target or "", row.model, row.size)
        loss = "missing" if row.test_loss is None else f"{row.test_loss:.6g}"
        table.add_row(*map(escape, names), f"{row.size_bytes:,}", str(row.seed), loss)
    console.print(table)
    counted = ", ".join(f"{len(rows)} {stage}" for stage, rows in by_stage.items())
    cells = "1 cell" if len(read.rows) == 1 else f"{len(read.rows)} cells"
    console.print(f"{cells}: {counted}. Sizes: {read.sizes}.", markup=False)
    sizes = {row.size_bytes for row in read.rows}
    for name, values in (
        ("sources", sorted({row.source for row in read.rows if row.source is not None})),
        ("targets", sorted({row.target for row in read.rows if row.target is not None})),
        ("bytes", [f"{size:,}" for size in sorted(sizes)]),
        ("seeds", [str(seed) for seed in sorted({row.seed for row in read.rows})]),
        ("models", sorted({row.model for row in read.rows})),
    ):
        left = len(values) - _SHOWN_NAMES
        more = f" and {left} more" if left > 0 else ""
        mark = "; " if name == "bytes" else ", "
        console.print(f"{name:8}{mark.join(values[:_SHOWN_NAMES])}{more}", markup=False)
    for text in read.left_out:
        console.print(f"Left out: {text}.", markup=False)
    for text in read.notes:
        console.print(f"Note: {text}.", markup=False)
    console.print("Nothing was written. Run the command without --dry-run to import the table.")
