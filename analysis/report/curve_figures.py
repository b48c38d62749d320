"""The figure of a crossover: loss over training cost, from scratch and finetuned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.curves.drawn import DrawnCurves
from analysis.report.figures import STYLE, source_styles
from analysis.report.inline_svg import INK
from raydt.units import approximate_bytes

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def crossover_figure(
    curves: DrawnCurves,
    crossings: pd.DataFrame,
    flops_per_byte: float,
    sources: Sequence[str],
) -> Figure:
    """Losses over training FLOPs, or over bytes seen where `flops_per_byte` is NaN; both axes
    logarithmic.

    Solid: the cost of the finetune itself; dashed: with its pretrain. A ring marks where scratch
    overtakes the finetune for good, a square where the pretrain pays off. `crossings` has columns
    of `analysis.curves.crossover.CROSSOVER_COLUMNS`. `sources` are all of the report's.
    """
    styles = source_styles(sources)
    cost = 1.0 if math.isnan(flops_per_byte) else flops_per_byte
    mine = crossings[
        (crossings["model"] == curves.model)
        & (crossings["target"] == curves.target)
        & (crossings["finetune_bytes"] == curves.finetune_bytes)
    ].set_index("source")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_yscale("log")
        seen, loss = curves.scratch
        axes.plot(seen * cost, loss, color=INK, lw=1.8, label="scratch", zorder=3)
        for source, (bytes_seen, losses) in curves.tuned.items():
            colour, _ = styles[source]
            axes.plot(bytes_seen * cost, losses, color=colour, lw=1.2, label=source)
            spent = float(mine["pretrain_bytes"].get(source, math.nan))
            if not math.isnan(spent):
                axes.plot((bytes_seen + spent) * cost, losses, color=colour, lw=1.0, ls=(0, (4, 3)))
            for name, marker in (("scratch_ahead", "o"), ("pretrain_paid", "s")):
                if mine[f"{name}_range"].get(source) == "inside":
                    x = float(mine[f"{name}_bytes"][source])
                    y = float(np.interp(x, seen, loss))
                    axes.plot(x * cost, y, ls="", marker=marker, ms=8, mfc="none", color=colour)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        if math.isnan(flops_per_byte):
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: approximate_bytes(value)))
            axes.set_xlabel("bytes seen")
        else:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power_of_ten(value)))
            axes.set_xlabel("training FLOPs")
        axes.set_ylabel("validation loss, nats per byte")
        figure.legend(loc="outside right upper")
    return figure


def _power_of_ten(value: float) -> str:
    """10¹²: matplotlib's own label is TeX, which the report's figures do not render."""
    return "10" + f"{round(math.log10(value))}".translate(_SUPERSCRIPT)
