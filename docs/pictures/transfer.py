"""README's first picture: what a finetune is worth in bytes, read off its target's scratch ladder.

    python docs/pictures/transfer.py runs/demo/report --target alba --size 2k --sources related lusa

The folder is one that `raydt analyze` wrote. The first source is the one that is explained; the
others have a point and an arrow. Writes transfer-light.svg and transfer-dark.svg beside this
script, without a background and in the greys of GitHub's pages.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.estimators.registry import DEFAULT, estimator_named
from analysis.ladder import Ladder, cell_means, ladders
from analysis.report.figures import SOURCE_MARKERS, STYLE
from raydt.tracking.schema import Stage
from raydt.units import approximate_bytes, parse_bytes

HERE = Path(__file__).parent
# Ink, faint ink, and the colours of the sources: on white, and on GitHub's dark page.
INKS = {
    "light": ("#1f2328", "#8c959f", ("#0a6ebd", "#bc4c00", "#1a7f37")),
    "dark": ("#e6edf3", "#7d8590", ("#58a6ff", "#f0883e", "#3fb950")),
}


def draw(ladder: Ladder, rows: pd.DataFrame, target: str, theme: str) -> Figure:
    """The figure of one target at one D_F; `rows` are of the effective table, one a source."""
    ink, faint, colours = INKS[theme]
    inked = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), ink)
    with mpl.rc_context({**STYLE, **inked, "xtick.color": ink, "ytick.color": ink}):
        figure = Figure(figsize=(8.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_yscale("log")
        _scratch(axes, ladder, ink)
        for place, row in enumerate(rows.to_dict("records")):
            _finetune(axes, row, colours[place], SOURCE_MARKERS[place], is_first=place == 0)
        first = rows.iloc[0]
        bottom = min(float(rows["loss"].min()), float(np.exp(ladder.log_loss).min())) * 0.87
        top = float(np.exp(ladder.log_loss).max()) * 1.06
        axes.set_ylim(bottom, top)
        axes.set_xlim(ladder.num_bytes[0] * 0.8, ladder.num_bytes[-1] * 1.28)
        for name, where in (("D_F", "finetune_bytes"), ("D_E", "effective_bytes")):
            axes.plot([first[where]] * 2, [bottom, first["loss"]], color=faint, lw=0.9, ls=":")
            said = f"{name} = {_bytes(first[where])}"
            axes.annotate(
                said, (first[where], bottom), (4, 4), textcoords="offset points", color=ink
            )
        axes.xaxis.set_major_locator(FixedLocator(list(ladder.num_bytes)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _bytes(x)))
        axes.yaxis.set_major_locator(FixedLocator([1.2, 1.4, 1.6, 1.8, 2.0, 2.2]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.1f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(f"bytes of {target} trained on")
        axes.set_ylabel("loss on unseen text, nats per byte")
    return figure


def _scratch(axes: Axes, ladder: Ladder, ink: str) -> None:
    """The rungs, and between them the curve that D_E is read off."""
    losses = ladder.monotone()
    between = np.linspace(losses[0], losses[-1], 80)
    read = estimator_named(DEFAULT)(ladder, between, 0.0).effective_bytes
    axes.plot(read, np.exp(between), color=ink, lw=1.8)
    axes.plot(ladder.num_bytes, np.exp(ladder.log_loss), color=ink, ls="", marker="o", ms=6)
    axes.annotate(
        "trained from scratch",
        (ladder.num_bytes[1], np.exp(losses[1])),
        (8, 6),
        textcoords="offset points",
        color=ink,
    )


def _finetune(
    axes: Axes, row: dict[str, float], colour: str, marker: str, *, is_first: bool
) -> None:
    start, end, loss = row["finetune_bytes"], row["effective_bytes"], row["loss"]
    style = {"arrowstyle": "-|>", "color": colour, "lw": 2.2 if is_first else 1.4}
    axes.annotate("", (end, loss), (start, loss), arrowprops={**style, "shrinkA": 5, "shrinkB": 0})
    axes.plot([start], [loss], color=colour, marker=marker, ms=9 if is_first else 7, ls="")
    amount, low, high = (_bytes(row[f"transferred_{end}bytes"]) for end in ("", "low_", "high_"))
    worth = f"D_T = {amount}  [{low}, {high}]"
    if is_first:
        axes.annotate(
            f"pretrained on {row['source']}, then finetuned on {_bytes(start)} of {row['target']}",
            (start, loss),
            (2, 11),
            textcoords="offset points",
            color=colour,
        )
        middle = float(np.sqrt(start * end))
        below = {"textcoords": "offset points", "color": colour, "weight": "bold", "ha": "center"}
        axes.annotate(worth, (middle, loss), (0, -16), **below)
    else:
        said = f"pretrained on {row['source']}\n{worth}"
        axes.annotate(
            said, (start, loss), (2, -9), textcoords="offset points", color=colour, va="top"
        )


def _bytes(amount: float) -> str:
    """As people write it: 15.5 kB."""
    text = approximate_bytes(round(amount))
    return f"{text} B" if text[-1].isdigit() else f"{text[:-1]} {text[-1]}B"


def save(figure: Figure, path: Path) -> None:
    """The same bytes each time."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "raydt"}):
        FigureCanvasSVG(figure)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="folder that `raydt analyze` wrote")
    parser.add_argument("--target", required=True)
    parser.add_argument("--size", required=True, help="D_F")
    parser.add_argument("--sources", required=True, nargs="+", help="at most three")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the pictures")
    given = parser.parse_args()
    effective = pd.read_csv(given.report / "effective.csv")
    mine = effective[
        (effective["stage"] == Stage.FINETUNE)
        & (effective["target"] == given.target)
        & (effective["finetune_bytes"] == parse_bytes(given.size))
    ].set_index("source", drop=False)
    rows = mine.loc[given.sources]
    if not (rows["range"] == "inside").all() or rows["transferred_low_bytes"].isna().any():
        parser.error("expected sources whose D_E is inside the ladder and has an interval")
    means = cell_means(pd.read_csv(given.report / "cells.csv"))
    ladder = ladders(means)[str(rows["model"].iloc[0]), given.target]
    for theme in INKS:
        save(draw(ladder, rows, given.target, theme), given.into / f"transfer-{theme}.svg")


if __name__ == "__main__":
    main()
