"""The claims as the page shows them, in the order of the paper."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.claims import commutative, explained, hurt, similar, specific
from analysis.claims.claim import ClaimAnswer
from analysis.report.shown_table import ShownTable, minus, shown_table
from analysis.wording import counted

_ORDER = (similar.NAME, explained.NAME, commutative.NAME, specific.NAME, hurt.NAME)


@dataclass(frozen=True)
class ShownAnswer:
    """The answer to a claim for one model; `model` is empty if there is only one."""

    model: str
    verdict: str
    sentence: str
    notes: list[str]
    tested: str
    n: str
    tables: list[ShownTable]


@dataclass(frozen=True)
class ShownClaim:
    """A claim with its answers, one per model."""

    number: int
    question: str
    answers: list[ShownAnswer]


def claims(answers: list[ClaimAnswer]) -> list[ShownClaim]:
    """Claims in the order of the paper, each with the answer for every model."""
    several = len({one.model for one in answers}) > 1
    found = []
    for number, name in enumerate(_ORDER, 1):
        mine = [one for one in answers if one.name == name]
        if not mine:
            continue
        shown = [
            ShownAnswer(
                model=one.model if several else "",
                verdict=str(one.verdict),
                sentence=minus(one.full_sentence),
                notes=one.notes,
                tested=one.tested,
                n=counted(one.n, one.unit.removesuffix("s"), one.unit),
                tables=_claim_tables(one),
            )
            for one in mine
        ]
        found.append(ShownClaim(number, mine[0].question, shown))
    return found


def _claim_tables(answer: ClaimAnswer) -> list[ShownTable]:
    shown = []
    for number, (title, table) in enumerate(answer.tables.items(), 1):
        if title == explained.PAIRS:
            continue  # a figure shows it, a file has it
        wide = correlates(table) if title == explained.CORRELATES else table
        shown.append(shown_table(wide, title, f"claim_{answer.name}_{number}.csv"))
    return shown


def correlates(table: pd.DataFrame) -> pd.DataFrame:
    """Predictors as rows, tests as columns: "r (p)", p after Holm."""
    texts = [
        "–" if pd.isna(row["r"]) else f"{row['r']:+.2f} ({row['p_holm']:.2g})"
        for row in table.to_dict("records")
    ]
    effects = table["main_effects"].map({True: "beyond main effects", False: "raw"})
    tests = table["method"] + " " + table["measure"] + ", " + effects
    long = pd.DataFrame({"predictor": table["predictor"], "test": tests, "text": texts})
    wide = long.pivot(index="predictor", columns="test", values="text")
    return wide.reindex(columns=list(dict.fromkeys(tests))).fillna("–").reset_index()
