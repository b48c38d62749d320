"""What would decide an undecided claim: more seeds, languages or rungs, given the measured noise.

A forecast takes the measured values for the truth and repeats the claim's own test with the noise
of a grid that has more seeds: resamples shrunk towards their centre, smaller variances of means,
more degrees of freedom. So it says what would suffice if the estimates did not change, not that
they will not: an estimate that chance has moved away from a threshold is in truth closer to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.claims.claim import ClaimAnswer, Verdict
from analysis.claims.grid import Finetuned, comparable
from analysis.wording import counted

SEEDS_TRIED = (1, 2, 3, 4, 6, 8, 12)
IF_UNCHANGED = "if the estimates stay as they are"


def what_it_takes(found: Finetuned, ask: Callable[[Finetuned], ClaimAnswer]) -> str:
    """A sentence on an undecided claim, for a grid that is large enough to test it; `ask` is the
    claim's test."""
    if found.drawn is None:
        return "Needs a second seed of every cell: with one, the noise is unknown."
    seeds = seeds_needed(found, ask)
    if seeds is not None:
        return f"With about {counted(seeds, 'more seed')} of every cell, {IF_UNCHANGED}."
    bounds = comparable(found).found.rows["range"]
    outside = bounds[bounds != "inside"]
    not_by_seeds = (
        f"Not even {SEEDS_TRIED[-1]} more seeds of every cell would decide it, {IF_UNCHANGED}."
    )
    if outside.empty:
        return not_by_seeds
    inside = Finetuned(found.rows.assign(range="inside"), found.drawn)
    seeds = 0 if ask(inside).verdict is not Verdict.UNDECIDED else seeds_needed(inside, ask)
    if seeds is None:
        return not_by_seeds
    ends = [end for end in ("below", "above") if (outside == end).any()]
    also = f" and about {counted(seeds, 'more seed')}" if seeds else ""
    return (
        f"Needs a rung {' and one '.join(ends)} the ladder{also}: {counted(len(outside), 'D_E')} "
        f"to compare {'is a bound' if len(outside) == 1 else 'are bounds'}."
    )


def seeds_needed(found: Finetuned, ask: Callable[[Finetuned], ClaimAnswer]) -> int | None:
    """The smallest number of `SEEDS_TRIED` with which the test would decide; None if none would."""
    for more in SEEDS_TRIED:
        if ask(with_seeds(found, more)).verdict is not Verdict.UNDECIDED:
            return more
    return None


def with_seeds(found: Finetuned, more: int) -> Finetuned:
    """The same measurements with the noise expected after that many more seeds of every cell."""
    rows = found.rows
    seeds = rows["num_seeds"].to_numpy(dtype=float)
    left = seeds / (seeds + more)
    freedom = (seeds + more - 1) / np.maximum(seeds - 1, 1)
    changed = {
        name: rows[name] * (left if name.startswith("variance_") else freedom)
        for name in rows
        if name.startswith(("variance_", "freedom_"))
    }
    drawn = found.drawn
    if drawn is not None:
        middle = drawn.mean(axis=0)
        drawn = middle + (drawn - middle) * np.sqrt(left)
    return Finetuned(rows.assign(**changed), drawn)
