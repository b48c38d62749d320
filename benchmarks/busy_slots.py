"""How busy the slots of a launch are, and its makespan against list schedules of the same cells.

    PYTHONPATH=. python benchmarks/busy_slots.py                                # sweeps/smoke.toml
    PYTHONPATH=. python benchmarks/busy_slots.py -- --slots 2                   # the demo
    PYTHONPATH=. python benchmarks/busy_slots.py -- --sweep sweeps/smoke.toml --seeds 0 1
    PYTHONPATH=. python benchmarks/busy_slots.py --of runs --name demo          # an existing launch

Trains a grid (the arguments after `--` go to sweeps/grid.py) and reads from the cells' journals
when each began and ended. Everything is measured within one launch:

- busy: seconds that cells took, over the slots' seconds from the first cell's start to the last
  one's end. The rest is due to raydt (gaps between two cells of a slot) or to the grid (a slot that
  waits for a parent, or for the last cells of others), so the gaps are reported too.
- makespan over the best list schedule: the same cells with the same seconds, scheduled without gaps
  in the plan's order, with the true seconds, and by longest cell first; the better of the two.
  Below it is the lower bound of any schedule: all seconds over the slots, or the longest chain of a
  parent and its child.
"""

from __future__ import annotations

import argparse
import heapq
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal import read_journal
from raydt.grid.journal_rows import ResumeRow
from raydt.grid.ledger import Ledger, cell_folder
from raydt.grid.schedule import simulate
from raydt.terminal.status import find_sweep

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Span:
    """When a cell began and ended, in seconds since 1970."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def train(storage: Path, words: list[str]) -> None:
    """A launch of a grid in its own storage."""
    grid = [sys.executable, str(ROOT / "sweeps" / "grid.py")]
    subprocess.run([*grid, *words, "--storage", str(storage)], check=True)


def spans_of(sweep: Sweep, cells: list[Cell]) -> dict[str, Span]:
    """By cell id, from the journals of the attempts that count. `RunError` if a cell was
    interrupted and resumed: its seconds are from two launches."""
    results = Ledger.read(sweep, cells).results
    spans = {}
    for cell_id, result in results.items():
        rows = read_journal(cell_folder(sweep, cell_id), result.attempt)
        if any(isinstance(row, ResumeRow) for row in rows):
            raise RunError(f"{cell_id} was interrupted and resumed: measure another launch")
        spans[cell_id] = Span(rows[0].time, rows[-1].time)
    return spans


def slots_of(spans: Mapping[str, Span]) -> tuple[int, list[float], float, float]:
    """The number of slots used; seconds between a cell's end and the next one's start in the same
    slot; how long after the first slot the last one began, and how long before the last the first
    one ended.

    A cell is given to the slot that has been free for longest.
    """
    ordered = sorted(spans.values(), key=lambda span: span.start)
    free: list[float] = []
    busy: list[float] = []
    starts: list[float] = []
    gaps = []
    for span in ordered:
        while busy and busy[0] <= span.start:
            heapq.heappush(free, heapq.heappop(busy))
        if free:
            gaps.append(span.start - heapq.heappop(free))
        else:
            starts.append(span.start)
        heapq.heappush(busy, span.end)
    ends = [*free, *busy]
    return len(starts), gaps, max(starts) - min(starts), max(ends) - min(ends)


def longest_first(cells: list[Cell], seconds: Mapping[str, float], num_slots: int) -> float:
    """Makespan of the list schedule that starts the longest cell that may start."""
    children: dict[str | None, list[str]] = {}
    for cell in cells:
        children.setdefault(cell.parent_id, []).append(cell.cell_id)
    ready = [(-seconds[cell_id], cell_id) for cell_id in children.get(None, [])]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < num_slots:
            cell_id = heapq.heappop(ready)[1]
            heapq.heappush(running, (now + seconds[cell_id], cell_id))
        now, ended = heapq.heappop(running)
        for child in children.get(ended, []):
            heapq.heappush(ready, (-seconds[child], child))
    return now


def report(sweep: Sweep, console: Console) -> None:
    cells = build_grid(sweep)
    spans = spans_of(sweep, cells)
    cells = [cell for cell in cells if cell.cell_id in spans]
    seconds = {cell_id: span.seconds for cell_id, span in spans.items()}
    num_slots = sweep.num_slots
    num_used, gaps, late, early = slots_of(spans)
    makespan = max(s.end for s in spans.values()) - min(s.start for s in spans.values())
    total = sum(seconds.values())
    by_plan = simulate(cells, seconds, num_slots).makespan_seconds
    best = min(by_plan, longest_first(cells, seconds, num_slots))
    chain = max(seconds[c.cell_id] + (seconds[c.parent_id] if c.parent_id else 0) for c in cells)
    bound = max(total / num_slots, chain)

    table = Table(
        "measure",
        "value",
        "asked",
        title=f"{len(cells)} cells of {sweep.name}, {num_slots} slots",
        title_justify="left",
    )
    table.add_row("busy, first start to last end", f"{total / num_slots / makespan:.1%}", ">= 90 %")
    table.add_row("busy, in the best list schedule", f"{total / num_slots / best:.1%}", "")
    table.add_row("makespan / best list schedule", f"{makespan / best:.3f}", "<= 1.15")
    table.add_row("makespan / lower bound", f"{makespan / bound:.3f}", "")
    table.add_row("makespan", f"{makespan:.1f} s", "")
    table.add_row("slots that had a cell at once", f"{num_used}", f"{num_slots}")
    table.add_row("first start of the last slot, after the first's", f"{late:.1f} s", "")
    table.add_row("last end of a slot, before the last of all", f"{early:.1f} s", "")
    table.add_row("seconds of a cell, median", f"{median(seconds.values()):.2f} s", "")
    if gaps:
        table.add_row("gap between two cells, median", f"{1000 * median(gaps):.0f} ms", "")
        table.add_row(
            "gaps, together, of the slots' time", f"{sum(gaps) / num_slots / makespan:.1%}", ""
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument("--of", metavar="STORAGE", help="of a launch that was made")
    parser.add_argument("--name", help="of the sweep [the only one there is]")
    parser.add_argument("words", nargs="*", help="after --: of sweeps/grid.py")
    parsed = parser.parse_args()
    console = Console()
    words = parsed.words or ["--sweep", str(ROOT / "sweeps" / "smoke.toml")]
    load_before = os.getloadavg()[0]
    if parsed.of is not None:
        report(find_sweep(parsed.of, parsed.name), console)
        return
    with tempfile.TemporaryDirectory() as temporary:
        train(Path(temporary), words)
        report(find_sweep(temporary, parsed.name), console)
    console.print(
        f"load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
