"""An alarm: something a reader must know before trusting the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an alarm is about."""

    INCOMPLETE = "incomplete"  # expected cells that are not done
    LOST_CELL = "lost_cell"  # a cell that failed or diverged
    NO_LADDER = "no_ladder"  # finetunes of a target without a scratch cell
    SHORT_LADDER = "short_ladder"  # one rung
    NOT_MONOTONE = "not_monotone"  # a ladder that rises with size, beyond the noise of seeds
    POOLED = "pooled"  # rungs that isotonic regression pooled
    STEP_LIMITED = "step_limited"  # a rung limited by steps, not by data
    FAILED_PRETRAIN = (
        "failed_pretrain"  # all finetunes of a source, or of one seed of it, are outliers
    )
    AT_BUDGET = "at_budget"  # cells that stopped at the budget with more to learn than the noise
    LAST_CHECKPOINT = "last_checkpoint"  # the best checkpoint is the last one
    UNSEEN_BYTES = "unseen_bytes"  # pairs with many bytes that the source never had
    ZEROSHOT_ABOVE_UNIFORM = "zeroshot_above_uniform"  # zeroshot losses above 8 bits per byte
    TRAINED_ABOVE_UNIFORM = "trained_above_uniform"  # trained losses above ln 256 nats per byte
    PRECISIONS = "precisions"  # cells computed in different precisions
    POOLED_SIGN = "pooled_sign"  # pooling and the observed rung disagree about the sign of D_T
    ONE_SEED = "one_seed"
    SEEDS_DISAGREE = "seeds_disagree"
    IDENTICAL_SEEDS = "identical_seeds"
    OFF_THE_LADDER = "off_the_ladder"  # D_E that are bounds
    POOR_LAW = "poor_law"  # a law that misses its own rungs
    TABLE = "table"  # a run that was left out, or is implausible
    DUPLICATE = "duplicate"  # several runs of a cell


MOST_NAMES = 3  # cells named in one message; the tables have all


@dataclass(frozen=True)
class Alarm:
    """kind; where: a cell, a target or a source, empty for the whole sweep; message: one or two
    sentences, what was found and what to do; rungs: the suspect (model, target, bytes)."""

    kind: Kind
    where: str
    message: str
    rungs: tuple[tuple[str, str, int], ...] = ()

    def __str__(self) -> str:
        return self.message


def step_limited(alarms: Iterable[Alarm]) -> set[tuple[str, str, int]]:
    """(model, target, bytes) of all rungs that alarms call limited by steps."""
    return {rung for alarm in alarms if alarm.kind is Kind.STEP_LIMITED for rung in alarm.rungs}
