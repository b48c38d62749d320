"""The answer in a few plain sentences, before any table."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.wording import counted, listed, size_name, unfinished_mark, worth
from raydt.tracking.schema import Stage

SURE = 0.95  # share of resamples from which on a lead is called clear


@dataclass(frozen=True)
class Answer:
    """headline: one sentence; per_target: one each; cautions: what not to conclude."""

    headline: str
    per_target: list[str]
    cautions: list[str]


def answer(effective: pd.DataFrame) -> Answer:
    """Which source transfers most, per target, how sure that is, and what does not follow."""
    if effective.empty:
        return Answer(
            "No D_T yet: no target has both a scratch ladder and a finetuned cell.", [], []
        )
    return Answer(_headline(effective), _per_target(effective), _cautions(effective))


def _headline(effective: pd.DataFrame) -> str:
    sources = sorted(effective["source"].unique())
    trained = effective[effective["stage"] == Stage.FINETUNE]
    if len(sources) == 1:
        better = int((trained["loss"] < trained["scratch_loss"]).sum())
        return (
            f"Pretraining on {sources[0]} beat training from scratch in {better} of "
            f"{counted(len(trained), 'comparison')} of the same size."
        )
    leading = effective[effective["leads"]]
    wins = leading["source"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    total = len(leading)
    if total == 0:
        return "No size of any target has two sources to compare."
    best = str(wins.index[0])
    tied = [str(name) for name in wins.index[wins == wins.iloc[0]]]
    if len(tied) > 1:
        return (
            f"No source transfers most: {' and '.join(tied)} each lead {wins.iloc[0]} of {total}."
        )
    if wins.iloc[0] == total:
        where = "the only comparison" if total == 1 else f"all {total} comparisons"
        return f"{best} transfers most, in {where} of sources."
    others = listed(f"{name} {count}" for name, count in wins.iloc[1:].items())
    if wins.iloc[0] <= total / 2:
        return (
            f"No source transfers most: {best} leads {wins.iloc[0]} of {total} comparisons "
            f"({others})."
        )
    return f"{best} transfers most: it leads {wins.iloc[0]} of {total} comparisons ({others})."


def _per_target(effective: pd.DataFrame) -> list[str]:
    sentences = []
    several = effective["model"].nunique() > 1
    for (model, target), rows in effective.groupby(["model", "target"], sort=True):
        best = rows[rows["finetune_bytes"] == _telling_size(rows)].sort_values("loss")
        first, *rest = best.to_dict("records")
        where = f"{target}, {model}" if several else str(target)
        if first["stage"] == Stage.ZEROSHOT:
            given = "without finetuning"
        else:
            given = f"finetuned on {size_name(first)}"
        sentence = (
            f"Into {where}, {given}: {first['source']} is worth {worth(first)} bytes of {target}"
        )
        if rest:
            then = listed((f"{row['source']} {worth(row)}" for row in rest), most=3)
            sentence += f", then {then}"
        sentences.append(f"{sentence}. {_how_sure(first)}".strip())
    return sentences


def _telling_size(rows: pd.DataFrame) -> int:
    """The D_F with most answers inside the ladder; of several the largest."""
    inside = rows.assign(inside=rows["range"] == "inside").groupby("finetune_bytes")["inside"]
    counts = inside.sum()
    return int(counts[counts == counts.max()].index.max())


def _how_sure(first: dict[object, object]) -> str:
    share = float(str(first["leads_share"]))
    if pd.isna(share):
        return ""
    if share >= SURE:
        return "A clear lead."
    return f"An uncertain lead: it holds in {share:.0%} of resamples."


def _cautions(effective: pd.DataFrame) -> list[str]:
    cautions = []
    if effective["transferred_low_bytes"].isna().all():
        cautions.append("One seed: no interval; a small difference may be chance.")
    else:
        crossing = effective[
            (effective["transferred_low_bytes"] < 0) & (effective["transferred_high_bytes"] > 0)
        ]
        if len(crossing):
            cautions.append(
                f"{len(crossing)} of {len(effective)} intervals of D_T include 0: "
                "do not read a gain or a harm into those."
            )
    moved = [mark for mark in map(unfinished_mark, effective.to_dict("records")) if mark]
    if moved:
        cautions.append(
            f"{len(moved)} of {len(effective)} D_T rest on cells that another doubling of training "
            "bytes would improve by more than the noise: how far D_T may be off stands beside each."
        )
    harmed = int((effective["loss"] > effective["scratch_loss"]).sum())
    if harmed:
        cautions.append(
            f"In {counted(harmed, 'comparison')} the finetuned model is worse than scratch: that "
            "may be harm, or a finetuning schedule that was too short."
        )
    cautions.append(
        "D_T holds for this model, these corpora and this protocol; it says nothing about "
        "languages as such, and a bound (< or >) is not an estimate."
    )
    return cautions
