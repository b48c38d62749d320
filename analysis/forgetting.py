"""Forgetting: how much worse a finetune is on its source's test split than its pretrain.

Each finetune is compared with the pretrain of the same seed that it started from, so the effect of
the seed on the pretrain cancels. Means are of log losses, as everywhere, and intervals are those of
a t-test. The variance of the rise between seeds is pooled over the sizes of a pair, because two or
three seeds are too few for an estimate per size. It is not pooled over pairs: after a distant
target the losses on the source vary by tenths of a nat, after a related one by hundredths.
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
    "loss",  # of the finetunes on the same split
    "rise",  # loss - before_loss
    "low",  # interval of the rise; NaN if no size of the pair has two seeds
    "high",
)


def forgetting(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """A row of `FORGETTING_COLUMNS` for each source, target and size whose finetunes were tested on
    their source. `cells` has the columns of `analysis.table`."""
    is_finetune = (cells["status"] == Status.DONE) & (cells["stage"] == Stage.FINETUNE)
    runs = cells[is_finetune & cells["source_loss_rise"].notna() & (cells["source_loss"] > 0)]
    before = runs["source_loss"] - runs["source_loss_rise"]
    runs = runs.assign(log_before=np.log(before), log_rise=np.log(runs["source_loss"] / before))
    found = []
    for _, pair in runs.groupby(["model", "source", "target"], sort=True):
        sizes = pair.groupby("size_bytes", sort=True)
        freedom = len(pair) - sizes.ngroups
        squares = float(((pair["log_rise"] - sizes["log_rise"].transform("mean")) ** 2).sum())
        half_width = math.nan
        if freedom:
            t = float(stdtrit(freedom, 0.5 + confidence / 2))
            half_width = t * math.sqrt(squares / freedom)
        found += [_row(seeds, half_width) for _, seeds in sizes]
    return pd.DataFrame(found, columns=list(FORGETTING_COLUMNS))


def _row(seeds: pd.DataFrame, seed_half_width: float) -> dict[str, object]:
    """The row of one size. `seed_half_width`: half the width of the interval of one seed's rise of
    the log loss."""
    before, log_rise = math.exp(seeds["log_before"].mean()), seeds["log_rise"].mean()
    half = seed_half_width / math.sqrt(len(seeds))
    rise, low, high = (before * math.expm1(log_rise + off) for off in (0.0, -half, half))
    first = seeds.iloc[0]
    return {
        **{name: first[name] for name in ("model", "source", "target", "size")},
        "finetune_bytes": first["size_bytes"],
        "num_seeds": len(seeds),
        "before_loss": before,
        "loss": before + rise,
        "rise": rise,
        "low": low,
        "high": high,
    }
