"""What a source forgets: how much worse a finetune is on its source's test split than its pretrain.

Each finetune is compared with the pretrain that it started from, of the same seed, so that what a
pretrain owes to its seed cancels. Means are of log losses, as everywhere, and so is the noise: how
far seeds lie from the mean rise of log loss is pooled over the sizes of a pair, because two or
three seeds say nothing of their own cell, and not over pairs: a source that a far target has
overwritten scatters by tenths of a nat, one that a sister has touched by hundredths. The interval
is that of a t-test.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from raydt.tracking.schema import Stage, Status

FORGETTING_COLUMNS = (
    "model",
    "source",
    "target",
    "size",
    "finetune_bytes",
    "num_seeds",
    "before_loss",  # of the pretrains on the source's test split, nats per byte
    "loss",  # of the finetunes on it
    "rise",  # the one less the other
    "low",  # of the rise; NaN where all cells of the pair have one seed
    "high",
)


def forgetting(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """A row of `FORGETTING_COLUMNS` for each source, target and size whose finetunes were tested on
    their source. `cells` has the columns of `analysis.table`."""
    is_measured = (cells["status"] == Status.DONE) & (cells["stage"] == Stage.FINETUNE)
    runs = cells[is_measured & cells["source_loss_rise"].notna() & (cells["source_loss"] > 0)]
    before = runs["source_loss"] - runs["source_loss_rise"]
    runs = runs.assign(log_before=np.log(before), log_rise=np.log(runs["source_loss"] / before))
    found = []
    for _, pair in runs.groupby(["model", "source", "target"], sort=True):
        sizes = pair.groupby("size_bytes", sort=True)
        freedom = len(pair) - sizes.ngroups
        squares = float(((pair["log_rise"] - sizes["log_rise"].transform("mean")) ** 2).sum())
        width = math.nan
        if freedom:
            width = float(stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(squares / freedom)
        found += [_row(mine, width) for _, mine in sizes]
    return pd.DataFrame(found, columns=list(FORGETTING_COLUMNS))


def _row(mine: pd.DataFrame, width: float) -> dict[str, object]:
    """`width`: half of the interval of one seed's rise of log loss."""
    before, log_rise = math.exp(mine["log_before"].mean()), mine["log_rise"].mean()
    half = width / math.sqrt(len(mine))
    rise, low, high = (before * math.expm1(log_rise + off) for off in (0.0, -half, half))
    first = mine.iloc[0]
    return {
        **{name: first[name] for name in ("model", "source", "target", "size")},
        "finetune_bytes": first["size_bytes"],
        "num_seeds": len(mine),
        "before_loss": before,
        "loss": before + rise,
        "rise": rise,
        "low": low,
        "high": high,
    }
