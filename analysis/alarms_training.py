"""Alarms about how cells were trained: too few steps, a pretrain that failed, not converged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.alarm import Alarm, Kind
from analysis.ladder import GROUP, Ladder
from analysis.wording import counted, listed
from raydt.tracking.schema import Stage, Status, Stop
from raydt.units import approximate_bytes

# Under a power law with or without E the slope of log loss over log bytes only flattens with size.
# A stretch this many times as steep as the one before it says that the smaller rungs had not yet
# learned what their data holds.
STEEPENS_BY = 1.5
# A larger rung that is better by less than this (log loss) shows no slope to speak of.
SLOPE_LOG_LOSS = 0.01
# A source or a pretrain stands out if every finetune of it is worse than the others' median by
# this many of their spread (median absolute deviation, scaled to a standard deviation), and by
# this share of the loss.
OUTLIER_SPREADS = 4.0
OUTLIER_SHARE = 0.02
MIN_OTHERS = 2  # with one other source nothing says which of the two is the odd one
MAD_TO_SD = 1.4826


def training_alarms(
    cells: pd.DataFrame, ladders: dict[tuple[str, str], Ladder], several: bool
) -> Iterator[Alarm]:
    """Takes the table of `analysis.table` and the ladders by (model, target)."""
    done = cells[cells["status"] == Status.DONE]
    yield from _failed_sources(done)
    yield from _failed_seeds(done)
    yield from _steepening(ladders, several)
    yield from _step_limited(done, ladders, several)
    yield from _at_budget(done)
    yield from _last_checkpoint(done)
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
        "reading this as its language; of a control such as nonsense it is to be expected.",
    )


def _say_seed(row: dict[Any, Any], excess: float, count: int) -> Alarm:
    return Alarm(
        Kind.FAILED_PRETRAIN,
        f"{row['source']} s{row['seed']}",
        f"All {count} finetuned cells of {row['source']}, seed {row['seed']}, are outliers: their "
        f"loss is {np.expm1(excess):.1%} above its other seeds' (median). That pretraining "
        "probably failed: train it again, or leave the seed out.",
    )


def _steepening(ladders: dict[tuple[str, str], Ladder], several: bool) -> Iterator[Alarm]:
    names: dict[str, list[str]] = {}  # by the rungs that are suspect: one alarm, not one a target
    for (model, target), ladder in ladders.items():
        if len(ladder.num_bytes) < 3:
            continue
        drop = -np.diff(ladder.monotone())
        slope = drop / np.diff(np.log(ladder.num_bytes))
        # Between two stretches that both fall: after a flat one anything is steeper.
        falls = (drop[1:] > SLOPE_LOG_LOSS) & (drop[:-1] > SLOPE_LOG_LOSS)
        steeper = falls & (slope[1:] > STEEPENS_BY * slope[:-1])
        if steeper.any():
            last = int(np.flatnonzero(steeper)[-1]) + 1  # the rung where it gets steeper
            rungs = ", ".join(approximate_bytes(size) for size in ladder.num_bytes[: last + 1])
            names.setdefault(rungs, []).append(f"{target} ({model})" if several else target)
    for rungs, found in names.items():
        ladder_of = "The scratch ladder of" if len(found) == 1 else "The scratch ladders of"
        yield Alarm(
            Kind.STEP_LIMITED,
            ", ".join(found),
            f"{ladder_of} {listed(found)} {'gets' if len(found) == 1 else 'get'} steeper with "
            f"size, which no power law does: the rungs {rungs} were probably limited by steps and "
            "not by data, and D_T there is too high. Train them for more steps.",
        )


def _step_limited(
    done: pd.DataFrame, ladders: dict[tuple[str, str], Ladder], several: bool
) -> Iterator[Alarm]:
    scratch = done[done["stage"] == Stage.SCRATCH]
    for (model, target), ladder in ladders.items():
        mine = scratch[(scratch["model"] == model) & (scratch["target"] == target)]
        cut = mine.assign(cut=_cut_off(mine)).groupby("size_bytes")["cut"].all()
        falling = -np.diff(ladder.log_loss) > SLOPE_LOG_LOSS
        rungs = [
            approximate_bytes(size)
            for size, slope in zip(ladder.num_bytes[:-1], falling, strict=True)
            if slope and bool(cut.get(int(size), False))
        ]
        if rungs:
            name = f"{target} ({model})" if several else target
            yield Alarm(
                Kind.STEP_LIMITED,
                name,
                f"The scratch rungs {', '.join(rungs)} of {name} ended at the budget while they "
                "still improved, and larger rungs are better: they may be limited by steps. Give "
                "scratch a larger budget.",
            )


def _cut_off(cells: pd.DataFrame) -> pd.Series:
    """Whether a cell used up its budget and was best at its last evaluation."""
    last = cells["best_bytes_seen"] >= cells["bytes_seen"]  # unknown compares as False
    return (cells["stopped"] == Stop.BUDGET).fillna(False) & last


def _at_budget(done: pd.DataFrame) -> Iterator[Alarm]:
    trained = done[done["stage"] != Stage.ZEROSHOT]
    capped = trained[trained["stopped"] == Stop.BUDGET]
    if len(capped):
        yield Alarm(
            Kind.AT_BUDGET,
            "",
            f"{len(capped)} of {counted(len(trained), 'trained cell')} stopped at the budget and "
            f"perhaps had not converged: {listed(capped['cell_id'])}.",
        )


def _last_checkpoint(done: pd.DataFrame) -> Iterator[Alarm]:
    trained = done[done["stage"] != Stage.ZEROSHOT]
    last = trained[trained["best_bytes_seen"] >= trained["bytes_seen"]]
    if len(last):
        yield Alarm(
            Kind.LAST_CHECKPOINT,
            "",
            f"{len(last)} of {counted(len(trained), 'trained cell')} were best at their last "
            f"evaluation, so more training would have helped: {listed(last['cell_id'])}.",
        )


def _precisions(done: pd.DataFrame) -> Iterator[Alarm]:
    counts = done["precision"].value_counts().sort_index()
    if len(counts) > 1:
        said = ", ".join(f"{counted(int(n), 'cell')} in {name}" for name, n in counts.items())
        yield Alarm(
            Kind.PRECISIONS,
            "",
            f"Cells were computed in different number types ({said}): on some machines the CPU or "
            "GPU multiplies in bfloat16, on others not. The difference is small beside that of "
            'seeds, but precision = "float32" in the recipes would leave none.',
        )
