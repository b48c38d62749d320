"""Alarms about bytes that a source never had, and about losses too high for a byte-level model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.alarms.alarm import MOST_NAMES, Alarm, Kind
from analysis.ladder import UNIFORM_LOSS_NATS, above_uniform
from analysis.unseen import ALARM_SHARE, unseen_shares
from analysis.wording import counted, listed
from raydt.tracking.schema import Stage, Status


def byte_alarms(cells: pd.DataFrame) -> Iterator[Alarm]:
    """Takes the table of `analysis.table`."""
    yield from _unseen(cells)
    yield from _above_uniform(cells)
    yield from _no_byte_model(cells)


def _unseen(cells: pd.DataFrame) -> Iterator[Alarm]:
    shares = unseen_shares(cells)
    many = shares[shares["unseen_share"] > ALARM_SHARE]
    if many.empty:
        return
    names = [
        f"{row['source']}→{row['target']} {row['unseen_share']:.0%}"
        for row in many.to_dict("records")
    ]
    yield Alarm(
        Kind.UNSEEN_BYTES,
        "",
        f"In {counted(len(many), 'pair')} more than {ALARM_SHARE:.0%} of the bytes of the target's "
        f"test split never occur in the source's training data: {listed(names, MOST_NAMES)}. "
        "Pretraining taught nothing about them, so part of the apparent harm or help there is due "
        "to them.",
    )


def _above_uniform(cells: pd.DataFrame) -> Iterator[Alarm]:
    flagged = cells[above_uniform(cells)]
    if flagged.empty:
        return
    worst = flagged.groupby(["model", "source", "target"])["test_loss"].max()
    worst = worst.sort_values(ascending=False, kind="stable")
    several = cells["model"].nunique() > 1
    names = [
        f"{source}→{target}{f' ({model})' if several else ''} {loss / np.log(2):.1f}"
        for (model, source, target), loss in worst.items()
    ]
    yield Alarm(
        Kind.ZEROSHOT_ABOVE_UNIFORM,
        "",
        f"{counted(len(names), 'zeroshot')} {'has' if len(names) == 1 else 'have'} a loss above 8 "
        f"bits per byte, worse than giving all bytes equal probability: "
        f"{listed(names, MOST_NAMES)}. Such a loss shows how wrong a source is about bytes it has "
        "not seen, not what it knows: no D_E is read from it.",
    )


def _no_byte_model(cells: pd.DataFrame) -> Iterator[Alarm]:
    """Trained cells that are worse than uniform: their losses are probably in another unit."""
    trained = cells["stage"].isin([Stage.SCRATCH, Stage.FINETUNE])
    done = trained & (cells["status"] == Status.DONE)
    flagged = cells[done & (cells["test_loss"] > UNIFORM_LOSS_NATS)]
    if flagged.empty:
        return
    highest = float(flagged["test_loss"].max())
    yield Alarm(
        Kind.TRAINED_ABOVE_UNIFORM,
        "",
        f"{counted(len(flagged), 'trained cell')} of {int(done.sum()):,} have a loss above "
        f"{UNIFORM_LOSS_NATS:.3f} nats per byte, up to {highest:.2f}, worse than giving all bytes "
        "equal probability. Either the losses are not in nats per byte (but per token, in bits, or "
        "perplexities: `raydt import` has --unit and --bytes-per-token), or training failed. In "
        "the "
        "first case sizes and D_T are not in bytes either.",
    )
