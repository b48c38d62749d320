"""D_E by minimal pairs: read off the ladder of the share of wrong pairs, like D_E by loss.

`raydt probe` writes into a cell's run how many pairs of each kind it gets right. The share of wrong
pairs replaces the loss: it also falls with data, D_E is computed on its logarithm, and half a wrong
pair is added, so that a cell without errors has a finite logarithm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.effective import Resamples, effective_table
from analysis.estimators.registry import CAUTIONS, DEFAULT
from analysis.ladder import GROUP, cell_means
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from analysis.wording import counted, listed
from raydt.tracking.schema import Stage, Status

ALL_KINDS = "all"

# Columns about loss in the table, by their name in the table of D_E.
_OF_LOSS = {
    "transferred_bytes": "loss_transferred_bytes",
    "range": "loss_range",
    "transferred_low_bytes": "loss_transferred_low_bytes",
    "transferred_high_bytes": "loss_transferred_high_bytes",
    "low_range": "loss_low_range",
    "high_range": "loss_high_range",
}
_OF_ACCURACY = (
    "effective_bytes",
    "transferred_bytes",
    "range",
    "confidence",
    "effective_low_bytes",
    "effective_high_bytes",
    "transferred_low_bytes",
    "transferred_high_bytes",
    "low_range",
    "high_range",
    "num_seeds",
    "ladder_rungs",
    "ladder_low_bytes",
    "ladder_high_bytes",
)
_KEYS = ["model", "stage", "source", "target", "finetune_bytes"]
# The table `probes`: sizes in bytes, accuracies from 0 to 1, means over seeds.
PROBES_COLUMNS = (
    "model",
    "stage",
    "source",
    "target",
    "size",
    "finetune_bytes",
    "kind",  # of pairs; `all`: over all kinds
    "num_pairs",
    "accuracy",
    "scratch_accuracy",  # of the rung of this size; NaN if there is none
    *_OF_ACCURACY,
    *_OF_LOSS.values(),
    "apart",  # whether the intervals of D_E by accuracy and by loss do not overlap
)
# The table `probe_cells`: one row per cell and kind.
SCORED_COLUMNS = (
    *("cell_id", "stage", "source", "target", "size", "size_bytes", "seed", "model"),
    *("kind", "num_right", "num_pairs", "accuracy", "run_id"),
)


@dataclass(frozen=True)
class Probes:
    """Results of minimal pairs in a sweep; empty if no cell was scored."""

    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PROBES_COLUMNS))
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)  # columns of `scored_cells`
    notes: list[str] = field(default_factory=list)


def probe_table(
    cells: pd.DataFrame,
    probes: Mapping[str, str],
    effective: pd.DataFrame,
    *,
    estimator: str,
    confidence: float,
    num_resamples: int,
    random_seed: int,
) -> Probes:
    """D_E and D_T by accuracy of every scored finetune and zeroshot, by kind of pairs.

    Takes the table of `analysis.table`, the results of `raydt probe` by run id, and the table of
    D_E by loss. Cells of a target that were scored on different pairs have no common ladder: such a
    target is left out, with a note. Estimators that must not be used for losses are not used here
    either.
    """
    notes: list[str] = []
    scores = scored_cells(cells, probes, notes)
    if scores.empty:
        return Probes(notes=notes)
    notes += _unscored(cells, scores)
    asked = DEFAULT if estimator in CAUTIONS else estimator
    parts = []
    for kind, mine in scores.groupby("kind", sort=False):
        wrong = (mine["num_pairs"] - mine["num_right"] + 0.5) / (mine["num_pairs"] + 1)
        as_losses = mine.assign(test_loss=wrong, unfinished=math.nan)
        means = cell_means(as_losses)
        if means.empty:
            continue
        noise = pooled_noise(means, as_losses)
        random = np.random.default_rng(random_seed)
        drawn = draw_means(
            means, noise, num_resamples=num_resamples, random=random, cells=as_losses
        )
        found = effective_table(means, Resamples(drawn, confidence), estimator=asked, noise=noise)
        parts.append(_beside_loss(found, mine, effective).assign(kind=kind))
    parts = [part for part in parts if len(part)]
    if not parts:
        return Probes(scores=scores, notes=notes)
    table = pd.concat(parts, ignore_index=True)[list(PROBES_COLUMNS)]
    order = ["model", "target", "finetune_bytes", "source"]
    return Probes(table.sort_values(order, kind="stable", ignore_index=True), scores, notes)


def scored_cells(cells: pd.DataFrame, probes: Mapping[str, str], notes: list[str]) -> pd.DataFrame:
    """One row per scored cell and kind of pairs, `all` first: the columns of `cells`, and kind,
    num_right, num_pairs, accuracy. Unreadable results are listed in `notes`."""
    done = cells[(cells["status"] == Status.DONE) & (cells["stage"] != Stage.PRETRAIN)]
    done = done[done["run_id"].isin(probes)]
    rows: list[dict[str, object]] = []
    digests: dict[str, set[str]] = {}
    for row in done.to_dict("records"):
        text = probes[row["run_id"]]
        try:
            digest, kinds = _read(text)
        except (ValueError, KeyError, TypeError, AttributeError):
            notes.append(f"Minimal pairs of {row['cell_id']} cannot be read: {text[:80]}")
            continue
        digests.setdefault(str(row["target"]), set()).add(digest)
        every = (sum(right for right, _ in kinds.values()), sum(n for _, n in kinds.values()))
        named = {kind: each for kind, each in kinds.items() if kind} if len(kinds) > 1 else {}
        for kind, (right, number) in {ALL_KINDS: every, **named}.items():
            scored = {"num_right": right, "num_pairs": number, "accuracy": right / number}
            rows.append({**row, "kind": kind, **scored})
    mixed = sorted(target for target, found in digests.items() if len(found) > 1)
    for target in mixed:
        notes.append(
            f"Cells of {target} were scored on {len(digests[target])} sets of minimal pairs and "
            "are not compared: score them all on one (`raydt probe`)."
        )
    table = pd.DataFrame(rows)
    return table if table.empty else table[~table["target"].isin(mixed)]


def _read(text: str) -> tuple[str, dict[str, tuple[float, int]]]:
    found = json.loads(text)
    kinds = {str(kind): (float(right), int(n)) for kind, (right, n) in found["kinds"].items()}
    if not kinds or not all(0 <= right <= n and n > 0 for right, n in kinds.values()):
        raise ValueError(text)
    return str(found["pairs"]), kinds


def _unscored(cells: pd.DataFrame, scores: pd.DataFrame) -> Iterable[str]:
    """Cells without a score whose target has scores: their rungs are missing."""
    done = cells[(cells["status"] == Status.DONE) & cells["target"].isin(scores["target"])]
    missing = done[~done["cell_id"].isin(scores["cell_id"])]["cell_id"]
    if len(missing):
        yield (
            f"{counted(len(missing), 'cell')} of these targets "
            f"{'has' if len(missing) == 1 else 'have'} no score on minimal pairs and "
            f"{'is' if len(missing) == 1 else 'are'} not in D_E by accuracy: {listed(missing)}."
        )


def _beside_loss(
    found: pd.DataFrame, scores: pd.DataFrame, effective: pd.DataFrame
) -> pd.DataFrame:
    accuracy = scores.groupby(GROUP, dropna=False, as_index=False).agg(
        accuracy=("accuracy", "mean"), num_pairs=("num_pairs", "first")
    )
    accuracy = accuracy.rename(columns={"size_bytes": "finetune_bytes"})
    scratch = accuracy[accuracy["stage"] == Stage.SCRATCH]
    rung = ["model", "target", "finetune_bytes"]
    scratch = scratch[[*rung, "accuracy"]].rename(columns={"accuracy": "scratch_accuracy"})
    of_loss = effective[[*_KEYS, *_OF_LOSS]].rename(columns=_OF_LOSS)
    table = found.merge(accuracy, on=_KEYS, how="left").merge(scratch, on=rung, how="left")
    table = table.merge(of_loss, on=_KEYS, how="left")
    return table.assign(apart=[_apart(row) for row in table.to_dict("records")])


def _apart(row: Mapping[object, object]) -> bool:
    """Whether two intervals do not overlap; False if one is missing."""
    low, high = _ends(row, "")
    loss_low, loss_high = _ends(row, "loss_")
    return bool(low > loss_high or high < loss_low)


def _ends(row: Mapping[object, object], prefix: str) -> tuple[float, float]:
    """Ends of an interval of D_T; an end off the ladder is infinite, and both are NaN (which
    compares as False) without an interval."""
    low = float(str(row[f"{prefix}transferred_low_bytes"]))
    high = float(str(row[f"{prefix}transferred_high_bytes"]))
    if row[f"{prefix}low_range"] == "below":
        low = -math.inf
    if row[f"{prefix}high_range"] == "above":
        high = math.inf
    return low, high
