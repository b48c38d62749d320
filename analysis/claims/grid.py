"""Source x target grids of one model, a value for each pair, with what is censored known.

The response is log(D_E / D_F): D_E is compared between targets and sizes on a log scale, and at one
size it orders pairs as D_T does. A D_E off the ladder is a bound. It enters numbers at the bound,
and ranks as lower or higher than everything measured, tied with its like; how many there are is
said wherever a grid is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from analysis.arrays import Floats
from raydt.tracking.schema import Stage


@dataclass(frozen=True)
class Grid:
    """values (S, T), NaN where there is no cell or source and target are one language."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Floats

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """(S, T): where there is a value."""
        return np.isfinite(self.values)

    @property
    def num_pairs(self) -> int:
        """Pairs with a value."""
        return int(self.observed.sum())

    def different(self) -> npt.NDArray[np.bool_]:
        """(S, T): where source and target are two languages."""
        return np.array([[one != other for other in self.targets] for one in self.sources])

    def only(self, sources: list[str], targets: list[str]) -> Grid:
        """The part of these sources and targets, in the grid's order."""
        rows = [place for place, name in enumerate(self.sources) if name in sources]
        columns = [place for place, name in enumerate(self.targets) if name in targets]
        return Grid(
            tuple(self.sources[row] for row in rows),
            tuple(self.targets[column] for column in columns),
            self.values[np.ix_(rows, columns)],
        )


def finetuned(effective: pd.DataFrame, model: str) -> pd.DataFrame:
    """The finetuned pairs of two different languages of one model, with the responses.

    Adds log_ratio (log of D_E / D_F), rank (of D_E within its size, 0 to 1, censored tied at the
    ends), gain (log of scratch loss / loss at D_F: never censored, NaN off the ladder) and
    log_loss.
    """
    rows = effective[
        (effective["model"] == model)
        & (effective["stage"] == Stage.FINETUNE)
        & (effective["finetune_bytes"] > 0)
        & (effective["source"] != effective["target"])
    ].copy()
    rows["log_ratio"] = np.log(rows["effective_bytes"] / rows["finetune_bytes"])
    ordered = rows["effective_bytes"].where(rows["range"] != "above", np.inf)
    ordered = ordered.where(rows["range"] != "below", -np.inf)
    rows["rank"] = ordered.groupby(rows["finetune_bytes"]).transform(
        lambda values: (rankdata(values) - 0.5) / len(values)
    )
    rows["gain"] = np.log(rows["scratch_loss"] / rows["loss"])
    rows["log_loss"] = np.log(rows["loss"])
    return rows


def grid_of(rows: pd.DataFrame, column: str) -> Grid:
    """The grid of one size: at most one row for each pair."""
    table = rows.pivot(index="source", columns="target", values=column).sort_index()
    return _grid(table.reindex(sorted(table.columns), axis=1))


def pooled(rows: pd.DataFrame, column: str) -> Grid:
    """A value for each pair over all sizes: its effect beside the effect of the size.

    Least squares of pair + size, so that a pair that misses a size is not judged by the sizes it
    has; centred on the mean over sizes.
    """
    known = rows[np.isfinite(rows[column].to_numpy(dtype=float))]
    if known.empty:
        return Grid((), (), np.empty((0, 0)))
    pairs = pd.MultiIndex.from_frame(known[["source", "target"]])
    pair_codes, pair_names = pd.factorize(pairs, sort=True)
    size_codes, sizes = pd.factorize(known["finetune_bytes"], sort=True)
    design = np.zeros((len(known), len(pair_names) + len(sizes)))
    design[np.arange(len(known)), pair_codes] = 1
    design[np.arange(len(known)), len(pair_names) + size_codes] = 1
    # A constraint row: the effects of the sizes sum to zero.
    design = np.vstack([design, [0] * len(pair_names) + [1] * len(sizes)])
    response = np.append(known[column].to_numpy(dtype=float), 0.0)
    effects = np.linalg.lstsq(design, response, rcond=None)[0][: len(pair_names)]
    table = pd.Series(effects, index=pd.MultiIndex.from_tuples(pair_names)).unstack()
    return _grid(table)


def censored_note(rows: pd.DataFrame) -> list[str]:
    """How many D_E are bounds, as a sentence; none if none is."""
    below, above = ((rows["range"] == word).sum() for word in ("below", "above"))
    if not below + above:
        return []
    return [
        f"{below + above} of {len(rows)} D_E are bounds ({below} below the ladder, {above} above): "
        "they enter at the bound, and rank beyond all that was measured."
    ]


def _grid(table: pd.DataFrame) -> Grid:
    return Grid(
        tuple(map(str, table.index)), tuple(map(str, table.columns)), table.to_numpy(dtype=float)
    )
