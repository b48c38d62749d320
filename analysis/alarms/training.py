"""Alarms about how cells were trained: a pretrain that failed, different precisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.alarms.alarm import Alarm, Kind
from analysis.ladder import GROUP
from analysis.wording import counted
from raydt.tracking.schema import Stage, Status

# A source or a pretrain stands out if every finetune of it is worse than the others' median by
# this many of their spread (median absolute deviation, scaled to a standard deviation), and by
# this share of the loss.
OUTLIER_SPREADS = 4.0
OUTLIER_SHARE = 0.02
MIN_OTHERS = 2  # with one other source there is no telling which of the two is the outlier
MAD_TO_SD = 1.4826


def training_alarms(cells: pd.DataFrame) -> Iterator[Alarm]:
    """Takes the table of `analysis.table`."""
    done = cells[cells["status"] == Status.DONE]
    yield from _failed_sources(done)
    yield from _failed_seeds(done)
    yield from _precisions(done)


def _failed_sources(done: pd.DataFrame) -> Iterator[Alarm]:
    tuned = _finetuned(done)
    means = tuned.groupby(GROUP, dropna=False)["log_loss"].mean().reset_index()
    where = ["model", "target", "size_bytes"]
    yield from _standing_out(means, where, ["source", "model"], _say_source)


def _failed_seeds(done: pd.DataFrame) -> Iterator[Alarm]:
    # Against the other seeds of the same source: one that is bad as a whole is not named twice.
    where = ["model", "source", "target", "size_bytes"]
    yield from _standing_out(_finetuned(done), where, ["source", "seed", "model"], _say_seed)


def _finetuned(done: pd.DataFrame) -> pd.DataFrame:
    tuned = done[done["stage"] == Stage.FINETUNE].copy()
    tuned["log_loss"] = np.log(tuned["test_loss"].to_numpy(dtype=float))
    return tuned


def _standing_out(
    rows: pd.DataFrame,
    where: list[str],
    who: list[str],
    say: Callable[[dict[Any, Any], float, int], Alarm],
) -> Iterator[Alarm]:
    """One alarm for each of `who` whose every row is far above the others at the same `where`."""
    losses = rows["log_loss"].to_numpy(dtype=float)
    excess, spread = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for places in rows.groupby(where, sort=True).indices.values():
        for place in places if len(places) > MIN_OTHERS else ():
            others = losses[places[places != place]]
            middle = np.median(others)
            excess[place] = losses[place] - middle
            spread[place] = MAD_TO_SD * np.median(np.abs(others - middle))
    compared = rows.assign(excess=excess, spread=spread).dropna(subset=["excess"])
    for _, mine in compared.groupby(who, sort=True):
        limit = np.maximum(OUTLIER_SPREADS * mine["spread"], OUTLIER_SHARE)
        if len(mine) > 1 and (mine["excess"] > limit).all():
            yield say(mine.iloc[0].to_dict(), float(mine["excess"].median()), len(mine))


def _say_source(row: dict[Any, Any], excess: float, count: int) -> Alarm:
    return Alarm(
        Kind.FAILED_PRETRAIN,
        str(row["source"]),
        f"All {count} finetuned cells of {row['source']} are outliers: their loss is "
        f"{np.expm1(excess):.1%} above the other sources' (median). Look at its pretraining before "
        "attributing this to its language; for a control such as nonsense it is expected.",
    )


def _say_seed(row: dict[Any, Any], excess: float, count: int) -> Alarm:
    return Alarm(
        Kind.FAILED_PRETRAIN,
        f"{row['source']} s{row['seed']}",
        f"All {count} finetuned cells of {row['source']}, seed {row['seed']}, are outliers: their "
        f"loss is {np.expm1(excess):.1%} above its other seeds' (median). That pretraining "
        "probably failed: train it again, or leave the seed out.",
    )


def _precisions(done: pd.DataFrame) -> Iterator[Alarm]:
    counts = done["precision"].value_counts().sort_index()
    if len(counts) > 1:
        said = ", ".join(f"{counted(int(n), 'cell')} in {name}" for name, n in counts.items())
        yield Alarm(
            Kind.PRECISIONS,
            "",
            f"Cells were computed in different precisions ({said}): some machines support "
            "bfloat16, others do not. The difference is small compared with that of seeds; "
            'precision = "float32" in the recipes avoids it.',
        )
