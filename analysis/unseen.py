"""Bytes of a target that its source never had: their share, by pair."""

from __future__ import annotations

import pandas as pd

from raydt.tracking.schema import Stage, Status

SHOWN_SHARE = 0.01  # a pair under this says nothing that a report should spend a line on
# From here on the losses of these bytes alone can move the loss of the whole: a byte that a source
# has never seen costs some nats more than one it knows, so 5 % of them cost tenths of a nat.
ALARM_SHARE = 0.05


def unseen_shares(cells: pd.DataFrame) -> pd.DataFrame:
    """source, target, unseen_share of every pair that reports it, the largest share first.

    A share hangs on the source's training data and the target's test split, and on neither size
    nor model; of seeds that were given different data the largest is taken.
    """
    done = cells[
        (cells["status"] == Status.DONE)
        & cells["stage"].isin([Stage.FINETUNE, Stage.ZEROSHOT])
        & cells["unseen_share"].notna()
    ]
    shares = done.groupby(["source", "target"], sort=True)["unseen_share"].max().reset_index()
    return shares.sort_values("unseen_share", ascending=False, kind="stable", ignore_index=True)
