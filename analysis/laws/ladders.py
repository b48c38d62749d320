"""A law for every scratch ladder, and their table."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.ladder import Ladder
from analysis.laws.concerns import LawWarning
from analysis.laws.scaling import MIN_RUNGS, MIN_RUNGS_IRREDUCIBLE, ScalingLaw, huber_agrees

LAW_COLUMNS = [
    "model",
    "target",
    "num_rungs",
    "irreducible",
    "E",
    "B",
    "beta",
    "rmse_log",
    "E_low",
    "E_high",
    "B_low",
    "B_high",
    "beta_low",
    "beta_high",
    "confidence",
    "chosen_by",
    "held_out_log_error_with_E",
    "held_out_log_error_without_E",
    "selection_share",
    "huber_beta",
    "huber_starts",
    "huber_reached",
    "note",
]
_TEXTS = ["model", "target", "chosen_by", "note"]


def fit_ladders(
    ladders: Mapping[tuple[str, str], Ladder],
    resampled: Mapping[tuple[str, str], Floats],
    confidence: float,
    *,
    bytes_seen: Mapping[tuple[str, str], Floats] | None = None,
) -> tuple[dict[tuple[str, str], ScalingLaw], pd.DataFrame]:
    """A law for each (model, target), and their table; `note` says why there is none, or no E.

    `resampled` holds log losses (R, K) for the ladders whose noise is known. `bytes_seen` (K,)
    makes D of a ladder effective unique data. Warnings of a fit are in `note`. A rung of 0 bytes
    (an untrained model) does not belong to a power law and is left out, with a note.
    """
    laws: dict[tuple[str, str], ScalingLaw] = {}
    rows: list[dict[str, object]] = []
    for (model, target), ladder in ladders.items():
        trained = ladder.num_bytes > 0
        size = ladder.num_bytes[trained]
        row: dict[str, object] = {
            "model": model,
            "target": target,
            "num_rungs": len(size),
            "note": "",
            "chosen_by": "",
        }
        rows.append(row)
        if len(size) < MIN_RUNGS:
            row["note"] = f"no law: {len(size)} of at least {MIN_RUNGS} rungs"
            continue
        draws = resampled.get((model, target))
        seen = None if bytes_seen is None else bytes_seen.get((model, target))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LawWarning)
            law = ScalingLaw().fit(
                size,
                np.exp(ladder.log_loss[trained]),
                num_seeds=ladder.num_seeds[trained],
                bytes_seen=None if seen is None else seen[trained],
                resampled_loss=None if draws is None else np.exp(draws[:, trained]),
                confidence=confidence,
            )
        laws[model, target] = law
        held_out = law.selection_["held_out_log_error"]
        row |= {
            "irreducible": law.irreducible_,
            "rmse_log": law.rmse_log_,
            "chosen_by": law.chosen_by_,
            "held_out_log_error_with_E": held_out["with E"],
            "held_out_log_error_without_E": held_out["without E"],
            "selection_share": law.selection_share_,
            "huber_beta": law.huber_.beta,
            "huber_starts": law.huber_.num_starts,
            "huber_reached": law.huber_.num_reached,
        }
        for name, values in law.summary.iterrows():
            row |= {str(name): values["estimate"]}
            row |= {f"{name}_low": values["low"], f"{name}_high": values["high"]}
            row["confidence"] = values["confidence"]
        row["note"] = "; ".join(_notes(law, draws is None, int((~trained).sum())))
    table = pd.DataFrame(rows, columns=LAW_COLUMNS)
    numbers = [name for name in LAW_COLUMNS if name not in (*_TEXTS, "num_rungs", "irreducible")]
    types = dict.fromkeys(_TEXTS, "str") | dict.fromkeys(numbers, "float64")
    return laws, table.astype({**types, "num_rungs": "int64", "irreducible": "boolean"})


def _notes(law: ScalingLaw, one_seed: bool, untrained: int) -> list[str]:
    notes = []
    if untrained:
        notes.append("the rung of 0 bytes is left out")
    if law.num_rungs_ < MIN_RUNGS_IRREDUCIBLE:
        notes.append(f"without E: fewer than {MIN_RUNGS_IRREDUCIBLE} rungs")
    elif not law.irreducible_ and law.chosen_by_ == "held-out rung":
        notes.append("without E: it predicts the largest rung better")
    if law.at_bound_:
        notes.append("beta is at the end of its search range: the ladder shows no power law")
    elif not huber_agrees(law.beta_, law.huber_):
        notes.append(f"the Huber fit has beta {law.huber_.beta:.2g}: single rungs decide the fit")
    if one_seed:
        notes.append("one seed: no interval")
    return notes
