"""The figure of the transfer laws: D_T over D_F, and D_T = k·D_F^alpha through it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.report.figures import STYLE, source_styles
from analysis.report.inline_svg import INK
from raydt.tracking.schema import Stage
from raydt.units import approximate_bytes


def transfer_law_figure(
    rows: pd.DataFrame, laws: pd.DataFrame, sources: Sequence[str]
) -> Figure | None:
    """D_T of one target (one model) over D_F, log-log, with a law per source and one for all.

    `rows` are rows of the effective table; `laws` rows of the table of transfer laws (columns
    level, source, k, alpha). A power law has no sign: negative D_T are marks on the lower edge, and
    bounds are open marks. None where no law was fitted. `sources` are all of the report's.
    """
    tuned = rows[rows["stage"] == Stage.FINETUNE]
    positive = tuned[tuned["transferred_bytes"] > 0]
    fitted = laws[laws["k"].notna() & laws["alpha"].notna()]
    if fitted.empty or positive.empty:
        return None
    styles = source_styles(sources)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(
            positive["transferred_bytes"].min() / 2, positive["transferred_bytes"].max() * 2
        )
        # Two points suffice: on these axes a power law is a line.
        x = np.array([tuned["finetune_bytes"].min(), tuned["finetune_bytes"].max()], dtype=float)
        for law in fitted.to_dict("records"):
            pair = law["level"] == "pair"
            colour = styles[str(law["source"])][0] if pair else INK
            line = "-" if pair else (0, (5, 4))
            axes.plot(
                x,
                law["k"] * x ** law["alpha"],
                color=colour,
                lw=1.0 if pair else 1.8,
                ls=line,
                label=None if pair else "all sources",
            )
        for source, mine in tuned.groupby("source", sort=True):
            colour, marker = styles[str(source)]
            up = mine[mine["transferred_bytes"] > 0]
            inside = up["range"] == "inside"
            axes.plot(
                up["finetune_bytes"][inside],
                up["transferred_bytes"][inside],
                ls="",
                marker=marker,
                color=colour,
                ms=6,
                label=source,
            )
            axes.plot(
                up["finetune_bytes"][~inside],
                up["transferred_bytes"][~inside],
                ls="",
                marker=marker,
                color=colour,
                ms=6,
                mfc="none",
            )
            lost = mine[mine["transferred_bytes"] <= 0]
            axes.plot(
                lost["finetune_bytes"],
                np.zeros(len(lost)),
                ls="",
                marker="v",
                ms=6,
                color=colour,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: approximate_bytes(value)))
            axis.set_minor_locator(NullLocator())
        axes.set_xlabel("finetuned on, bytes (D_F)")
        axes.set_ylabel("D_T, bytes")
        figure.legend(loc="outside right upper")
    return figure
