"""Bytes of a target that its source never had: their share, by pair."""

from __future__ import annotations

import pandas as pd

from raydt.tracking.schema import Stage, Status

SHOWN_SHARE = 0.01  # pairs below this are not worth a line in the report
# From here on the losses of these bytes alone can move the total loss: a byte that a source has
# never seen costs several nats more than one it knows, so 5 % of them cost tenths of a nat.
ALARM_SHARE = 0.05


def unseen_shares(cells: pd.DataFrame) -> pd.DataFrame:
    """source, target, unseen_share of every pair that reports it, the largest share first.

    A share depends on the source's training data and the target's test split, but not on size or
    model; among seeds with different data the largest is used.
    """
    done = cells[
        (cells["status"] == Status.DONE)
        & cells["stage"].isin([Stage.FINETUNE, Stage.ZEROSHOT])
        & cells["unseen_share"].notna()
    ]
    shares = done.groupby(["source", "target"], sort=True)["unseen_share"].max().reset_index()
    return shares.sort_values("unseen_share", ascending=False, kind="stable", ignore_index=True)
