"""From how many bytes, and FLOPs, training from scratch beats pretraining and finetuning.

For each source, target and size, from the validation curves of the cells; both train on the same
target data. A finetune is ahead at first, because its weights are already trained; scratch may
overtake it, and whether and when is the crossover (ATLAS, Longpre et al. 2025, section 5, for
existing checkpoints). If the pretrain is counted, scratch is ahead until the pretrain ends, and the
question is reversed: from when on has the pretrain paid off?

Bytes are those that the optimiser sees, repeats included; FLOPs are those of training, by the
closed form that `raydt plan` uses, without evaluations. A curve that ended is continued at its best
loss: `val` showed that its data had no more to give. Within a model both axes differ only by a
factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.curves.crossing import Crossing, ahead_for_good, contest
from analysis.curves.curve import Curve, curve_of
from raydt.tracking.schema import Stage, Status

CROSSOVER_COLUMNS = (
    "model",
    "source",
    "target",
    "size",
    "finetune_bytes",
    "num_seeds",  # of the finetune
    # Bytes seen from which scratch stays ahead; `range`: "inside", "below" (from the first
    # evaluation on), "above" (not within the curves).
    "scratch_ahead_bytes",
    "scratch_ahead_range",
    "scratch_ahead_low_bytes",
    "scratch_ahead_low_range",
    "scratch_ahead_high_bytes",
    "scratch_ahead_high_range",
    # The reverse with the pretrain's bytes counted: from when on pretrain and finetune together
    # stay ahead.
    "pretrain_bytes",
    "pretrain_paid_bytes",
    "pretrain_paid_range",
    "pretrain_paid_low_bytes",
    "pretrain_paid_low_range",
    "pretrain_paid_high_bytes",
    "pretrain_paid_high_range",
    # NaN if the store does not have the FLOPs per byte.
    "scratch_ahead_flops",
    "pretrain_paid_flops",
)

Points = Sequence[tuple[float, float]]


def crossovers(
    cells: pd.DataFrame,
    points: Mapping[str, Points],
    confidence: float,
    flops_per_byte: Mapping[str, float],
) -> pd.DataFrame:
    """A row of `CROSSOVER_COLUMNS` for each finetune and scratch cell that both have a curve.

    `cells` are those of `analysis.table`; `points` the evaluations of `val` by run id, as (bytes
    seen, nats per byte); `flops_per_byte` of training, by model. Empty where there is no pair.
    """
    done = cells[cells["status"] == Status.DONE]
    curves = {run: found for run in done["run_id"] if (found := curve_of(points.get(run, ())))}
    scratch = {
        key: _curves(rows, curves)
        for key, rows in done[done["stage"] == Stage.SCRATCH].groupby(
            ["model", "target", "size_bytes"]
        )
    }
    pretrained = done[done["stage"] == Stage.PRETRAIN].groupby(["model", "source"])["bytes_seen"]
    pretrain_bytes = pretrained.mean().to_dict()
    rows = []
    finetunes = done[done["stage"] == Stage.FINETUNE]
    for (model, source, target, size_bytes), mine in finetunes.groupby(
        ["model", "source", "target", "size_bytes"], sort=True
    ):
        from_scratch = scratch.get((model, target, size_bytes), [])
        tuned = _curves(mine, curves)
        if not from_scratch or not tuned:
            continue
        spent = float(pretrain_bytes.get((model, source), np.nan))
        cost = flops_per_byte.get(str(model), np.nan)
        ahead = ahead_for_good(contest(from_scratch, tuned, confidence))
        paid = None if np.isnan(spent) else _paid(from_scratch, tuned, confidence, spent)
        rows.append(
            {
                "model": model,
                "source": source,
                "target": target,
                "size": mine["size"].iloc[0],
                "finetune_bytes": size_bytes,
                "num_seeds": len(tuned),
                **_fields("scratch_ahead", ahead),
                "pretrain_bytes": spent,
                **_fields("pretrain_paid", paid),
                "scratch_ahead_flops": ahead.num_bytes * cost,
                "pretrain_paid_flops": np.nan if paid is None else paid.num_bytes * cost,
            }
        )
    return pd.DataFrame(rows, columns=list(CROSSOVER_COLUMNS))


def _curves(rows: pd.DataFrame, curves: Mapping[str, Curve]) -> list[Curve]:
    return [curves[run] for run in rows["run_id"] if run in curves]


def _paid(
    scratch: Sequence[Curve], tuned: Sequence[Curve], confidence: float, spent_bytes: float
) -> Crossing:
    """When the pretrain has paid off: the two sides swapped."""
    found = contest(scratch, tuned, confidence, second_starts_bytes=spent_bytes)
    return ahead_for_good(found.turned())


def _fields(name: str, found: Crossing | None) -> dict[str, object]:
    if found is None:
        return {}
    return {
        f"{name}_bytes": found.num_bytes,
        f"{name}_range": found.range,
        f"{name}_low_bytes": found.low_bytes,
        f"{name}_low_range": found.low_range,
        f"{name}_high_bytes": found.high_bytes,
        f"{name}_high_range": found.high_range,
    }
