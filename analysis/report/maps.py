"""Source x target maps: D_T, and the share of D_E that it is; the colour is centred on 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.answer import Place
from analysis.curves.scores_in_words import score_text
from analysis.report.figures import STYLE
from analysis.report.inline_svg import INK
from analysis.report.predicted_table import predicted_text
from analysis.report.shown_table import minus
from analysis.wording import includes_zero, interval, share_of_effective, transferred

WIDE_GRID = 6  # targets from which on cells are narrower and text smaller
MOST_INTERVALS = 12  # targets beyond which an interval under each number is too small to read


def transfer_heatmap(
    rows: pd.DataFrame, predicted: pd.DataFrame, order: Sequence[str] = ()
) -> Figure:
    """D_T of source x target at one size (one model).

    `rows` are rows of the effective table. Of cells that are not there, those that are `predicted`
    (columns `analysis.completion.completed.PREDICTED_COLUMNS`) have their number marked and no
    colour; the others stay empty. Cells whose interval includes 0 are hatched. Languages stand in
    the `order` given, those that it lacks last.
    """
    return _map(_transfer_cells(rows, predicted), _limit(rows["transferred_bytes"]), order)


def opening_heatmap(
    rows: pd.DataFrame, predicted: pd.DataFrame, place: Place, order: Sequence[str] = ()
) -> Figure:
    """`transfer_heatmap` with intervals in the cells, and a frame around the pair of `place`."""
    cells = _transfer_cells(rows, predicted)
    if rows["target"].nunique() <= MOST_INTERVALS:
        for cell, row in zip(cells, _records(rows) + _records(predicted), strict=True):
            cell.interval = interval(row)
    return _map(cells, _limit(rows["transferred_bytes"]), order, (place.source, place.target))


def share_heatmap(rows: pd.DataFrame, order: Sequence[str] = ()) -> Figure:
    """D_T / D_E of source x target at one size: 0, nothing; towards 1, all of the data's worth.

    The colour ends at -1 and 1; a value under -1 is darkest red, and its number stands in the cell.
    """
    share = rows["transferred_bytes"] / rows["effective_bytes"]
    values = _with_a_sign(rows, share.clip(-1, 1))
    cells = [
        _Cell(row["source"], row["target"], value, share_of_effective(row))
        for row, value in zip(_records(rows), values, strict=True)
    ]
    return _map(cells, 1.0, order)


def bilingual_heatmap(rows: pd.DataFrame) -> Figure:
    """Bilingual transfer score of source x target at one size (one model)."""
    values = _with_a_sign(rows, rows["score"])
    cells = [
        _Cell(row["source"], row["target"], value, score_text(row))
        for row, value in zip(_records(rows), values, strict=True)
    ]
    return _map(cells, _limit(values), ())


@dataclass
class _Cell:
    """value: what its colour means, NaN for none; text, interval: what stands in it."""

    source: str
    target: str
    value: float
    text: str
    interval: str = ""
    hatched: bool = False
    predicted: bool = False


def _transfer_cells(rows: pd.DataFrame, predicted: pd.DataFrame) -> list[_Cell]:
    values = _with_a_sign(rows, rows["transferred_bytes"])
    measured = [
        _Cell(row["source"], row["target"], value, transferred(row), hatched=includes_zero(row))
        for row, value in zip(_records(rows), values, strict=True)
    ]
    guesses = [
        _Cell(row["source"], row["target"], np.nan, predicted_text(row), predicted=True)
        for row in _records(predicted)
    ]
    return measured + guesses


def _limit(values: pd.Series) -> float:
    """Where the colours end: 1 where there is nothing, or no sign at all."""
    limit = float(values.abs().max())
    return limit if limit > 0 else 1.0


def _with_a_sign(rows: pd.DataFrame, values: pd.Series) -> pd.Series:
    """`values` without the bounds that leave the sign open: "less than 2k" may be much or harm."""
    below, above = rows["range"] == "below", rows["range"] == "above"
    return values.mask((below & (values > 0)) | (above & (values < 0)))


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return list(rows.to_dict("records"))


def _map(
    cells: Sequence[_Cell],
    limit: float,
    order: Sequence[str],
    framed: tuple[str, str] | None = None,
) -> Figure:
    rank = {name: place for place, name in enumerate(order)}
    sources, targets = (
        sorted({getattr(cell, role) for cell in cells}, key=lambda n: (rank.get(n, len(rank)), n))
        for role in ("source", "target")
    )
    large = len(targets) > WIDE_GRID
    intervals = any(cell.interval for cell in cells)
    across, down = 0.66 if large else 0.85, 0.42
    if intervals:
        across, down = (0.78, 0.46) if large else (1.0, 0.52)
    with mpl.rc_context(STYLE):
        size = (1.1 + across * len(targets), 0.6 + down * len(sources))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        colours, norm = mpl.colormaps["RdBu"], TwoSlopeNorm(0.0, -limit, limit)
        grid = np.full((len(sources), len(targets)), np.nan)
        for cell in cells:
            y, x = sources.index(cell.source), targets.index(cell.target)
            grid[y, x] = cell.value
            _write(axes, x, y, cell, colours(norm(cell.value)), 8.5 if large else 10)
            if cell.hatched:
                _box(axes, x, y, hatch="//", lw=0, zorder=2)
            if (cell.source, cell.target) == framed:  # on light and dark cells and pages
                _box(axes, x, y, edgecolor="#ffffff", lw=5, zorder=4)
                _box(axes, x, y, edgecolor="#1a1a1a", lw=2, zorder=5)
        # A mesh of rectangles and not an image: it stays sharp, and needs no embedded bitmap.
        axes.pcolormesh(grid, cmap=colours, norm=norm, edgecolors="none", clip_on=False)
        axes.collections[0].set_transform(
            mpl.transforms.Affine2D().translate(-0.5, -0.5) + axes.transData
        )
        axes.set_xlim(-0.5, len(targets) - 0.5)
        axes.set_ylim(len(sources) - 0.5, -0.5)
        axes.set_xticks(range(len(targets)), targets)
        axes.set_yticks(range(len(sources)), sources)
        axes.set_xlabel("target")
        axes.set_ylabel("source")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def _write(
    axes: Axes, x: int, y: int, cell: _Cell, paper: tuple[float, ...], font_size: float
) -> None:
    """The number, and the interval under it, in a colour that reads on the cell's."""
    ink = INK  # of the page where the cell has no colour
    if np.isfinite(cell.value):
        dark = 0.299 * paper[0] + 0.587 * paper[1] + 0.114 * paper[2] < 0.55
        ink = "#ffffff" if dark else "#1a1a1a"
    middle: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
    style = "italic" if cell.predicted else "normal"
    up = 0.14 if cell.interval else 0.0
    axes.text(x, y - up, minus(cell.text), fontsize=font_size, style=style, **middle)
    if cell.interval:
        small = 0.72 * font_size
        axes.text(x, y + 0.24, minus(cell.interval), fontsize=small, style=style, **middle)


def _box(axes: Axes, x: int, y: int, **looks: Any) -> None:
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, clip_on=False, **looks))
