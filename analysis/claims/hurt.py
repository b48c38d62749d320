"""Claim 5: where does pretraining hurt (ossification)?

A pair is hurt if its finetuned loss is above that of scratch at the same D_F. The gain,
log(scratch loss / finetuned loss), has a standard error from the pooled noise, so harm is a test of
its sign: one-sided t, corrected over all cells and pairs (Holm, Scandinavian Journal of Statistics
6, 1979). If a source gives nothing, no number of seeds can show that nothing hurts, but they can
show that nothing hurts by more than a margin (a test of non-inferiority; every cell has to pass it,
so it needs no correction: Berger, Technometrics 24, 1982). Losses are never off a ladder, so this
works at its lowest rung too. Hernandez et al. 2021 (arXiv 2102.01293) speak of ossification if harm
appears with more data to finetune on, so the trend of the gain over D_F is reported too.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from analysis.arrays import Floats
from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.grid import Finetuned
from analysis.claims.permutation import holm
from analysis.wording import counted, listed

NAME = "hurt"
QUESTION = "Does pretraining hurt anywhere?"
LEVEL = 0.05
NEGLIGIBLE = 0.02  # harm below this share of the scratch loss counts as none
CELLS = "Cells: is the gain below zero?"
PAIRS = "Pairs over all sizes: is the mean gain below zero?"


def hurt(found: Finetuned, model: str, *, confidence: float) -> ClaimAnswer:
    """The answer from `analysis.claims.grid.finetuned`."""
    rows = found.rows
    judged = rows[np.isfinite(rows["gain"].to_numpy(dtype=float))].copy()
    if judged.empty:
        return insufficient(
            name=NAME,
            question=QUESTION,
            model=model,
            needs="one finetuned pair at a size of its ladder",
            found="none",
            n=0,
            unit="pairs",
        )
    _test(judged, np.ones(len(judged)))
    pairs = _pairs(judged)
    both = holm(np.concatenate([judged["p"], pairs["p"]]))
    judged["p_holm"], pairs["p_holm"] = both[: len(judged)], both[len(judged) :]
    known = bool(judged["p"].notna().all())
    worse, harmed = judged[judged["gain"] < 0], judged[judged["p_holm"] <= LEVEL]
    harmed_pairs = pairs[pairs["p_holm"] <= LEVEL]
    by_size = judged.assign(worse=judged["gain"] < 0, harmed=judged["p_holm"] <= LEVEL)
    by_size = by_size.groupby("finetune_bytes", sort=True).agg(
        size=("size", "first"),
        num_pairs=("gain", "size"),
        num_worse=("worse", "sum"),
        num_harmed=("harmed", "sum"),
        mean_gain=("gain", "mean"),
        least_gain=("gain", "min"),
    )
    tables = {"By size": by_size.reset_index()}
    columns = ["finetune_bytes", "size", "source", "target", "loss", "scratch_loss_observed"]
    columns += ["gain", "gain_error", "p", "p_holm", "transferred_bytes"]
    if len(worse):
        tables[CELLS] = worse[columns].sort_values(["p", "gain"], ignore_index=True)
        tables[PAIRS] = pairs[pairs["gain"] < 0].sort_values(["p", "gain"], ignore_index=True)
    verdict = Verdict.UNDECIDED
    if len(harmed) or len(harmed_pairs):
        verdict = Verdict.YES
    elif known and bool((judged["p_margin"] <= LEVEL).all()):
        verdict = Verdict.NO
    notes = []
    if len(judged) < len(rows):
        notes.append(f"{len(rows) - len(judged)} pairs are at a size off their ladder: not tested.")
    if len(worse):
        notes.append(
            "Worse than scratch can also mean that finetuning was cut short or its learning rate "
            "unsuitable: see the alarms."
        )
    slope, low, high, targets = _trend(judged, confidence)
    sentence = _sentence(judged, worse, harmed, harmed_pairs, verdict, known)
    if not math.isnan(slope):
        interval = f" [{low:+.2f}, {high:+.2f}]" if not math.isnan(low) else ""
        sentence += (
            f" For every tenfold increase of D_F the gain, log(scratch / finetuned loss), changes "
            f"by {slope:+.2f}{interval}."
        )
    tested = (
        "gain = log(scratch loss / finetuned loss) at the same D_F, against its standard error "
        "from the pooled noise of scratch runs, pretrains and finetunes (one-sided t, "
        "Satterthwaite). Yes: a cell, or a pair over all sizes, is below zero at 5 % after Holm "
        "over all of them; no: every single cell is significantly (5 %) less than "
        f"{NEGLIGIBLE:.0%} above scratch. Trend: least squares of gain on log10 D_F within each "
        "pair, jackknife over targets, Student's t."
    )
    return ClaimAnswer(
        name=NAME,
        question=QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables=tables,
        tested=tested,
        n=targets,
        unit="targets",
        notes=notes,
    )


def _sentence(
    judged: pd.DataFrame,
    worse: pd.DataFrame,
    harmed: pd.DataFrame,
    harmed_pairs: pd.DataFrame,
    verdict: Verdict,
    known: bool,
) -> str:
    cells = counted(len(judged), "finetuned cell")
    if worse.empty:
        said = f"all {cells} end at or below scratch"
        return f"No: {said}." if verdict is Verdict.NO else f"{said.capitalize()}."
    sentence = f"{len(worse)} of {cells} end above scratch"
    if verdict is Verdict.NO:
        return f"No: {sentence}, none beyond noise; harm of {NEGLIGIBLE:.0%} or more is excluded."
    if not known:
        names = worse.sort_values("gain")
        return f"{sentence}: {_named(names)}. One seed, so judged by sign alone."
    if len(harmed):
        return f"{sentence}, {len(harmed)} beyond noise: {_named(harmed.sort_values('gain'))}."
    sentence += ", none beyond noise"
    if len(harmed_pairs):
        who = listed(f"{row['source']}→{row['target']}" for row in harmed_pairs.to_dict("records"))
        sentence += f" by itself; over all sizes {who}"
    return f"{sentence}."


def _named(cells: pd.DataFrame) -> str:
    return listed(
        f"{row['source']}→{row['target']} on {row['size']}" for row in cells.to_dict("records")
    )


def _test(rows: pd.DataFrame, sizes: Floats) -> None:
    """Adds gain_error, p (of "no harm") and p_margin (of "harm of `NEGLIGIBLE` or more") to rows
    whose gains are means over that many sizes; sizes share a pretrain, but not cells."""
    parts = [
        (rows["variance_scratch"].to_numpy(dtype=float) / sizes, rows["freedom_scratch"]),
        (rows["variance_shared"].to_numpy(dtype=float), rows["freedom_shared"]),
        (rows["variance_own"].to_numpy(dtype=float) / sizes, rows["freedom_own"]),
    ]
    variance = np.sum([part for part, _ in parts], axis=0)
    spread = np.sum([part**2 / freedom.to_numpy(dtype=float) for part, freedom in parts], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(spread > 0, variance**2 / spread, 1.0)
        gain = rows["gain"].to_numpy(dtype=float)
        score = gain / np.sqrt(variance)
        score_margin = (gain + math.log1p(NEGLIGIBLE)) / np.sqrt(variance)
    rows["gain_error"] = np.sqrt(variance)
    rows["p"] = stdtr(freedom, score)
    rows["p_margin"] = stdtr(freedom, -score_margin)


def _pairs(judged: pd.DataFrame) -> pd.DataFrame:
    """Mean gain of every pair with several sizes, with its test."""
    groups = judged.groupby(["source", "target"], sort=True)
    noise = [name for name in judged if name.startswith(("variance_", "freedom_"))]
    pairs = groups[["gain", *noise]].mean().assign(num_sizes=groups.size()).reset_index()
    pairs = pairs[pairs["num_sizes"] > 1].reset_index(drop=True)
    _test(pairs, pairs["num_sizes"].to_numpy(dtype=float))
    return pairs[["source", "target", "num_sizes", "gain", "gain_error", "p"]].copy()


def _trend(judged: pd.DataFrame, confidence: float) -> tuple[float, float, float, int]:
    """Slope of gain over log10 D_F within pairs, its interval, and the number of targets."""
    frame = pd.DataFrame(
        {
            "pair": judged["source"] + "\0" + judged["target"],
            "target": judged["target"],
            "x": np.log10(judged["finetune_bytes"].astype(float)),
            "y": judged["gain"],
        }
    )
    for name in ("x", "y"):
        frame[name] -= frame.groupby("pair")[name].transform("mean")
    products = pd.DataFrame({"xy": frame["x"] * frame["y"], "xx": frame["x"] ** 2})
    parts = products.groupby(frame["target"]).sum()
    count = len(parts)
    xy, xx = parts["xy"].to_numpy(), parts["xx"].to_numpy()
    if xx.sum() <= 0:
        return math.nan, math.nan, math.nan, count
    slope = float(xy.sum() / xx.sum())
    left = xx.sum() - xx
    if count < 3 or (left <= 0).any():
        return slope, math.nan, math.nan, count
    each = (xy.sum() - xy) / left
    error = math.sqrt((count - 1) / count * float(((each - each.mean()) ** 2).sum()))
    reach = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    return slope, slope - reach, slope + reach, count
