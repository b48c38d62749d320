"""Alarms about cells limited by training steps instead of data.

Cells that report how `unfinished` they are (`analysis.uncertainty.unfinished`) are judged by that:
one that was capped, but has less to gain than its noise, has lost nothing. Others, from earlier
versions or imported, are judged by where they stopped and which of their checkpoints was best.
Pretrains that report it raise no alarm: how long a source is trained is a declared treatment, and
D_E is what that treatment is worth.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from analysis.alarms.alarm import MOST_NAMES, Alarm, Kind
from analysis.arrays import Floats
from analysis.ladder import GROUP, Ladder, interpreted
from analysis.uncertainty.noise import SCRATCH_FAMILY, Noise
from analysis.uncertainty.unfinished import standard_errors
from analysis.wording import counted, listed
from raydt.tracking.schema import Stage, Status, Stop
from raydt.units import approximate_bytes

# Under a power law, with or without E, the slope of log loss over log bytes only flattens with
# size. A stretch this many times as steep as the one before it means that the smaller rungs had not
# learned everything in their data.
STEEPENS_BY = 1.5
# A larger rung that is better by less than this (log loss) shows no meaningful slope.
SLOPE_LOG_LOSS = 0.01
# Probability that the noise of seeds alone makes some ladder of a sweep look too steep.
FALSE_ALARMS = 0.05


def step_alarms(
    cells: pd.DataFrame,
    means: pd.DataFrame,
    ladders: dict[tuple[str, str], Ladder],
    noise: dict[str, Noise],
    several: bool,
) -> Iterator[Alarm]:
    """Takes the table of `analysis.table`, its `cell_means`, the ladders by (model, target) and the
    pooled noise."""
    trained = cells[(cells["status"] == Status.DONE) & (cells["stage"] != Stage.ZEROSHOT)]
    reports = trained["unfinished"].notna()
    silent = trained[~reports]
    if reports.any():
        silent = silent[silent["stage"] != Stage.PRETRAIN]
    cut_short = _cut_short(cells, means, noise)
    yield from _steepening(ladders, noise.get(SCRATCH_FAMILY), several)
    yield from _step_limited(silent, cut_short, ladders, several)
    yield from _at_cap(cut_short, len(trained))
    yield from _at_budget(silent, len(trained))
    # With averaged weights the last evaluation is normally the best.
    if not reports.any():
        yield from _last_checkpoint(trained)


def _cut_short(cells: pd.DataFrame, means: pd.DataFrame, noise: dict[str, Noise]) -> pd.DataFrame:
    """The groups whose mean loss a cap has raised by more than the noise.

    Columns of `GROUP`, `missed`: mean over seeds of what the capped ones still had to gain,
    and `num_capped`; the largest first.
    """
    capped = cells["stopped"] == Stop.BUDGET  # missing compares as False
    seeds = interpreted(
        cells.assign(
            capped=capped & cells["unfinished"].notna(),
            missed=cells["unfinished"].where(capped, 0.0),
        )
    )
    groups = seeds.groupby(GROUP, dropna=False).agg(
        missed=("missed", "mean"), num_capped=("capped", "sum")
    )
    errors = means[GROUP].assign(error=standard_errors(means, noise))
    found = groups.reset_index().merge(errors, on=GROUP)
    found = found[found["missed"] > found["error"]]
    return found.sort_values("missed", ascending=False, kind="stable", ignore_index=True)


def _steepening(
    ladders: dict[tuple[str, str], Ladder], noise: Noise | None, several: bool
) -> Iterator[Alarm]:
    num_tests = sum(max(len(ladder.num_bytes) - 2, 0) for ladder in ladders.values())
    names: dict[str, list[str]] = {}  # by the suspect rungs: one alarm, not one per target
    suspect: dict[str, list[tuple[str, str, int]]] = {}
    for (model, target), ladder in ladders.items():
        if len(ladder.num_bytes) < 3:
            continue
        monotone, width = ladder.monotone(), np.diff(np.log(ladder.num_bytes))
        drop = -np.diff(monotone)
        slope = drop / width
        # Only between two falling stretches: after a flat one everything is steeper.
        falls = (drop[1:] > SLOPE_LOG_LOSS) & (drop[:-1] > SLOPE_LOG_LOSS)
        excess = slope[1:] - STEEPENS_BY * slope[:-1]
        steeper = falls & (excess > _explained(ladder, width, noise, num_tests))
        if steeper.any():
            last = int(np.flatnonzero(steeper)[-1]) + 1  # the rung where it gets steeper
            rungs = ", ".join(approximate_bytes(size) for size in ladder.num_bytes[: last + 1])
            names.setdefault(rungs, []).append(_name(model, target, several))
            suspect.setdefault(rungs, []).extend(
                (model, target, int(size)) for size in ladder.num_bytes[: last + 1]
            )
    for rungs, found in names.items():
        ladder_of = "The scratch ladder of" if len(found) == 1 else "The scratch ladders of"
        yield Alarm(
            Kind.STEP_LIMITED,
            listed(found),
            f"{ladder_of} {listed(found)} {'gets' if len(found) == 1 else 'get'} steeper with "
            f"size, which no power law does: the rungs {rungs} were probably limited by steps, not "
            "by data, and D_T there is too high. Train them for more steps.",
            tuple(suspect[rungs]),
        )


def _explained(ladder: Ladder, width: Floats, noise: Noise | None, num_tests: int) -> Floats:
    """How far noise may raise a slope above `STEEPENS_BY` times the previous one, (K-2,).

    Student's t at a level divided among all stretches of the sweep. 0 if there is only one seed, so
    that the noise is unknown.
    """
    if noise is None or noise.degrees_of_freedom == 0:
        return np.zeros(len(width) - 1)
    # The excess is linear in three neighbouring rungs; the middle one is in both slopes.
    first, second = STEEPENS_BY / width[:-1], 1 / width[1:]
    of_mean = noise.sd_log_loss**2 / ladder.num_seeds
    variance = (
        first**2 * of_mean[:-2] + (first + second) ** 2 * of_mean[1:-1] + second**2 * of_mean[2:]
    )
    limit = float(stdtrit(noise.degrees_of_freedom, 1 - FALSE_ALARMS / num_tests))
    return np.asarray(limit * np.sqrt(variance))


def _step_limited(
    silent: pd.DataFrame,
    cut_short: pd.DataFrame,
    ladders: dict[tuple[str, str], Ladder],
    several: bool,
) -> Iterator[Alarm]:
    names: dict[str, list[str]] = {}  # by rungs, as above
    suspect: dict[str, list[tuple[str, str, int]]] = {}
    for (model, target), ladder in ladders.items():
        silent_rungs = _rungs_of(silent, model, target)
        all_cut = silent_rungs.assign(cut=_cut_off(silent_rungs)).groupby("size_bytes")["cut"].all()
        limited = {
            *all_cut.index[all_cut.to_numpy(dtype=bool)],
            *_rungs_of(cut_short, model, target)["size_bytes"],
        }
        falling = -np.diff(ladder.log_loss) > SLOPE_LOG_LOSS
        sizes = [
            int(size)
            for size, slope in zip(ladder.num_bytes[:-1], falling, strict=True)
            if slope and int(size) in limited
        ]
        if sizes:
            rungs = ", ".join(map(approximate_bytes, sizes))
            names.setdefault(rungs, []).append(_name(model, target, several))
            suspect.setdefault(rungs, []).extend((model, target, size) for size in sizes)
    for rungs, found in names.items():
        yield Alarm(
            Kind.STEP_LIMITED,
            listed(found),
            f"The scratch rungs {rungs} of {listed(found)} ended at the budget while still "
            "improving, and larger rungs are better: they may be limited by steps, and D_T there "
            "is too high. Give scratch a larger budget.",
            tuple(suspect[rungs]),
        )


def _rungs_of(rows: pd.DataFrame, model: str, target: str) -> pd.DataFrame:
    scratch = (rows["stage"] == Stage.SCRATCH) & (rows["model"] == model)
    return rows[scratch & (rows["target"] == target)]


def _cut_off(cells: pd.DataFrame) -> pd.Series:
    """Whether a cell used up its budget and was best at its last evaluation."""
    last = cells["best_bytes_seen"] >= cells["bytes_seen"]  # unknown compares as False
    return (cells["stopped"] == Stop.BUDGET).fillna(False) & last


def _at_cap(cut_short: pd.DataFrame, num_trained: int) -> Iterator[Alarm]:
    if cut_short.empty:
        return
    names = [
        f"{row['source'] if isinstance(row['source'], str) else 'scratch'}→{row['target']} "
        f"{approximate_bytes(row['size_bytes'])} {row['missed']:.1%}"
        for row in cut_short.to_dict("records")
    ]
    count = int(cut_short["num_capped"].sum())
    yield Alarm(
        Kind.AT_BUDGET,
        "",
        f"{count} of {counted(num_trained, 'trained cell')} ended at the cap, and another doubling "
        "of their bytes would lower the mean log loss of their seeds by more than the noise: "
        f"{listed(names, MOST_NAMES)}. Raise the cap; the tables show how far D_T may be off.",
    )


def _at_budget(silent: pd.DataFrame, num_trained: int) -> Iterator[Alarm]:
    capped = silent[silent["stopped"] == Stop.BUDGET]
    if len(capped):
        yield Alarm(
            Kind.AT_BUDGET,
            "",
            f"{len(capped)} of {counted(num_trained, 'trained cell')} stopped at the budget and "
            f"may not have converged: {listed(capped['cell_id'], MOST_NAMES)}.",
        )


def _last_checkpoint(trained: pd.DataFrame) -> Iterator[Alarm]:
    last = trained[trained["best_bytes_seen"] >= trained["bytes_seen"]]
    if len(last):
        yield Alarm(
            Kind.LAST_CHECKPOINT,
            "",
            f"{len(last)} of {counted(len(trained), 'trained cell')} were best at their last "
            "evaluation, so more training would have helped: "
            f"{listed(last['cell_id'], MOST_NAMES)}.",
        )


def _name(model: str, target: str, several: bool) -> str:
    return f"{target} ({model})" if several else target
