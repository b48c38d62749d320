"""The claims that a sweep can answer, known before training."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def show_answers(answers: Sequence[tuple[str, bool, str]], console: Console) -> None:
    """Print each question, whether it can have a verdict, and what it could show or would need."""
    if not answers:
        return
    can = sum(one for _, one, _ in answers)
    table = Table(
        title=f"{can} of {len(answers)} claims can have a verdict",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
        show_header=False,
    )
    for question, possible, detail in answers:
        table.add_row(
            question, "yes" if possible else "no", detail, style=None if possible else "dim"
        )
    console.print(table)
