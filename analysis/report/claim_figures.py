"""Figures of the claims: effects of source and target, and transfer over distance."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from analysis.report.figures import SOURCE_COLOURS, STYLE
from analysis.report.inline_svg import INK

PANELS_ACROSS = 3
_KEYS = ("source", "target", "log_ratio", "beyond_main_effects")


def effects_figure(effects: pd.DataFrame) -> Figure:
    """Dots with intervals: D_E of each source and target relative to the mean.

    `effects` is the table of `analysis.claims.twoway.effects_table`, effects on a natural log.
    """
    roles = [role for role in ("source", "target") if (effects["role"] == role).any()]
    most = max(int((effects["role"] == role).sum()) for role in roles)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.26 * most), layout="constrained")
        axes = figure.subplots(1, len(roles), sharex=True, squeeze=False)[0]
        for role, panel, colour in zip(roles, axes, SOURCE_COLOURS, strict=False):
            mine = effects[effects["role"] == role].sort_values("effect", kind="stable")
            place = np.arange(len(mine))
            panel.set_xscale("log")
            panel.axvline(1, color=INK, lw=0.8, ls=(0, (5, 4)))
            panel.hlines(place, np.exp(mine["low"]), np.exp(mine["high"]), color=colour, lw=1.6)
            panel.plot(np.exp(mine["effect"]), place, "o", color=colour, ms=6)
            panel.set_yticks(place, mine["language"])
            panel.set_title(f"as {role}", fontsize="medium", loc="left")
            panel.tick_params(axis="y", length=0)
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_minor_locator(NullLocator())
            panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}×"))
            panel.set_xlabel("times the mean D_E")
    return figure


def correlates_figure(pairs: pd.DataFrame, results: pd.DataFrame) -> Figure | None:
    """One panel per predictor: log(D_E / D_F) beyond main effects, over the predictor.

    `pairs` and `results` are the tables of `analysis.claims.explained`. None if main effects are
    not identified.
    """
    names = [name for name in pairs.columns if name not in _KEYS and pairs[name].nunique() > 1]
    if not names or pairs["beyond_main_effects"].isna().all():
        return None
    chosen = results[
        (results["method"] == "QAP") & (results["measure"] == "Pearson") & results["main_effects"]
    ].set_index("predictor")
    down = -(-len(names) // PANELS_ACROSS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.3 + 2.0 * down), layout="constrained")
        grid = figure.subplots(down, PANELS_ACROSS, sharey=True, squeeze=False).ravel()
        for panel in grid[len(names) :]:
            panel.set_visible(False)
        for name, panel in zip(names, grid, strict=False):
            panel.axhline(0, color=INK, lw=0.8, ls=(0, (5, 4)))
            panel.plot(
                pairs[name],
                pairs["beyond_main_effects"],
                "o",
                ms=4,
                alpha=0.7,
                mew=0,
                color=SOURCE_COLOURS[0],
            )
            title = name
            if name in chosen.index and np.isfinite(chosen.loc[name, "r"]):
                title += f"\nr {chosen.loc[name, 'r']:+.2f}, p {chosen.loc[name, 'p_holm']:.2g}"
            panel.set_title(title, fontsize="small", loc="left")
            panel.xaxis.set_major_locator(MaxNLocator(4))
        figure.supylabel("log(D_E / D_F) beyond main effects", fontsize="small")
    return figure
