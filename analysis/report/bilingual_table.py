"""Bilingual transfer scores as rows of text, ready for the page."""

from __future__ import annotations

import pandas as pd

from analysis.curves.scores_in_words import score_with_interval
from analysis.report.shown_table import MOST_ROWS, ShownTable
from analysis.wording import whole_bytes

_OF_BYTES = {"inside": "", "below": "> ", "above": "< "}  # more bytes are a lower score


def bilingual_table(scores: pd.DataFrame, several_models: bool) -> ShownTable | None:
    """The table of the page, None if nothing was trained together."""
    if scores.empty:
        return None
    heads = ["target", "size", "source", "BTS", "target alone saw", "both together", "loss"]
    heads += ["share of target saved", "seeds"]
    rows = []
    ordered = scores.sort_values(["model", "target", "target_bytes", "score"], kind="stable")
    for row in ordered.head(MOST_ROWS).to_dict("records"):
        mark = _OF_BYTES[row["range"]]
        spared = {"inside": "", "below": "< ", "above": "> "}[row["range"]]
        rows.append(
            [
                f"{row['target']} · {row['model']}" if several_models else str(row["target"]),
                str(row["size"]),
                str(row["source"]),
                score_with_interval(row),
                whole_bytes(row["alone_bytes"]),
                mark + whole_bytes(row["together_bytes"]),
                f"{row['alone_loss']:.4f}",
                f"{spared}{row['spared_share']:.0%}",
                str(row["num_seeds"]),
            ]
        )
    more = max(0, len(scores) - MOST_ROWS)
    numeric = [False, False, False, True, True, True, True, True, True]
    return ShownTable("scores", heads, numeric, rows, more, "bilingual.csv")
