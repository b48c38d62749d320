"""Source x target grids of one model: one value per pair, with censoring.

The response is log(D_E / D_F): D_E is compared between targets and sizes on a log scale, and at one
size it orders pairs as D_T does. A D_E off the ladder is a bound. It enters as the bound, and in
ranks as lower or higher than everything measured, tied with other bounds; the number of bounds is
reported wherever a grid is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.evidence import Evidence
from analysis.quantiles import mean_ranks
from analysis.uncertainty.gains import GAIN_COLUMNS
from raydt.tracking.schema import Stage


@dataclass(frozen=True)
class Grid:
    """values (S, T), NaN without a cell or if source and target are the same language; drawn: the
    same in every resample (R, S, T), None if the noise is unknown."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Floats
    drawn: Floats | None = None

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """(S, T): where there is a value."""
        return np.isfinite(self.values)

    @property
    def num_pairs(self) -> int:
        """Pairs with a value."""
        return int(self.observed.sum())

    def different(self) -> npt.NDArray[np.bool_]:
        """(S, T): where source and target are different languages."""
        pairs = [[one != other for other in self.targets] for one in self.sources]
        return np.array(pairs, dtype=bool).reshape(len(self.sources), len(self.targets))

    def only(self, sources: list[str], targets: list[str]) -> Grid:
        """The subgrid of these sources and targets, in the grid's order."""
        rows = [place for place, name in enumerate(self.sources) if name in sources]
        columns = [place for place, name in enumerate(self.targets) if name in targets]
        return Grid(
            tuple(self.sources[row] for row in rows),
            tuple(self.targets[column] for column in columns),
            self.values[np.ix_(rows, columns)],
            None if self.drawn is None else self.drawn[:, rows][:, :, columns],
        )

    def observed_draws(self) -> Floats | None:
        """Resamples of the observed cells, (R, n) in the order of `values[observed]`."""
        return None if self.drawn is None else self.drawn[:, self.observed]


@dataclass(frozen=True)
class Finetuned:
    """Rows of finetuned pairs, and resamples (R, rows) of their log_ratio if there are any."""

    rows: pd.DataFrame
    drawn: Floats | None = None

    def where(self, kept: npt.NDArray[np.bool_]) -> Finetuned:
        """Some of the rows."""
        return Finetuned(self.rows[kept], None if self.drawn is None else self.drawn[:, kept])


def finetuned(effective: pd.DataFrame, model: str, noise: Evidence | None = None) -> Finetuned:
    """The finetuned pairs of two different languages of one model, with the responses.

    Adds log_ratio (log of D_E / D_F), rank (of D_E within its size, 0 to 1, censored tied at the
    ends), log_loss, distrusted, and the columns of `analysis.uncertainty.gains`: gain (log of
    scratch loss / loss at D_F: never censored, NaN off the ladder) and its noise.
    """
    kept = (
        (effective["model"] == model)
        & (effective["stage"] == Stage.FINETUNE)
        & (effective["finetune_bytes"] > 0)
        & (effective["source"] != effective["target"])
    ).to_numpy(dtype=bool)
    rows = effective[kept].copy()
    rows["log_ratio"] = np.log(rows["effective_bytes"] / rows["finetune_bytes"])
    ordered = rows["effective_bytes"].where(rows["range"] != "above", np.inf)
    ordered = ordered.where(rows["range"] != "below", -np.inf)
    rows["rank"] = ordered.groupby(rows["finetune_bytes"]).transform(
        lambda values: (mean_ranks(values) - 0.5) / len(values)
    )
    rows["log_loss"] = np.log(rows["loss"])
    if noise is None:
        rows["gain"] = np.log(rows["scratch_loss"] / rows["loss"])
        rows[GAIN_COLUMNS[1:]] = np.nan
        return Finetuned(rows.assign(distrusted=False))
    rows[GAIN_COLUMNS] = noise.gains.loc[rows.index, GAIN_COLUMNS]
    keys = zip(rows["model"], rows["target"], rows["finetune_bytes"], strict=True)
    rows["distrusted"] = [key in noise.distrusted for key in keys]
    return Finetuned(rows, None if noise.log_ratio is None else noise.log_ratio[:, kept])


@dataclass(frozen=True)
class Comparable:
    """What remains to compare; `bounded`: whether some of it are bounds nevertheless."""

    found: Finetuned
    bounded: bool
    notes: list[str]


def comparable(found: Finetuned) -> Comparable:
    """Without sizes of a target at which cells were limited by steps, or a D_E is a bound.

    A size is dropped for all sources of the target at once, so that all sources are compared over
    the same sizes; and only as long as every pair keeps a size.
    """
    notes: list[str] = []
    rows = found.rows
    pairs = rows["source"] + "\0" + rows["target"]

    def without(dropped: npt.NDArray[np.bool_]) -> Finetuned | None:
        kept = ~dropped
        return found.where(kept) if set(pairs[kept]) == set(pairs) else None

    distrusted = rows["distrusted"].to_numpy(dtype=bool)
    bound = rows["range"] != "inside"
    bound = bound.groupby([rows["target"], rows["finetune_bytes"]]).transform("any").to_numpy()
    left = without(distrusted | bound)
    if left is None and distrusted.any():
        left = without(distrusted)
    if left is None:
        left = without(bound)
    if left is None:
        left = found
    out = len(rows) - len(left.rows)
    if out:
        why = [
            name
            for name, flag in (
                ("a D_E at the same target and size is a bound", bound & ~_within(rows, left.rows)),
                ("the ladder is limited by steps", distrusted & ~_within(rows, left.rows)),
            )
            if flag.any()
        ]
        notes.append(f"{out} of {len(rows)} pairs and sizes left out: {', or '.join(why)}.")
    bounded = bool((left.rows["range"] != "inside").any())
    if bounded:
        notes += censored_note(left.rows)
    return Comparable(left, bounded, notes)


def _within(rows: pd.DataFrame, part: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return np.asarray(rows.index.isin(part.index))


def grid_of(rows: pd.DataFrame, column: str) -> Grid:
    """The grid of one size: at most one row for each pair."""
    table = rows.pivot(index="source", columns="target", values=column).sort_index()
    return _grid(table.reindex(sorted(table.columns), axis=1))


def pooled(rows: pd.DataFrame, column: str, drawn: Floats | None = None) -> Grid:
    """One value per pair over all sizes: the pair effect, adjusted for size.

    Least squares of pair + size, so that missing sizes do not bias a pair; centred on the mean over
    sizes. drawn: the column in every resample (R, rows).
    """
    finite = np.isfinite(rows[column].to_numpy(dtype=float))
    known = rows[finite]
    if known.empty:
        return Grid((), (), np.empty((0, 0)))
    sources, source_names = pd.factorize(known["source"], sort=True)
    targets, target_names = pd.factorize(known["target"], sort=True)
    pair_codes, pairs = pd.factorize(sources * len(target_names) + targets, sort=True)
    size_codes, sizes = pd.factorize(known["finetune_bytes"], sort=True)
    if len(known) == len(pairs) * len(sizes):
        weights: Floats = np.zeros((len(pairs), len(known)))
        weights[pair_codes, np.arange(len(known))] = 1 / len(sizes)
    else:
        design = np.zeros((len(known) + 1, len(pairs) + len(sizes)))
        design[np.arange(len(known)), pair_codes] = 1
        design[np.arange(len(known)), len(pairs) + size_codes] = 1
        design[-1, len(pairs) :] = 1  # the effects of the sizes sum to zero
        weights = np.asarray(np.linalg.pinv(design)[: len(pairs), :-1], dtype=float)
    at = np.divmod(pairs, len(target_names))
    shape = (len(source_names), len(target_names))
    values = np.full(shape, np.nan)
    values[at] = weights @ known[column].to_numpy(dtype=float)
    each = None
    if drawn is not None:
        each = np.full((len(drawn), *shape), np.nan)
        each[:, at[0], at[1]] = drawn[:, finite] @ weights.T
    return Grid(tuple(map(str, source_names)), tuple(map(str, target_names)), values, each)


def censored_note(rows: pd.DataFrame) -> list[str]:
    """How many D_E are bounds, as a sentence; none if none is."""
    below, above = ((rows["range"] == word).sum() for word in ("below", "above"))
    if not below + above:
        return []
    return [
        f"{below + above} of {len(rows)} D_E are bounds ({below} below the ladder, {above} above): "
        "they enter as the bound, and rank beyond everything measured."
    ]


def _grid(table: pd.DataFrame) -> Grid:
    return Grid(
        tuple(map(str, table.index)), tuple(map(str, table.columns)), table.to_numpy(dtype=float)
    )
