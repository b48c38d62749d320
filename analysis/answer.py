"""The result of an analysis in a few sentences, above all tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.claims.evidence import Evidence
from analysis.duels import duels
from analysis.separation import SURE, Separation, separation
from analysis.wording import counted, includes_zero, listed, size_name, unfinished_mark, worth
from raydt.tracking.schema import Stage

# A source is not ranked if it has less than this share of the targets of the source with the most.
FEW_TARGETS = 0.5


@dataclass(frozen=True)
class Place:
    """One comparison: the model, source, target and D_F (bytes) of a row of the effective table.

    `source` and `target` are empty if only model and size are meant."""

    model: str
    finetune_bytes: int
    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class Answer:
    """headline: which source transfers most, how certain that is, what it is worth at the target
    and size where this shows most clearly, and how much of that every source gives; per_target: a
    sentence each; cautions: what not to conclude; place: the comparison that the headline names and
    the opening picture shows."""

    headline: str
    per_target: list[str]
    cautions: list[str]
    place: Place | None = None


def answer(effective: pd.DataFrame, noise: Evidence | None = None) -> Answer:
    """The answer from the effective table and the noise of its seeds."""
    if effective.empty:
        missing = "no target has both a scratch ladder and a finetuned cell"
        return Answer(f"No D_T yet: {missing} of the same model.", [], [])
    headline, place = _headline(effective, noise)
    return Answer(
        headline,
        _per_target(effective, noise),
        _cautions(effective),
        place or _common_place(effective, noise),
    )


def _common_place(effective: pd.DataFrame, noise: Evidence | None) -> Place:
    """The model and size at which the sources of most targets can be told apart best."""
    found = Counter((model, one.best) for model, _, _, one in _places(effective, noise))
    (model, size), _ = max(found.items(), key=lambda one: (one[1], one[0][1]))
    return Place(model, size)


def _places(
    rows: pd.DataFrame, noise: Evidence | None
) -> Iterator[tuple[str, str, pd.DataFrame, Separation]]:
    """Each model and target with its rows, and how well sources are separated at each size."""
    distrusted = frozenset() if noise is None else noise.distrusted
    for (model, target), group in rows.groupby(["model", "target"], sort=True):
        suspect = {size for one, other, size in distrusted if (one, other) == (model, target)}
        yield str(model), str(target), group, separation(group, noise, suspect)


def _headline(effective: pd.DataFrame, noise: Evidence | None) -> tuple[str, Place | None]:
    sources = sorted(effective["source"].unique())
    trained = effective[effective["stage"] == Stage.FINETUNE]
    if len(sources) == 1:
        if trained.empty:
            return f"Only zeroshot cells of {sources[0]} are done: nothing is finetuned yet.", None
        finding, place = _finding(effective, noise, sources[0])
        return f"{_capitalized(finding)}.", place
    # A source with few targets may beat the others there, but nothing is known about the rest.
    reach = effective.groupby("source")["target"].nunique()
    few = sorted(reach.index[reach < FEW_TARGETS * reach.max()])
    sources = [name for name in sources if name not in few]
    apart = f" Not ranked, because of few targets: {listed(few)}." if few else ""
    if len(sources) == 1:
        only = f"Only {sources[0]} has more than a few targets: there is no source to compare with."
        return only, None
    compared = duels(effective, noise)
    if len(compared):
        compared = compared[compared["source"].isin(sources) & compared["other"].isin(sources)]
    if compared.empty:
        return "No target has two sources at the same size to compare.", None
    # The source that beats every other one in more than half of the comparisons of the two.
    wins = compared[compared["won"] > compared["compared"] / 2]
    beaten = wins.groupby("source")["other"].nunique()
    rivals = compared.groupby("source")["other"].nunique()
    best = [name for name in beaten.index if beaten[name] == rivals[name] == len(sources) - 1]
    # NaN with one seed; no target has a clear leader then.
    sure = compared.loc[compared["source"].isin(best), "sure"]
    is_sure = bool(best) and bool((sure >= SURE).all())
    by_target, where = ("", None) if is_sure else _by_target(effective, noise)
    if by_target:
        return f"{by_target}.{apart}", where
    if not best:
        shown = listed(
            f"{row['source']} beats {row['other']}"
            for row in wins.sort_values(
                ["compared", "won"], ascending=False, kind="stable"
            ).to_dict("records")
        )
        return f"No source transfers most: {shown or 'every pair is tied'}.{apart}", None
    finding, place = _finding(effective, noise, best[0])
    if is_sure:
        who = f"{best[0]} transfers most"
    elif sure.isna().any():
        who = (
            f"{best[0]} transfers most among these checkpoints (with one seed, not necessarily as "
            "a language)"
        )
    else:
        who = (
            f"{best[0]} leads, but not beyond the noise of seeds (its mean lead holds in "
            f"{sure.min():.0%} of resamples)"
        )
    return f"{who}: {finding}.{apart}", place


def _by_target(effective: pd.DataFrame, noise: Evidence | None) -> tuple[str, Place | None]:
    """Which source leads for which target, if some targets have a clear leader and the leaders
    differ; else ""."""
    leads: dict[str, list[str]] = {}
    level, firsts = [], []
    several = effective["model"].nunique() > 1
    for model, target, rows, found in _places(effective, noise):
        best = rows[rows["finetune_bytes"] == found.best]
        first = best.sort_values("loss", kind="stable").iloc[0]
        where = _named(target, model, several)
        if first["leads_share"] >= SURE:
            leads.setdefault(first["source"], []).append(where)
            firsts.append((first["range"] == "inside", first["effective_bytes"], model, target))
        else:
            level.append(where)
    if len(leads) < 2:
        return "", None
    who = "; ".join(f"{source} for {listed(where)}" for source, where in leads.items())
    none = f"; none clearly for {listed(level)}" if level else ""
    *_, model, target = max(firsts)
    mine = effective[(effective["model"] == model) & (effective["target"] == target)]
    (leader,) = (one for one, where in leads.items() if _named(target, model, several) in where)
    finding, place = _finding(mine, noise, leader)
    return f"The best source depends on the target: {who}{none}. {_capitalized(finding)}", place


def _finding(effective: pd.DataFrame, noise: Evidence | None, source: str) -> tuple[str, Place]:
    """What a source is worth at the target and size where this shows most clearly, and how much of
    that the weakest source gives."""
    trained = effective[effective["stage"] == Stage.FINETUNE]
    rows = trained if len(trained) else effective
    mine = pd.concat(
        group[(group["source"] == source) & (group["finetune_bytes"] == found.best)]
        for _, _, group, found in _places(rows, noise)
    )
    width = np.log(mine["effective_high_bytes"] / mine["effective_low_bytes"])
    ratio = mine["effective_bytes"] / mine["finetune_bytes"].clip(lower=1)
    order = mine.assign(
        outside=mine["range"] != "inside", errors=-(np.log(ratio) / width), size_of=-ratio
    ).sort_values(["outside", "errors", "size_of"], kind="stable", na_position="last")
    first = order.iloc[0]
    row = first.to_dict()
    place = Place(
        str(row["model"]), int(str(row["finetune_bytes"])), str(row["source"]), str(row["target"])
    )
    said = f"finetuned on {size_name(row)} of {row['target']}, {source} is worth "
    if row["range"] == "inside":
        said += f"another {worth(row)} bytes"
    else:
        said += f"{worth(row)} bytes beyond that"  # a bound
    if row["finetune_bytes"] == 0:
        said = f"without finetuning, {source} is worth {worth(row)} bytes of {row['target']}"
    at = ["model", "target", "finetune_bytes"]
    others = rows[(rows[at] == first[at]).all(axis=1) & (rows["source"] != source)]
    if others.empty or row["transferred_bytes"] <= 0:
        return said, place
    least = others.sort_values("effective_bytes", kind="stable").iloc[0]
    if least["range"] == "below" or least["transferred_bytes"] <= 0:
        return f"{said}; {least['source']} gives none of that", place
    share = float(least["transferred_bytes"] / row["transferred_bytes"])
    return f"{said}; every source gives at least {min(share, 1.0):.0%} of that", place


def _per_target(effective: pd.DataFrame, noise: Evidence | None) -> list[str]:
    sentences = []
    several = effective["model"].nunique() > 1
    for model, target, rows, found in _places(effective, noise):
        best = rows[rows["finetune_bytes"] == found.best].sort_values("loss")
        first, *rest = best.to_dict("records")
        where = _named(target, model, several)
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
        sentence = f"{sentence}. {_how_sure(first)}".strip()
        flat = rows[rows["finetune_bytes"].isin(found.uninformative)].drop_duplicates(
            "finetune_bytes"
        )
        if len(flat) and found.best not in found.uninformative:
            sizes = listed(size_name(row) for row in flat.to_dict("records"))
            sentence += f" Inconclusive at {sizes}."
        elif found.best in found.uninformative:
            sentence += " Inconclusive at every size."
        sentences.append(sentence)
    return sentences


def _capitalized(text: str) -> str:
    """`text` as the beginning of a sentence; names in it keep their case."""
    return text[0].upper() + text[1:]


def _named(target: str, model: str, several: bool) -> str:
    return f"{target}, {model}" if several else target


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
        cautions.append("One seed: no intervals; a small difference may be chance.")
    else:
        num_crossing = sum(map(includes_zero, effective.to_dict("records")))
        if num_crossing:
            cautions.append(
                f"{num_crossing} of {len(effective)} intervals of D_T include 0: "
                "those show neither a gain nor harm."
            )
    moved = [mark for mark in map(unfinished_mark, effective.to_dict("records")) if mark]
    if moved:
        cautions.append(
            f"{len(moved)} of {len(effective)} D_T rest on cells that another doubling of training "
            "bytes would improve by more than the noise; the tables say how far each may be off."
        )
    harmed = int((effective["loss"] > effective["scratch_loss"]).sum())
    if harmed:
        cautions.append(
            f"In {counted(harmed, 'comparison')} the finetuned model is worse than scratch: this "
            "may be harm, or too short a finetuning schedule."
        )
    cautions.append(
        "D_T holds for this model, these corpora and this protocol; it says nothing about "
        "languages as such, and a bound (< or >) is not an estimate."
    )
    return cautions
