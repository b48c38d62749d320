"""The report's first picture: D_T at the size where sources can be told apart best.

A grid is drawn as a map of source x target. A few pairs, or a single row or column of them, are
drawn as dots with intervals, which show more if there is room for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.answer import Place
from analysis.completion.completed import PREDICTED_COLUMNS
from analysis.result import Analysis
from analysis.wording import ZEROSHOT, includes_zero, sign_is_open, size_name

MOST_DOTS = 6  # a grid with more pairs is drawn as a map


@dataclass(frozen=True)
class Opening:
    """rows: of the effective table, at one model and size; predicted: pairs that were not measured
    there, columns `PREDICTED_COLUMNS`; as_map: whether to draw a map instead of dots."""

    place: Place
    rows: pd.DataFrame
    predicted: pd.DataFrame
    as_map: bool

    @property
    def at(self) -> tuple[str, int]:
        """Model and D_F (bytes)."""
        return self.place.model, self.place.finetune_bytes

    @property
    def size(self) -> str:
        """The label of D_F, or "zeroshot"."""
        return size_name(self.rows.iloc[0].to_dict())


def opening(analysis: Analysis) -> Opening | None:
    """The first picture; None if there is no D_T yet."""
    place = analysis.answer.place
    if place is None:
        return None
    rows, predicted = (
        table[(table["model"] == place.model) & (table["finetune_bytes"] == place.finetune_bytes)]
        for table in (
            analysis.effective,
            analysis.completed.predicted.reindex(columns=list(PREDICTED_COLUMNS)),
        )
    )
    pairs = pd.concat([rows[["source", "target"]], predicted[["source", "target"]]])
    one_row = pairs["source"].nunique() == 1 or pairs["target"].nunique() == 1
    return Opening(place, rows, predicted, not one_row and len(pairs) > MOST_DOTS)


def title(shown: Opening, several_models: bool) -> str:
    """The picture's title."""
    model = f", {shown.place.model}" if several_models else ""
    if shown.size == ZEROSHOT:
        return f"What pretraining was worth without finetuning{model}"
    return f"What pretraining was worth before finetuning on {shown.size}{model}"


def legend(shown: Opening, confidence: float) -> list[str]:
    """How to read the picture: sentences about what is in it and nothing else."""
    rows, predicted = shown.rows, shown.predicted
    beyond = "" if shown.size == ZEROSHOT else f", beyond the {shown.size} finetuned on"
    has_intervals = bool(rows["transferred_low_bytes"].notna().any())
    bounds = bool((rows["range"] != "inside").any())
    found = [
        f"D_T: bytes of the target's text that pretraining on the source was worth{beyond}",
        f"in brackets its {confidence:.0%} interval" if has_intervals else "",
    ]
    sentences = [
        "; ".join(filter(None, found)) + ".",
        "D_T = D_E − D_F, where D_E is what training from scratch needs to reach the same loss.",
    ]
    if not has_intervals:
        sentences.append("One seed: no intervals of measured values.")
    if shown.as_map:
        sentences.append("Blue: pretraining helped; red: it did harm.")
        if any(includes_zero(row) for row in rows.to_dict("records")):
            sentences.append("Hatched: the interval includes 0.")
    else:
        sentences.append("Right of 0, pretraining helped; left of 0, it did harm.")
        if any(sign_is_open(row) for row in rows.to_dict("records")):
            sentences.append("Grey: either is possible.")
    if bounds:
        sentences.append("< and >: only a bound; D_E lies off the scratch ladder.")
    if len(predicted):
        sentences.append(
            f"≈: predicted from the other pairs, not measured, with a {confidence:.0%} interval."
        )
    if shown.place.source and len(rows) > 1:
        sentences.append(
            "Framed: the pair that the headline names."
            if shown.as_map
            else "Bold: the pair that the headline names."
        )
    return sentences
