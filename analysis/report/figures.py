"""The style of figures, and the ladder figure: a target's ladder with the gains of finetuning.

They have no background, and text and axes are mid-grey, so that a file reads on light and on dark
paper; inside the report the grey becomes the colour of the text around it (`inline_svg`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from analysis.ladder import Ladder
from analysis.laws.scaling import ScalingLaw
from analysis.report.inline_svg import INK
from raydt.tracking.schema import Stage
from raydt.units import approximate_bytes

# After Paul Tol's "vibrant" set, its blue lightened for dark paper; markers differ as well, so that
# nothing depends on colour alone.
SOURCE_COLOURS = ("#2B8CCB", "#EE7733", "#009988", "#EE3377", "#33BBEE", "#CC3311")
SOURCE_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MOST_ARROWS = 4  # sources; with more, arrows would cover what they point at
STYLE: dict[str, Any] = {  # matplotlib settings, of various types
    "svg.fonttype": "none",
    "text.parse_math": False,  # a corpus may be called "a$b$c"
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "hatch.color": "#b4b4b4",  # over pale cells, so not the colour of the page's text
    "hatch.linewidth": 0.8,
}


def source_styles(sources: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each source, the same in every figure of a report."""
    return {
        source: (
            SOURCE_COLOURS[place % len(SOURCE_COLOURS)],
            SOURCE_MARKERS[place % len(SOURCE_MARKERS)],
        )
        for place, source in enumerate(sources)
    }


def target_figure(
    ladder: Ladder, law: ScalingLaw | None, rows: pd.DataFrame, sources: Sequence[str]
) -> Figure:
    """Loss over bytes of one target, log-log, and an arrow D_T from each finetune to the ladder.

    `rows` are the target's rows of the effective table (one model); `sources` all of the report's.
    """
    styles = source_styles(sources)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_yscale("log")
        rungs = ladder.num_bytes
        zero_at = rungs[0] / 4  # zeroshot has no position on a log axis
        # A source with another vocabulary is at 9 nats per byte before finetuning; on the same axis
        # the ladder would be a flat line.
        tuned_losses = rows.loc[rows["stage"] == Stage.FINETUNE, "loss"]
        highest = 1.25 * float(np.exp(ladder.log_loss).max())
        highest = max(highest, 1.1 * float(tuned_losses.max())) if len(tuned_losses) else highest
        off_axis: list[str] = []
        if law is not None:
            x = np.geomspace(rungs[0], rungs[-1], 40)
            axes.plot(x, law.predict(x), color=INK, lw=0.8, ls=(0, (5, 4)), label="law")
            _band(axes, law, x)
        arrows = _arrows_of(rows)
        axes.plot(rungs, np.exp(ladder.monotone()), color=INK, lw=1.6, label="scratch", zorder=3)
        axes.plot(rungs, np.exp(ladder.log_loss), color=INK, ls="", marker="o", ms=5, zorder=4)
        for source, mine in rows.groupby("source", sort=True):
            colour, marker = styles[str(source)]
            ordered = mine.sort_values("finetune_bytes")
            x = ordered["finetune_bytes"].to_numpy(dtype=float)
            tuned = ordered["stage"].to_numpy() == Stage.FINETUNE
            x = np.where(x > 0, x, zero_at)
            y = ordered["loss"].to_numpy(dtype=float)
            axes.plot(x[tuned], y[tuned], color=colour, lw=1.6, marker=marker, ms=6, label=source)
            on_axis = ~tuned & (y <= highest)
            axes.plot(x[on_axis], y[on_axis], color=colour, ls="", marker=marker, ms=6, mfc="none")
            off_axis += [f"{source} {loss:.1f}" for loss in y[~tuned & ~on_axis]]
            for start, row in zip(x, ordered.to_dict("records"), strict=True):
                if row["loss"] <= highest and (source, row["finetune_bytes"]) in arrows:
                    _arrow(axes, float(start), row, colour)
        if off_axis:
            text = "off the axis:\n" + "\n".join(off_axis)
            axes.text(zero_at, highest, text, color=INK, fontsize="small", ha="left", va="top")
            axes.set_ylim(top=highest * 1.02)
        _byte_ticks(axes, rungs, zero_at if (rows["finetune_bytes"] == 0).any() else None)
        _loss_ticks(axes)
        axes.set_xlabel("bytes of target text")
        axes.set_ylabel("loss, nats per byte")
        figure.legend(loc="outside right upper")
    return figure


def encoded(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as SVG and as PDF, byte for byte reproducible.

    It is laid out once, with the metrics of SVG: by default matplotlib would lay it out for each
    format, with an extra drawing pass each.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": "raydt"}):
        figure.set_dpi(72)  # for both formats; the layout depends on it
        figure.set_canvas(FigureCanvasSVG(figure))
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        return _saved(figure, "svg", "Date"), _saved(figure, "pdf", "CreationDate")


def _saved(figure: Figure, kind: str, date: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, transparent=True, metadata={date: None})
    return stream.getvalue()


def _band(axes: Axes, law: ScalingLaw, x: Any) -> None:
    """The law's interval, if it has one."""
    interval = getattr(law, "predict_interval", None)
    if interval is None:
        return
    low, high = interval(x)
    if np.isfinite(low).all():
        axes.fill_between(x, low, high, color=INK, alpha=0.15, lw=0, label="its interval")


def _arrows_of(rows: pd.DataFrame) -> set[tuple[str, int]]:
    """(source, D_F) of the arrows to draw: all, or the best and the worst if there are many."""
    if rows["source"].nunique() <= MOST_ARROWS:
        return set(zip(rows["source"], rows["finetune_bytes"], strict=True))
    chosen = set()
    for size, mine in rows.groupby("finetune_bytes"):
        for place in (mine["loss"].idxmin(), mine["loss"].idxmax()):
            chosen.add((mine.loc[place, "source"], size))
    return chosen


def _arrow(axes: Axes, start: float, row: dict[Any, Any], colour: str) -> None:
    """D_T: from the finetune to where the ladder has its loss; dotted if that is a bound."""
    inside = row["range"] == "inside"
    if row["effective_bytes"] == start:
        return
    axes.annotate(
        "",
        xy=(row["effective_bytes"], row["loss"]),
        xytext=(start, row["loss"]),
        arrowprops={
            "arrowstyle": "-|>" if inside else "->",
            "color": colour,
            "lw": 1.0,
            "ls": "-" if inside else ":",
            "alpha": 0.75,
            "shrinkA": 4,
            "shrinkB": 0,
            "mutation_scale": 9,
        },
    )


def _byte_ticks(axes: Axes, rungs: Any, zero_at: float | None) -> None:
    ticks, labels = list(rungs), [approximate_bytes(rung) for rung in rungs]
    if zero_at is not None:
        ticks, labels = [zero_at, *ticks], ["0 (zeroshot)", *labels]
    axes.set_xticks(ticks, labels)
    axes.xaxis.set_minor_locator(NullLocator())


def _loss_ticks(axes: Axes) -> None:
    """A few round losses: on less than a decade a log axis labels none, or all."""
    low, high = axes.get_ylim()
    if high / low > 6:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        return
    step = next(
        step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 1e9) if (high - low) / step <= 6
    )
    ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    axes.yaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
