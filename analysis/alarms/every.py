"""What a reader must know before trusting the numbers, in plain sentences.

This file checks the table, the ladders and the answers; `training` how cells were trained, `steps`
whether they had enough steps, `seeds` their seeds, and `bytes` the bytes that a source never had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from analysis.alarms.alarm import Alarm, Kind
from analysis.alarms.bytes import byte_alarms
from analysis.alarms.seeds import seed_alarms
from analysis.alarms.steps import step_alarms
from analysis.alarms.training import training_alarms
from analysis.ladder import Ladder
from analysis.table import CellTable
from analysis.uncertainty.noise import SCRATCH_FAMILY, Noise
from analysis.wording import counted
from raydt.tracking.schema import Stage, Status
from raydt.units import approximate_bytes

# A law that misses its own rungs by more than this (root mean square of log loss) is of little use.
POOR_LAW_RMSE_LOG = 0.02


def alarms(
    table: CellTable,
    means: pd.DataFrame,
    ladders: dict[tuple[str, str], Ladder],
    effective: pd.DataFrame,
    laws: pd.DataFrame,
    noise: dict[str, Noise],
) -> list[Alarm]:
    """All alarms, the most serious first; empty if no check found anything."""
    several = len({model for model, _ in ladders}) > 1
    return [
        *_incomplete(table),
        *_no_ladder(means, ladders),
        *_short_ladders(ladders, several),
        *_not_monotone(ladders, noise, several),
        *training_alarms(table.cells),
        *step_alarms(table.cells, means, ladders, noise, several),
        *_pooled_sign(effective),
        *byte_alarms(table.cells),
        *_off_the_ladder(effective),
        *seed_alarms(table.cells, noise),
        *_poor_laws(laws, several),
        *(Alarm(Kind.TABLE, problem.what, f"{problem}.") for problem in table.problems),
        *(Alarm(Kind.DUPLICATE, "", sentence) for sentence in table.resolved),
    ]


def alarms_table(found: Iterable[Alarm]) -> pd.DataFrame:
    """Alarms as a table with the columns kind, where and message."""
    rows = [(str(alarm.kind), alarm.where, alarm.message) for alarm in found]
    return pd.DataFrame(rows, columns=["kind", "where", "message"]).astype("str")


def _name(model: str, target: str, several: bool) -> str:
    return f"{target} ({model})" if several else target


def _incomplete(table: CellTable) -> Iterator[Alarm]:
    if table.not_done.empty:
        return
    count = len(table.not_done)
    verb = "is" if count == 1 else "are"
    yield Alarm(
        Kind.INCOMPLETE,
        "",
        f"{count} of {counted(table.num_expected, 'cell')} {verb} not done: "
        + ", ".join(
            f"{number} {status}"
            for status, number in table.not_done["status"].value_counts().sort_index().items()
        )
        + ". Results that need them are missing or based on fewer seeds.",
    )
    lost = table.not_done[table.not_done["status"].isin([Status.FAILED, Status.DIVERGED])]
    for row in lost.to_dict("records"):
        reason = row["reason"] if isinstance(row["reason"], str) else "no reason recorded"
        message = f"{row['cell_id']} {row['status']}: {reason}"
        yield Alarm(Kind.LOST_CELL, str(row["cell_id"]), message)


def _no_ladder(means: pd.DataFrame, ladders: dict[tuple[str, str], Ladder]) -> Iterator[Alarm]:
    transfer = means[means["stage"] != Stage.SCRATCH]
    groups = transfer.groupby(["model", "target"], sort=True)["num_seeds"].sum()
    models = means["model"].nunique()
    for row in groups.reset_index().to_dict("records"):
        model, target, count = str(row["model"]), str(row["target"]), row["num_seeds"]
        if (model, target) not in ladders:
            yield Alarm(
                Kind.NO_LADDER,
                _name(model, target, models > 1),
                f"{_name(model, target, models > 1)} has {counted(int(count), 'finetuned cell')} "
                "but no finished scratch cell: without a ladder there is no D_E.",
            )


def _short_ladders(ladders: dict[tuple[str, str], Ladder], several: bool) -> Iterator[Alarm]:
    for (model, target), ladder in ladders.items():
        if len(ladder.num_bytes) == 1:
            yield Alarm(
                Kind.SHORT_LADDER,
                _name(model, target, several),
                f"The ladder of {_name(model, target, several)} has one rung: every D_E of this "
                "target is a bound.",
            )


def _not_monotone(
    ladders: dict[tuple[str, str], Ladder],
    noise: dict[str, Noise],
    several: bool,
) -> Iterator[Alarm]:
    """Rises of a ladder; with several seeds, whether they are within the noise."""
    scratch = noise.get(SCRATCH_FAMILY)
    for (model, target), ladder in ladders.items():
        name = _name(model, target, several)
        losses, pooled = np.exp(ladder.log_loss), ladder.log_loss != ladder.monotone()
        beyond = False
        for rung in np.flatnonzero(np.diff(ladder.log_loss) > 0):
            left, right = (approximate_bytes(ladder.num_bytes[rung + step]) for step in (0, 1))
            text = (
                f"The scratch ladder of {name} is not monotone: its loss rises from "
                f"{losses[rung]:.4f} at {left} to {losses[rung + 1]:.4f} at {right}"
            )
            if scratch is None or scratch.degrees_of_freedom == 0:
                beyond = True
                yield Alarm(Kind.NOT_MONOTONE, name, f"{text}.")
                continue
            per_rung = 1 / ladder.num_seeds[rung] + 1 / ladder.num_seeds[rung + 1]
            rise = ladder.log_loss[rung + 1] - ladder.log_loss[rung]
            # Student's t at 95 %, one-sided: two rungs of equal loss rise by more 1 time in 20.
            limit = float(stdtrit(scratch.degrees_of_freedom, 0.95))
            if rise > limit * scratch.sd_log_loss * np.sqrt(per_rung):
                beyond = True
                message = f"{text}, more than seeds explain: look at how these cells were trained."
                yield Alarm(Kind.NOT_MONOTONE, name, message)
        if pooled.any():
            rungs = [approximate_bytes(value) for value in ladder.num_bytes[pooled]]
            why = "" if beyond else ", which differ by no more than seeds do"
            yield Alarm(
                Kind.POOLED,
                name,
                f"Isotonic regression pooled the rungs {', '.join(rungs)} of {name}{why}; D_E near "
                "them is uncertain.",
            )


def _pooled_sign(effective: pd.DataFrame) -> Iterator[Alarm]:
    observed = effective["scratch_loss_observed"] - effective["loss"]
    pooled = effective["scratch_loss"] - effective["loss"]
    # NaN (no such rung) compares as False.
    for row in effective[observed * pooled < 0].to_dict("records"):
        where = f"{row['source']}→{row['target']} {row['size']}"
        yield Alarm(
            Kind.POOLED_SIGN,
            where,
            f"{where}: its own rung decides the sign of D_T; pooled with its neighbours it would "
            "be "
            f"the opposite (scratch {row['scratch_loss_observed']:.4f} observed, "
            f"{row['scratch_loss']:.4f} after pooling, finetuned {row['loss']:.4f}).",
        )


def _off_the_ladder(effective: pd.DataFrame) -> Iterator[Alarm]:
    for word, edge in (("above", "beyond the largest rung"), ("below", "under the smallest rung")):
        count = int((effective["range"] == word).sum())
        if count:
            verb = "lies" if count == 1 else "lie"
            yield Alarm(
                Kind.OFF_THE_LADDER,
                word,
                f"{count} of {len(effective)} D_E {verb} {edge} of the ladder and "
                f"{'is' if count == 1 else 'are'} given as bounds.",
            )


def _poor_laws(laws: pd.DataFrame, several: bool) -> Iterator[Alarm]:
    for row in laws[laws["rmse_log"] > POOR_LAW_RMSE_LOG].to_dict("records"):
        yield Alarm(
            Kind.POOR_LAW,
            _name(row["model"], row["target"], several),
            f"The law of {_name(row['model'], row['target'], several)} misses its own rungs by "
            f"{row['rmse_log']:.1%} (root mean square): do not interpret its beta.",
        )
