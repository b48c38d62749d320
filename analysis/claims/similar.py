"""Claim 1: are the finetuned losses of different sources similar for a target, and D_T consistent?

The yardstick is what pretraining gains at all: the gain of a pair is log(scratch loss / finetuned
loss) at the same D_F. Sources are similar where their gains differ, within a target, by less than
half of the mean gain. Losses are never censored, so neither is this verdict; the two-way effects of
log(D_E / D_F) stand beside it.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.grid import Grid, censored_note, grid_of, pooled
from analysis.claims.twoway import (
    connected,
    effects_table,
    jackknife,
    shares,
    source_effect_p,
    two_way,
)
from analysis.wording import counted

NAME = "similar"
QUESTION = "Do different sources help a target about equally?"
EFFECTS = "Effects of source and target on log(D_E / D_F)"
SPREAD = "Spread between sources, and what explains log(D_E / D_F)"
SIMILAR_SHARE = 0.5  # of the mean gain


def similar(
    rows: pd.DataFrame,
    model: str,
    *,
    confidence: float,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """The answer from the rows of `analysis.claims.grid.finetuned`."""
    known = rows[np.isfinite(rows["gain"].to_numpy(dtype=float))]
    gains = pooled(known, "gain")
    compared = gains.only(
        list(gains.sources),
        [
            name
            for name, seen in zip(gains.targets, gains.observed.sum(axis=0), strict=True)
            if seen >= 2
        ],
    )
    if len(compared.sources) < 2 or not compared.num_pairs:
        return insufficient(
            name=NAME,
            question=QUESTION,
            model=model,
            needs="two sources into one target, at a size of its ladder",
            found=counted(len(compared.targets), "such target"),
            n=len(compared.targets),
            unit="targets",
        )
    spread, mean = _spread(compared), float(np.nanmean(compared.values))
    ratio = spread / mean if mean > 0 else math.nan
    low, high = math.nan, math.nan
    if mean > 0:
        log_low, log_high, _ = jackknife(_log_ratio, compared, "target", confidence)
        low, high = math.exp(log_low), math.exp(log_high)
    by_size = _by_size(rows, num_permutations, random)
    tables = {SPREAD: by_size}
    ratios = pooled(rows, "log_ratio")
    explained = ""
    if connected(ratios) and len(ratios.sources) > 1 and len(ratios.targets) > 1:
        tables[EFFECTS] = effects_table(ratios, confidence)
        by_source, by_target, rest = shares(ratios)
        p = source_effect_p(ratios, num_permutations, random)
        explained = (
            f" Of the variation of log(D_E / D_F) the source explains {by_source:.0%}, the target "
            f"{by_target:.0%}, the pair and noise {rest:.0%} (no difference between sources: "
            f"p = {p:.2g})."
        )
    if math.isnan(ratio):
        sentence = (
            f"There is no gain to share: finetuned losses are on average {math.expm1(-mean):+.1%} "
            "from scratch."
        )
        verdict = Verdict.UNDECIDED
    else:
        interval = f" [{low:.0%}, {high:.0%}]" if not math.isnan(low) else ""
        sentence = (
            f"Between sources the finetuned loss of a target differs by {spread:.1%} (sd), "
            f"{ratio:.0%}{interval} of the mean gain over scratch of {-math.expm1(-mean):.1%}."
            f"{explained}"
        )
        verdict = Verdict.UNDECIDED
        if high < SIMILAR_SHARE:
            verdict = Verdict.YES
        elif low > SIMILAR_SHARE:
            verdict = Verdict.NO
    notes = censored_note(rows)
    if len(known) < len(rows):
        notes.append(
            f"{len(rows) - len(known)} finetuned pairs lie at a size off their ladder: no gain."
        )
    if math.isnan(low) and not math.isnan(ratio):
        notes.append(
            f"No interval: needs at least 3 targets; found {len(compared.targets)}. Undecided."
        )
    tested = (
        "gain = log(scratch loss / finetuned loss) at the same D_F, per pair over all sizes (least "
        "squares of pair + size); sd between sources within a target, over the mean gain; similar "
        f"if under {SIMILAR_SHARE:.0%}. Interval: jackknife over targets, Student's t. Variation: "
        "additive two-way fit, each factor first and last averaged. p: sources shuffled within "
        f"each target, {num_permutations} permutations."
    )
    return ClaimAnswer(
        name=NAME,
        question=QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables=tables,
        tested=tested,
        n=len(compared.targets),
        unit="targets",
        notes=notes,
    )


def _spread(grid: Grid) -> float:
    """sd of the values between sources within a target, degrees of freedom pooled."""
    within = grid.values - np.nanmean(grid.values, axis=0)
    freedom = int((grid.observed.sum(axis=0) - 1).clip(min=0).sum())
    return math.sqrt(float(np.nansum(within**2)) / freedom) if freedom else math.nan


def _log_ratio(grid: Grid) -> float | None:
    if not grid.targets:
        return None
    spread, mean = _spread(grid), float(np.nanmean(grid.values))
    return math.log(spread / mean) if spread > 0 and mean > 0 else None


def _by_size(
    rows: pd.DataFrame, num_permutations: int, random: np.random.Generator
) -> pd.DataFrame:
    found: list[dict[str, object]] = []
    for finetune_bytes, mine in rows.groupby("finetune_bytes", sort=True):
        ratios, ranks = grid_of(mine, "log_ratio"), grid_of(mine, "rank")
        gains = grid_of(mine[np.isfinite(mine["gain"].to_numpy(dtype=float))], "gain")
        row: dict[str, object] = {
            "finetune_bytes": finetune_bytes,
            "num_pairs": ratios.num_pairs,
            "num_bounds": int((mine["range"] != "inside").sum()),
            "mean_gain": float(np.nanmean(gains.values)) if gains.num_pairs else math.nan,
            "sd_between_sources": _spread(gains) if gains.num_pairs else math.nan,
        }
        if connected(ratios) and len(ratios.sources) > 1 and len(ratios.targets) > 1:
            by_source, by_target, rest = shares(ratios)
            row |= {"share_source": by_source, "share_target": by_target, "share_rest": rest}
            row["sd_rest"] = float(np.nanstd(two_way(ratios).rest))
            row["p_source"] = source_effect_p(ratios, num_permutations, random)
            row["p_source_ranks"] = source_effect_p(ranks, num_permutations, random)
        found.append(row)
    columns = [
        "finetune_bytes",
        "num_pairs",
        "num_bounds",
        "mean_gain",
        "sd_between_sources",
        "share_source",
        "share_target",
        "share_rest",
        "sd_rest",
        "p_source",
        "p_source_ranks",
    ]
    return pd.DataFrame(found, columns=columns)
