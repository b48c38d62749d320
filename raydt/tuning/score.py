"""How good a trial is: one number that means the same at every size and in every language."""

from __future__ import annotations

import math
from collections.abc import Sequence

# A doubling of the budget must lower the loss by this fraction to be worth it. Without a price the
# largest budget always wins, because a cell keeps its best checkpoint.
PRICE_OF_A_DOUBLING = 0.005


def score(
    val_losses: Sequence[float], reference: Sequence[float], budget_factor: float = 1.0
) -> float:
    """ln(loss / reference loss) after as many evaluations as there are losses, plus the price of
    the budget, PRICE_OF_A_DOUBLING * log2(budget_factor).

    A loss is the best so far: the checkpoint that a cell would keep. `reference` is of the recipe
    as it was, in the same language and at the same size; where it has fewer evaluations (it
    stopped), its last best holds. Evaluations are spread evenly over a budget, so equal numbers of
    them are equal fractions of it, and the same phase of the learning rate's schedule.
    """
    assert val_losses, "a score needs an evaluation"
    best = min(val_losses)
    there = min(reference[: len(val_losses)])
    return math.log(best / there) + PRICE_OF_A_DOUBLING * math.log2(budget_factor)
