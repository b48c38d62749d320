"""Claim 4: how much of the transfer would any language give, and how much is language-specific?

The specific part depends on the distance of the languages: over all sources, log(D_E / D_F) is
fitted as target + source + slope·distance, so that neither a generally good source nor the luck of
its pretrain counts as nearness. The agnostic share is D_T at the farthest distance over D_T at the
nearest, summed over targets. That this distance explains nothing does not make transfer agnostic: a
"yes" needs sources that are equivalent for every target. Languages without meaning (`nonsense`,
`brackets`) are the baseline: what they give comes from no language.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtr

from analysis.arrays import Floats
from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.contrasts import source_contrasts
from analysis.claims.grid import Finetuned, Grid, comparable, pooled
from analysis.claims.permutation import freedom_with
from analysis.claims.predictors import distances
from analysis.claims.similar import SIMILAR_FOLD, similar_verdict
from analysis.claims.twoway import connected
from analysis.wording import counted, signed_bytes

NAME = "specific"
QUESTION = "Is transfer mostly agnostic: would any language do?"
MOSTLY = 0.5  # of the D_T of the nearest source
LEVEL = 0.05
MIN_APART = 0.05  # the nearest and the farthest source of a target must differ by this
MOST_LANGUAGES = 12  # the largest number of additional languages considered
MIN_FREEDOM = 2  # pairs beyond target, source and slope
NUM_DRAWS = 4000
# Controlled languages without a world (docs/controlled.md).
CONTENTLESS = ("brackets", "nonsense")
SHARES = "Share of the farthest, all sizes and by size"


def specific(found: Finetuned, model: str, *, confidence: float) -> ClaimAnswer:
    """The answer from `analysis.claims.grid.finetuned`."""
    rows = found.rows
    spoken = found.where(~rows["source"].isin(CONTENTLESS).to_numpy(dtype=bool))
    tables: dict[str, pd.DataFrame] = {}
    floor = _floor(rows)
    if len(floor):
        tables["Compared with languages without meaning"] = floor
    left = comparable(spoken) if len(spoken.rows) else None
    fits = _by_size(spoken, confidence)
    whole = None if left is None else _fitted(left.found, confidence)
    targets = rows["target"].nunique()
    if whole is None:
        if not len(floor):
            return insufficient(
                name=NAME,
                question=QUESTION,
                model=model,
                needs="3 sources of known and different distance to 3 targets, or a source that "
                "has no meaning (nonsense, brackets)",
                found=f"{counted(rows['source'].nunique(), 'source')}, "
                f"{counted(targets, 'target')}",
                n=targets,
                unit="targets",
            )
        return ClaimAnswer(
            name=NAME,
            question=QUESTION,
            model=model,
            sentence=f"{_floor_sentence(floor)} Grid too small to decide by distance.",
            verdict=Verdict.UNDECIDED,
            tables=tables,
            tested="D_T of languages without meaning, compared with the mean of the others.",
            n=targets,
            unit="targets",
        )
    assert left is not None
    tables = {
        SHARES: pd.DataFrame([whole, *fits]),
        **tables,
    }
    share, low, high = (float(str(whole[name])) for name in ("agnostic_share", "low", "high"))
    grid = pooled(left.found.rows, "log_ratio", left.found.drawn)
    alike = (
        connected(grid)
        and len(grid.sources) > 1
        and similar_verdict(grid, source_contrasts(grid), left) is Verdict.YES
    )
    verdict, takes = Verdict.UNDECIDED, ""
    if math.isnan(share):
        sentence = "The nearest source transfers nothing: there is nothing to divide."
    else:
        sentence = (
            f"By its distance alone the farthest source gives {share:.0%} [{low:.0%}, {high:.0%}] "
            "of what the nearest gives"
        )
        if high < MOSTLY and not left.bounded:
            verdict = Verdict.NO
            sentence += "."
        elif alike and low > MOSTLY:
            verdict = Verdict.YES
            sentence += f", and no two sources differ by {SIMILAR_FOLD}-fold in D_E."
        elif low > MOSTLY:
            sentence += ", but sources may differ for other reasons."
        else:
            sentence += "."
            takes = _languages_needed(left.found, confidence)
    if len(floor):
        sentence += " " + _floor_sentence(floor)
    return ClaimAnswer(
        name=NAME,
        question=QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables=tables,
        tested=(
            "log(D_E / D_F) = target + source + slope·distance over all sources (with the distance "
            "of the claim about similarity). Share: D_T at a target's farthest distance over that "
            "at its nearest, both as fitted and summed over targets; interval: Student's t of "
            "slope "
            "and mean on the residual scatter of pairs, which includes the noise of seeds and the "
            "pairs' own effects; the luck of a pretrain is part of its source's effect. No: the "
            f"90 % interval is under {MOSTLY:.0%}; yes: it is above, and all sources are within "
            f"{SIMILAR_FOLD}-fold (as in the first claim). Sizes at which a D_E is a bound, or the "
            "ladder is limited by steps, are left out."
        ),
        n=targets,
        unit="targets",
        notes=left.notes,
        takes=takes,
    )


def _languages_needed(found: Finetuned, confidence: float) -> str:
    """How many more languages would move the interval off one half, at the same share and
    scatter."""
    for more in range(1, MOST_LANGUAGES + 1):
        wider = _fitted(found, confidence, more)
        assert wider is not None
        low, high = float(str(wider["low"])), float(str(wider["high"]))
        if high < MOSTLY or low > MOSTLY:
            enough = counted(more, "more language")
            return f"With about {enough} in the same roles, if the share stays the same."
    return f"More than {MOST_LANGUAGES} more languages: the share is close to one half."


def _by_size(found: Finetuned, confidence: float) -> list[dict[str, object]]:
    sizes = found.rows["finetune_bytes"].to_numpy()
    parts = (_fitted(found.where(sizes == size), confidence) for size in np.unique(sizes))
    return [part for part in parts if part is not None]


def _fitted(found: Finetuned, confidence: float, more: int = 0) -> dict[str, object] | None:
    """The share of the farthest source with its interval; None if the slope is not identified.
    `more`: the interval for a grid with that many more languages, at the same share and scatter."""
    grid = pooled(found.rows, "log_ratio")
    if len(grid.sources) < 3 or len(grid.targets) < 3:
        return None
    known = distances({*grid.sources, *grid.targets})
    x = known.loc[list(grid.sources), list(grid.targets)].to_numpy(dtype=float)
    grid = Grid(grid.sources, grid.targets, np.where(np.isfinite(x), grid.values, np.nan))
    # A language without a known distance does not inform the slope.
    row, column = np.nonzero(grid.observed)
    sources = [grid.sources[at] for at in np.unique(row)]
    targets = [grid.targets[at] for at in np.unique(column)]
    grid = grid.only(sources, targets)
    x = known.loc[sources, targets].to_numpy(dtype=float)
    if not connected(grid):
        return None
    line = slope_over(grid, x)
    if line is None:
        return None
    slope, error, mean_error, freedom = line
    if more:
        languages = len({*grid.sources, *grid.targets})
        wider = int(freedom_with(more, languages, grid.num_pairs, freedom))
        error, mean_error = (one * math.sqrt(freedom / wider) for one in (error, mean_error))
        freedom = wider
    seen = np.where(grid.observed, x, np.nan)
    near, far = np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)
    if (far - near).max() < MIN_APART:
        return None
    # Each target has its own level; distances are centred.
    level = np.nanmean(grid.values - slope * (seen - np.nanmean(seen)), axis=0)
    centre = np.nanmean(seen)

    def share(slopes: Floats, shift: Floats) -> Floats:
        nearest, farthest = (
            np.expm1(level + shift + slopes * (at - centre)).sum(axis=-1) for at in (near, far)
        )
        return np.where(nearest > 0, farthest / np.where(nearest > 0, nearest, 1.0), np.nan)

    value = float(share(np.array([[slope]]), np.zeros((1, 1)))[0])
    # Both errors as Student's t; the seed is fixed, so the same data give the same interval.
    random = np.random.default_rng(0)
    scale = np.sqrt(freedom / random.chisquare(freedom, (NUM_DRAWS, 1)))
    slopes = slope + error * scale * random.standard_normal((NUM_DRAWS, 1))
    shifts = mean_error * scale * random.standard_normal((NUM_DRAWS, 1))
    drawn = share(slopes, shifts)
    drawn = np.where(np.isfinite(drawn), drawn, np.inf)
    low, high = math.nan, math.nan
    if math.isfinite(value):
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail], method="nearest")
    sizes = found.rows.drop_duplicates("finetune_bytes")
    return {
        "sizes": sizes["size"].iloc[0] if len(sizes) == 1 else "all",
        "num_pairs": grid.num_pairs,
        "slope": slope,
        "slope_error": error,
        "p_slope": float(2 * stdtr(freedom, -abs(slope) / error)) if error > 0 else math.nan,
        "agnostic_share": value,
        "low": float(low),
        "high": float(high),
        "num_bounds": int((found.rows["range"] != "inside").sum()),
    }


def slope_over(grid: Grid, x: Floats) -> tuple[float, float, float, int] | None:
    """Slope of the values over x beyond source and target effects, its standard error, that of the
    mean, and the degrees of freedom; None if they are not identified."""
    found = beyond_effects(grid.observed, x)
    if found is None:
        return None
    kept, z_rest, freedom = found
    y, spread = grid.values[grid.observed], float(z_rest @ z_rest)
    y_rest = y - kept @ (kept.T @ y)
    slope = float(z_rest @ y_rest) / spread
    variance = float(((y_rest - slope * z_rest) ** 2).sum()) / freedom
    return (
        slope,
        math.sqrt(variance / spread),
        math.sqrt(variance / len(y)),
        freedom,
    )


def beyond_effects(observed: npt.NDArray[np.bool_], x: Floats) -> tuple[Floats, Floats, int] | None:
    """An orthonormal basis of source and target effects of the observed pairs, what they leave of x
    there, and the degrees of freedom beyond both; None if a slope over x is not identified."""
    row, column = np.nonzero(observed)
    effects = np.hstack([np.eye(len(observed))[row], np.eye(observed.shape[1])[column]])
    basis = np.linalg.svd(effects, full_matrices=False)
    kept = basis.U[:, 1e-9 * basis.S[0] < basis.S]
    z = x[observed]
    z_rest = z - kept @ (kept.T @ z)
    freedom = len(z) - kept.shape[1] - 1
    if freedom < MIN_FREEDOM or z_rest @ z_rest <= 1e-9 * float(((z - z.mean()) ** 2).sum()):
        return None
    return kept, z_rest, freedom


def _floor(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean D_T by size of sources without meaning, and of the others."""
    empty = rows["source"].isin(CONTENTLESS)
    if not empty.any() or empty.all():
        return pd.DataFrame()
    named = rows.assign(sources=rows["source"].where(empty, "languages"))
    table = named.groupby(["finetune_bytes", "size", "sources"], sort=True).agg(
        mean_transferred_bytes=("transferred_bytes", "mean"),
        num_pairs=("transferred_bytes", "size"),
        num_bounds=("range", lambda words: int((words != "inside").sum())),
    )
    return table.reset_index()


def _floor_sentence(floor: pd.DataFrame) -> str:
    parts = []
    last = floor[floor["finetune_bytes"] == floor["finetune_bytes"].max()]
    for row in last.to_dict("records"):
        parts.append(f"{row['sources']} {signed_bytes(row['mean_transferred_bytes'])}")
    return f"Mean D_T on {last['size'].iloc[0]}: {', '.join(parts)}."
