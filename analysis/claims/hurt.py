"""Claim 5: where does pretraining hurt (ossification)?

A pair is hurt where its finetuned loss is above that of scratch at the same D_F: D_T < 0. It is
sure where the whole interval of D_T lies under 0. Hernandez et al. 2021 (arXiv 2102.01293) call it
ossification where it comes with more data to finetune on; so the gain, log(scratch loss / finetuned
loss), is also followed over D_F.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.wording import counted, listed

NAME = "hurt"
QUESTION = "Does pretraining hurt anywhere?"


def hurt(rows: pd.DataFrame, model: str, *, confidence: float) -> ClaimAnswer:
    """The answer from the rows of `analysis.claims.grid.finetuned`."""
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
    judged["worse"] = judged["gain"] < 0
    judged["surely_worse"] = judged["transferred_high_bytes"] < 0
    judged["surely_better"] = judged["transferred_low_bytes"] > 0
    by_size = judged.groupby("finetune_bytes", sort=True).agg(
        size=("size", "first"),
        num_pairs=("gain", "size"),
        num_worse=("worse", "sum"),
        num_surely_worse=("surely_worse", "sum"),
        num_surely_better=("surely_better", "sum"),
        mean_gain=("gain", "mean"),
        least_gain=("gain", "min"),
    )
    by_size = by_size.reset_index()
    pairs = judged.loc[
        judged["worse"],
        [
            "finetune_bytes",
            "size",
            "source",
            "target",
            "loss",
            "scratch_loss",
            "gain",
            "transferred_bytes",
            "transferred_low_bytes",
            "transferred_high_bytes",
        ],
    ].sort_values(["finetune_bytes", "gain"], ignore_index=True)
    slope, low, high, targets = _trend(judged, confidence)
    with_interval = judged["transferred_high_bytes"].notna()
    sure, worse = int(judged["surely_worse"].sum()), int(judged["worse"].sum())
    tables = {"By size": by_size}
    if len(pairs):
        tables["Pairs that end above scratch"] = pairs
    notes = []
    if len(judged) < len(rows):
        notes.append(f"{len(rows) - len(judged)} pairs lie at a size off their ladder: not judged.")
    if with_interval.any() and worse:
        expected = (1 - confidence) / 2 * int(with_interval.sum())
        notes.append(
            f"Of {int(with_interval.sum())} intervals of {confidence:.0%}, up to {expected:.1f} "
            "would lie under 0 by chance if no pair gained or lost."
        )
    if worse:
        notes.append(
            "Worse than scratch can also mean a finetuning that was cut short or a learning rate "
            "that does not suit it: see the alarms."
        )
    verdict = Verdict.UNDECIDED
    if not worse:
        sentence = f"No: all {counted(len(judged), 'finetuned pair')} end at or under scratch."
        verdict = (
            Verdict.NO
            if with_interval.all() and judged["surely_better"].all()
            else Verdict.UNDECIDED
        )
        if verdict is Verdict.UNDECIDED:
            sentence = sentence.removeprefix("No: ").capitalize()
    else:
        who = listed(
            f"{row['source']}→{row['target']} on {row['size']}"
            for row in pairs.sort_values("gain").to_dict("records")
        )
        sentence = f"{worse} of {counted(len(judged), 'finetuned pair')} end above scratch: {who}."
        if with_interval.any():
            sentence += f" {sure} of them with the whole interval."
        if sure > (1 - confidence) / 2 * int(with_interval.sum()):
            verdict = Verdict.YES
    if not with_interval.any():
        sentence += " One seed, so by sign alone."
    if not math.isnan(slope):
        interval = f" [{low:+.2f}, {high:+.2f}]" if not math.isnan(low) else ""
        sentence += (
            f" With every tenfold of D_F the gain, log(scratch / finetuned loss), changes by "
            f"{slope:+.2f}{interval}."
        )
    tested = (
        "gain = log(scratch loss / finetuned loss) at the same D_F, scratch as the monotone ladder "
        "has it. Surely worse: the interval of D_T lies under 0. Yes: more such pairs than "
        f"{(1 - confidence) / 2:.0%} of the intervals; no: every interval over 0. Trend: least "
        "squares of gain on log10 D_F within each pair, jackknife over targets, Student's t."
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
    reach = float(student.ppf((1 + confidence) / 2, count - 1)) * error
    return slope, slope - reach, slope + reach, count
