"""D_T of a few pairs, drawn as dots with intervals."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.answer import Place
from analysis.report.figures import SOURCE_COLOURS, STYLE
from analysis.report.inline_svg import INK
from analysis.report.predicted_table import MARK
from analysis.report.shown_table import minus
from analysis.wording import interval, sign_is_open, transferred, whole_bytes

HELP, HARM, OPEN = SOURCE_COLOURS[0], SOURCE_COLOURS[1], "#8c8c8c"
_BOUND_MARKERS = {"below": "<", "above": ">"}


def dots_figure(rows: pd.DataFrame, predicted: pd.DataFrame, place: Place) -> Figure:
    """One line per pair, grouped by target, the largest D_T first.

    `rows` are rows of the effective table at one model and size, `predicted` has the columns of
    `analysis.completion.completed.PREDICTED_COLUMNS`. A filled dot is an estimate, a triangle a
    bound, an open diamond a prediction. The label of the pair that `place` names is bold.
    """
    lines = _lines(rows, predicted)
    one_target = len({line["target"] for line in lines}) == 1
    one_source = len({line["source"] for line in lines}) == 1
    height = lines[-1]["height"] + 1
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.55 + 0.3 * height), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=INK, lw=0.8, ls=(0, (5, 4)))
        for line in lines:
            _draw(axes, line)
        axes.set_yticks(
            [line["height"] for line in lines],
            [
                line["source"]
                if one_target
                else line["target"]
                if one_source
                else f"{line['source']} → {line['target']}"
                for line in lines
            ],
        )
        for line, label in zip(lines, axes.get_yticklabels(), strict=True):
            if (line["source"], line["target"]) == (place.source, place.target) and len(lines) > 1:
                label.set_fontweight("bold")
        axes.set_ylim(height - 0.4, -0.6)
        axes.margins(x=0.06)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: minus(whole_bytes(x))))
        into = f" into {lines[0]['target']}" if one_target else ""
        after = f" after {lines[0]['source']}" if one_source else ""
        axes.set_xlabel(f"D_T{into}{after}, bytes")
    return figure


def _lines(rows: pd.DataFrame, predicted: pd.DataFrame) -> list[dict[Any, Any]]:
    """The pairs from the top down, each with its height in lines; half a line separates targets."""
    every = [
        *({**row, "predicted": False} for row in rows.to_dict("records")),
        *({**row, "predicted": True} for row in predicted.to_dict("records")),
    ]
    mean = pd.DataFrame(every).groupby("target")["transferred_bytes"].mean()
    every.sort(key=lambda row: (-mean[row["target"]], row["target"], -row["transferred_bytes"]))
    height = 0.0
    for place, row in enumerate(every):
        if place and len(mean) < len(every) and row["target"] != every[place - 1]["target"]:
            height += 0.5
        row["height"] = height
        height += 1
    return every


def _draw(axes: Axes, line: dict[Any, Any]) -> None:
    value, height = line["transferred_bytes"], line["height"]
    low, high = line["transferred_low_bytes"], line["transferred_high_bytes"]
    colour = OPEN if sign_is_open(line) else HELP if value > 0 else HARM
    if not math.isnan(low):
        axes.hlines(height, low, high, color=colour, lw=2, ls=":" if line["predicted"] else "-")
        for end, at in (("low", low), ("high", high)):
            if line[f"{end}_range"] in _BOUND_MARKERS:
                axes.plot(at, height, _BOUND_MARKERS[line[f"{end}_range"]], color=colour, ms=5)
    marker = "D" if line["predicted"] else _BOUND_MARKERS.get(line["range"], "o")
    open_mark = line["predicted"] or line["range"] != "inside"
    axes.plot(value, height, marker, color=colour, ms=7, mfc="none" if open_mark else colour)
    text = " ".join(filter(None, (transferred(line), interval(line))))
    axes.text(
        1.02,
        height,
        minus((MARK if line["predicted"] else "") + text),
        transform=axes.get_yaxis_transform(),
        va="center",
        style="italic" if line["predicted"] else "normal",
    )
