"""The width of each interval of D_E, and the cells that it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from analysis.arrays import Floats
from analysis.effective import Resamples, effective_with_draws
from analysis.estimators.curve import interpolation_error
from analysis.ladder import GROUP, cell_means, ladders
from analysis.uncertainty.noise import FAMILIES, Noise, pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.errors import bad
from raydt.tracking.schema import Stage

# Model, stage, source, target, bytes: cells that differ only in their seed.
Group = tuple[str, str, str | None, str | None, int]

# As in `raydt analyze`, so that both see the same intervals.
NUM_RESAMPLES = 1000
RANDOM_SEED = 0


@dataclass(frozen=True)
class Width:
    """The interval of one D_E that lies inside its ladder.

    log_factor: log of the ratio of its ends. slopes: of log D_E in the mean log loss of each group
    it depends on, its own and the rungs of its target. rest: the part of the variance of log D_E
    that no seed reduces (interpolation between rungs).
    """

    group: Group
    size: str
    log_factor: float
    slopes: Mapping[Group, float]
    rest: float

    @property
    def name(self) -> str:
        """For display."""
        _, _, source, target, size_bytes = self.group
        return f"{source}→{target}{f' on {self.size}' if size_bytes else ' zeroshot'}"


@dataclass(frozen=True)
class Widths:
    """Every interval that lies inside its ladder, and the variance of one run of each family."""

    each: tuple[Width, ...]
    variance: Mapping[str, float]
    confidence: float

    @property
    def span(self) -> float:
        """Standard deviations from one end of an interval to the other."""
        return float(2 * ndtri(0.5 + self.confidence / 2))

    def of_run(self, group: Group) -> float:
        """Variance of log loss of one run of a group, including the luck of its pretrain, which
        differs between the runs of a group."""
        return self.variance[FAMILIES[group[1]]]


def measured_widths(
    cells: pd.DataFrame, confidence: float, num_resamples: int = NUM_RESAMPLES
) -> Widths:
    """The intervals of the cells that are done.

    Takes the columns that `cell_means` reads, and `seed`. `InputError` if the noise of scratch or
    finetunes is unknown because every group has one seed.
    """
    means = cell_means(cells)
    noise = pooled_noise(means, cells)
    unknown = [name for name, one in noise.items() if one.degrees_of_freedom == 0]
    if unknown:
        raise bad(
            "--until",
            "finished cells of at least two seeds, because one gives no estimate of the noise",
            f"one seed of {' and '.join(unknown)} cells",
        )
    drawn = draw_means(
        means,
        noise,
        num_resamples=num_resamples,
        random=np.random.default_rng(RANDOM_SEED),
        cells=cells,
    )
    return Widths(
        tuple(_widths(means, drawn, noise, confidence)),
        {name: one.sd_log_loss**2 for name, one in noise.items()},
        confidence,
    )


def _widths(
    means: pd.DataFrame, drawn: Floats, noise: Mapping[str, Noise], confidence: float
) -> list[Width]:
    effective, draws = effective_with_draws(means, Resamples(drawn, confidence), noise=noise)
    groups = [group_of(row) for row in means[GROUP].itertuples(index=False, name=None)]
    at = {group: place for place, group in enumerate(groups)}
    rungs: dict[tuple[str, str | None], list[int]] = {}
    for place, group in enumerate(groups):
        if group[1] == Stage.SCRATCH:
            rungs.setdefault((group[0], group[3]), []).append(place)
    found = ladders(means)
    log_loss = means["log_loss"].to_numpy(dtype=float)
    widths = []
    inside = (effective["low_range"] == "inside") & (effective["high_range"] == "inside")
    for row in np.flatnonzero(inside.to_numpy()):
        line = effective.iloc[row]
        group = group_of(
            (line["model"], line["stage"], line["source"], line["target"], line["finetune_bytes"])
        )
        places = [at[group], *rungs[group[0], group[3]]]
        values = draws.transferred_bytes[:, row] + group[4]
        kept = (draws.range[:, row] == 0) & (values > 0)
        slopes = _slopes(drawn[kept][:, places], np.log(values[kept]))
        ladder = found[group[0], str(group[3])]
        error = float(interpolation_error(ladder, log_loss[at[group]]))
        widths.append(
            Width(
                group,
                str(line["size"]),
                float(np.log(line["effective_high_bytes"] / line["effective_low_bytes"])),
                dict(zip([groups[place] for place in places], slopes, strict=True)),
                error**2,
            )
        )
    return widths


def _slopes(losses: Floats, log_bytes: Floats) -> list[float]:
    """Slopes of log D_E (R,) in each loss (R, K), over the range of the noise: a ladder
    has kinks."""
    centred = losses - losses.mean(axis=0)
    found = np.linalg.lstsq(centred, log_bytes - log_bytes.mean(), rcond=None)[0]
    return [float(one) for one in found]


def group_of(values: tuple[object, ...]) -> Group:
    """A group from the values of `GROUP` in any table."""
    model, stage, source, target, size_bytes = values
    return (
        str(model),
        str(stage),
        source if isinstance(source, str) else None,
        target if isinstance(target, str) else None,
        int(str(size_bytes)),
    )
