"""What a claim's test answers: one value for the report, the terminal and callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd

NOT_TESTED = "not tested"


class Verdict(StrEnum):
    """Whether the data bear the claim out; `undecided` includes too little data."""

    YES = "yes"
    NO = "no"
    OPPOSITE = "the other way"  # of a claim with a direction: there is an effect, against it
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class ClaimAnswer:
    """The answer to one claim for one model.

    name: key of the claim, stable; question: what is asked; sentence: the answer with its numbers;
    verdict; tables: by a short title; tested: what was tested and how, enough to redo it; n: the
    number of independent units behind the verdict, named by `unit` (pairs are not independent, so
    it is targets, languages or permutable labels); notes: bounds, gaps, what not to read into it;
    takes: what an undecided verdict would take, empty where that is not known.
    """

    name: str
    question: str
    model: str
    sentence: str
    verdict: Verdict
    tables: dict[str, pd.DataFrame]
    tested: str
    n: int
    unit: str
    notes: list[str] = field(default_factory=list)
    takes: str = ""

    @property
    def was_tested(self) -> bool:
        """Whether the grid was large enough for the test."""
        return self.tested != NOT_TESTED

    @property
    def full_sentence(self) -> str:
        """The answer, and what would decide it."""
        return f"{self.sentence} {self.takes}".rstrip()


def insufficient(
    *, name: str, question: str, model: str, needs: str, found: str, n: int, unit: str
) -> ClaimAnswer:
    """The answer where the data do not suffice: what it needs, and what was found."""
    sentence = f"Cannot be answered: needs at least {needs}; found {found}."
    return ClaimAnswer(
        name=name,
        question=question,
        model=model,
        sentence=sentence,
        verdict=Verdict.UNDECIDED,
        tables={},
        tested=NOT_TESTED,
        n=n,
        unit=unit,
    )
