"""The forecast and the outcome of a refinement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape

from raydt.grid.cell import Cell
from raydt.grid.refining import Choice, Refined, Refining
from raydt.terminal.amounts import duration

_MOST_REASONS = 3


def show_forecast(refining: Refining, choices: Sequence[Choice], console: Console) -> None:
    """Print the cells that `--until` would add, by the noise of the cells so far."""
    if not choices:
        console.print(
            "--until: the first cells decide what is added, and their noise is not known yet."
        )
        return
    cells = [cell for choice in choices for cell in choice.cells]
    seconds = sum(choice.seconds for choice in choices)
    if not cells:
        within = f"already within {refining.until:g}-fold"
        if choices[-1].widest > refining.until:
            within = "as narrow as this budget allows"
        console.print(f"--until: every interval of D_E that seeds can narrow is {within}.")
    else:
        console.print(
            f"--until: about {len(cells)} more cells ({_by_stage(cells)}) and {duration(seconds)} "
            f"of training narrow the widest interval of D_E from {choices[0].widest:.2f}-fold to "
            f"{choices[-1].widest:.2f}-fold, if all estimates stay the same."
        )
        groups = Counter(cell.run_name.rpartition(" s")[0] for cell in cells)
        most = ", ".join(f"{name} {number}" for name, number in groups.most_common(6))
        more = f" and {len(groups) - 6} others" if len(groups) > 6 else ""
        console.print(f"Seeds: {escape(most)}{more}", style="dim")
    _show_unreachable(choices[-1].unreachable, console)


def show_refined(refining: Refining, refined: Refined, console: Console) -> None:
    """Print what was added, the width of the widest interval, and why no more was added."""
    added = f"{len(refined.cells)} cells added"
    if refined.cells:
        added += f" ({_by_stage(refined.cells)})"
    widest = ""
    if refined.widest > 1:
        widest = f"; the widest interval of D_E is {refined.widest:.2f}-fold"
    console.print(f"--until {refining.until:g}: {added}{widest}")
    why = refined.outcome or "interrupted; run the same command to resume"
    console.print(f"Stopped adding: {escape(why)}.")
    _show_unreachable(refined.unreachable, console)


def _show_unreachable(reasons: Sequence[str], console: Console) -> None:
    for reason in reasons[:_MOST_REASONS]:
        console.print(escape(reason), style="yellow")
    if len(reasons) > _MOST_REASONS:
        console.print(f"and {len(reasons) - _MOST_REASONS} more like it", style="yellow")


def _by_stage(cells: Iterable[Cell]) -> str:
    counts = Counter(cell.stage for cell in cells)
    return ", ".join(f"{number} {stage}" for stage, number in counts.items())
