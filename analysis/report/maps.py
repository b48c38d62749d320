"""Source x target maps: D_T, and the share of D_E that it is; the colour is centred on 0."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from analysis.curves.scores_in_words import score_text
from analysis.report.figures import STYLE
from analysis.report.predicted_table import predicted_text
from analysis.wording import share_of_effective, transferred

WIDE_GRID = 6  # targets from which on cells are narrower and text smaller


def transfer_heatmap(rows: pd.DataFrame, predicted: pd.DataFrame) -> Figure:
    """D_T of source x target at one size (one model).

    `rows` are rows of the effective table. Of cells that are not there, those that are `predicted`
    (columns `analysis.completion.completed.PREDICTED_COLUMNS`) have their number marked and no
    colour; the others stay empty.
    """
    values = _with_a_sign(rows, rows["transferred_bytes"])
    limit = float(values.abs().max())
    limit = limit if limit > 0 else 1.0  # nothing, or no sign at all
    guesses = {(row["source"], row["target"]): predicted_text(row) for row in _records(predicted)}
    return _map(rows, values, [transferred(row) for row in _records(rows)], limit, guesses)


def share_heatmap(rows: pd.DataFrame) -> Figure:
    """D_T / D_E of source x target at one size: 0, nothing; towards 1, all of the data's worth.

    The colour ends at -1 and 1; a value under -1 is darkest red, and its number stands in the cell.
    """
    share = rows["transferred_bytes"] / rows["effective_bytes"]
    values = _with_a_sign(rows, share.clip(-1, 1))
    return _map(rows, values, [share_of_effective(row) for row in _records(rows)], 1.0)


def bilingual_heatmap(rows: pd.DataFrame) -> Figure:
    """Bilingual transfer score of source x target at one size (one model)."""
    values = _with_a_sign(rows, rows["score"])
    limit = float(values.abs().max())
    limit = limit if limit > 0 else 1.0
    return _map(rows, values, [score_text(row) for row in _records(rows)], limit)


def _with_a_sign(rows: pd.DataFrame, values: pd.Series) -> pd.Series:
    """`values` without the bounds that leave the sign open: "less than 2k" may be much or harm."""
    below, above = rows["range"] == "below", rows["range"] == "above"
    return values.mask((below & (values > 0)) | (above & (values < 0)))


def _records(rows: pd.DataFrame) -> list[dict[object, object]]:
    return list(rows.to_dict("records"))


def _map(
    rows: pd.DataFrame,
    values: pd.Series,
    texts: list[str],
    limit: float,
    predicted: Mapping[tuple[object, object], str] = MappingProxyType({}),
) -> Figure:
    sources, targets = sorted(rows["source"].unique()), sorted(rows["target"].unique())
    large = len(targets) > WIDE_GRID
    with mpl.rc_context(STYLE):
        wide = 1.1 + (0.66 if large else 0.85) * len(targets)
        figure = Figure(figsize=(wide, 0.6 + 0.42 * len(sources)), layout="constrained")
        axes = figure.add_subplot()
        colours, norm = mpl.colormaps["RdBu"], TwoSlopeNorm(0.0, -limit, limit)
        grid = np.full((len(sources), len(targets)), np.nan)
        for row, value, text in zip(_records(rows), values, texts, strict=True):
            down, right = sources.index(row["source"]), targets.index(row["target"])
            grid[down, right] = value
            paper = colours(norm(value)) if np.isfinite(value) else (1.0, 1.0, 1.0)
            dark = 0.299 * paper[0] + 0.587 * paper[1] + 0.114 * paper[2] < 0.55
            ink = "#6b6b6b" if np.isnan(value) else "#ffffff" if dark else "#1a1a1a"
            axes.text(
                right,
                down,
                text,
                ha="center",
                va="center",
                color=ink,
                fontsize=8.5 if large else 10,
            )
        for (source, target), text in predicted.items():
            axes.text(
                targets.index(target),
                sources.index(source),
                text,
                ha="center",
                va="center",
                color="#6b6b6b",
                fontsize=8.5 if large else 10,
                style="italic",
            )
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
