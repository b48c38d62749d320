"""Claim 4: how much of a transfer would any language have given, and how much is specific?

The agnostic part of a D_T is what the source farthest from the target gives at the same size; what
the nearest source gives more is specific. Languages that say nothing (`nonsense`, `brackets`) are
the floor: what they give is no language at all. D_T at one size and summed over targets, so that
the share is one of bytes and a target with little transfer does not decide.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.grid import censored_note
from analysis.distances.table import KINDS, PREDICTED, language_distances
from analysis.wording import counted, signed_bytes

NAME = "specific"
QUESTION = "Is transfer mostly agnostic: would any language do?"
MOSTLY = 0.5  # of the D_T of the nearest source
MIN_APART = 0.05  # nearest and farthest must differ in mean distance by this

# Controlled languages by name (docs/controlled.md). Without a world to speak of:
CONTENTLESS = ("brackets", "nonsense")
# Distance of surfaces, 1 where no word is shared: the generator keeps 0.7 of the words.
_SHARED_WORDS = {
    frozenset(("related", "alba")): 0.7,
    frozenset(("related", "brio")): 0.7,
    frozenset(("alba", "brio")): 0.49,
    frozenset(("lusa", "hispa")): 0.7,
}
_CONTROLLED = {"related", "unrelated", "alba", "brio", "lusa", "hispa", "distant"}


def specific(rows: pd.DataFrame, model: str, *, confidence: float) -> ClaimAnswer:
    """The answer from the rows of `analysis.claims.grid.finetuned`."""
    distance = _distances({*rows["source"], *rows["target"]})
    compared = _nearest_and_farthest(rows, distance)
    tables: dict[str, pd.DataFrame] = {}
    notes = censored_note(rows)
    floor = _floor(rows)
    if len(floor):
        tables["Against languages that say nothing"] = floor
    if compared.empty:
        if not len(floor):
            return insufficient(
                name=NAME,
                question=QUESTION,
                model=model,
                needs="two sources of known and different distance to a target, or a source that "
                "says nothing (nonsense, brackets)",
                found=f"{rows['source'].nunique()} sources, distances known of "
                f"{len(distance)} pairs",
                n=0,
                unit="targets",
            )
        return ClaimAnswer(
            name=NAME,
            question=QUESTION,
            model=model,
            sentence=_floor_sentence(floor),
            verdict=Verdict.UNDECIDED,
            tables=tables,
            tested="D_T of languages that say nothing against the mean of the others.",
            n=rows["target"].nunique(),
            unit="targets",
            notes=notes,
        )
    by_size = _by_size(compared, confidence)
    tables = {
        "Nearest and farthest source, all targets": by_size,
        "Nearest and farthest source by target": compared,
        **tables,
    }
    telling = by_size[by_size["agnostic_share"].notna()]
    targets = compared["target"].nunique()
    tested = (
        "Per size, D_T of the farthest source over D_T of the nearest, both summed over targets "
        "(sources of equal distance averaged). Distance: mean of syntactic, genetic, geographic, "
        "phonological, inventory and featural, or 1 - shared words of controlled languages. "
        "Interval: jackknife over targets, Student's t. The verdict rests on the size with most "
        f"D_E inside the ladder; mostly: over {MOSTLY:.0%}."
    )
    if telling.empty:
        sentence = "At no size does the nearest source transfer anything: there is nothing to part."
        return ClaimAnswer(
            name=NAME,
            question=QUESTION,
            model=model,
            sentence=sentence,
            verdict=Verdict.UNDECIDED,
            tables=tables,
            tested=tested,
            n=targets,
            unit="targets",
            notes=notes,
        )
    row = telling.sort_values(["num_bounds", "finetune_bytes"]).iloc[0].to_dict()
    interval = f" [{row['low']:.0%}, {row['high']:.0%}]" if not math.isnan(row["low"]) else ""
    sentence = (
        f"Finetuned on {row['size']}, the farthest source gives {row['agnostic_share']:.0%}"
        f"{interval} of what the nearest gives (mean D_T {signed_bytes(row['farthest_bytes'])} "
        f"against {signed_bytes(row['nearest_bytes'])}, "
        f"{counted(int(row['num_targets']), 'target')})."
    )
    if len(floor):
        sentence += " " + _floor_sentence(floor)
    if row["num_bounds"]:
        notes.append(
            f"At {row['size']} {counted(int(row['num_bounds']), 'D_T')} of nearest or farthest "
            "sources are bounds: the share is only as good as they are."
        )
    verdict = Verdict.UNDECIDED
    if not row["num_bounds"]:
        if row["low"] > MOSTLY:
            verdict = Verdict.YES
        elif row["high"] < MOSTLY:
            verdict = Verdict.NO
    if math.isnan(row["low"]):
        notes.append(f"No interval: needs at least 3 targets; found {int(row['num_targets'])}.")
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


def _distances(languages: set[str]) -> dict[tuple[str, str], float]:
    long = language_distances(languages)
    found: dict[tuple[str, str], float] = {}
    for row in long.to_dict("records"):
        pair = (row["language"], row["other"])
        if set(pair) <= _CONTROLLED:
            found[pair] = 1 - _SHARED_WORDS.get(frozenset(pair), 0.0)
            continue
        kinds = [
            row[kind] if not pd.isna(row[kind]) else row.get(PREDICTED.get(kind, kind), math.nan)
            for kind in KINDS
        ]
        known = [value for value in kinds if not pd.isna(value)]
        if known:
            found[pair] = float(np.mean(known))
    return found


def _nearest_and_farthest(
    rows: pd.DataFrame, distance: dict[tuple[str, str], float]
) -> pd.DataFrame:
    """One row a size and target that has sources at two distances at least."""
    placed = rows[~rows["source"].isin(CONTENTLESS)].copy()
    placed["distance"] = [
        distance.get(pair, math.nan)
        for pair in zip(placed["source"], placed["target"], strict=True)
    ]
    found: list[dict[str, object]] = []
    for (size, target), mine in placed[placed["distance"].notna()].groupby(
        ["finetune_bytes", "target"], sort=True
    ):
        low, high = mine["distance"].min(), mine["distance"].max()
        if high - low < MIN_APART:
            continue
        near, far = mine[mine["distance"] == low], mine[mine["distance"] == high]
        found.append(
            {
                "finetune_bytes": size,
                "size": near["size"].iloc[0],
                "target": target,
                "nearest": ", ".join(near["source"]),
                "farthest": ", ".join(far["source"]),
                "nearest_distance": low,
                "farthest_distance": high,
                "nearest_bytes": float(near["transferred_bytes"].mean()),
                "farthest_bytes": float(far["transferred_bytes"].mean()),
                "num_bounds": int((pd.concat([near, far])["range"] != "inside").sum()),
            }
        )
    return pd.DataFrame(found)


def _by_size(compared: pd.DataFrame, confidence: float) -> pd.DataFrame:
    found: list[dict[str, object]] = []
    for size, mine in compared.groupby("finetune_bytes", sort=True):
        near, far = (mine[name].to_numpy() for name in ("nearest_bytes", "farthest_bytes"))
        share = float(far.sum() / near.sum()) if near.sum() > 0 else math.nan
        low, high = math.nan, math.nan
        count = len(mine)
        if count >= 3 and not math.isnan(share):
            left = near.sum() - near
            parts = (far.sum() - far) / left
            if (left > 0).all():
                error = math.sqrt((count - 1) / count * ((parts - parts.mean()) ** 2).sum())
                reach = float(student.ppf((1 + confidence) / 2, count - 1)) * error
                low, high = share - reach, share + reach
        found.append(
            {
                "finetune_bytes": size,
                "size": mine["size"].iloc[0],
                "num_targets": count,
                "nearest_bytes": float(near.mean()),
                "farthest_bytes": float(far.mean()),
                "agnostic_share": share,
                "low": low,
                "high": high,
                "num_bounds": int(mine["num_bounds"].sum()),
            }
        )
    return pd.DataFrame(found)


def _floor(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean D_T by size of sources that say nothing, and of the others."""
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
