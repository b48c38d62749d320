"""The noise of log loss between seeds, and how much of it a pretrain shares with its finetunes.

Two or three seeds say little about the variance of their own cell, so residuals of log loss around
the cell means are pooled over a family of stages. All finetunes of one pretrained cell (source,
model, seed) start from the same weights, so a lucky pretrain is lucky for all of them: their log
loss is

    y = mean of the group + a(model, source, seed) + e,   a ~ N(0, shared²), e ~ N(0, own²)

and both variances are estimated from the sum of squares of pretrains after fitting groups and the
remainder (Henderson's method 3, as in Searle, Casella and McCulloch, Variance Components, 1992,
ch. 5), which allows groups with different and missing seeds. Scratch cells share only their corpus.

Included: initialisation, order of data, everything else that a seed determines. Not included: the
test split. All cells of a target are evaluated on the same documents, so hard documents raise
scratch and finetuned losses alike, and D_E, which depends only on where one loss lies among the
others, hardly moves. `test_loss_stderr`, the standard error of a loss over documents, would count
this common part as if it were independent, so it is not used. What does not cancel is not covered
either: documents that suit the finetuned model better than scratch. Intervals hold for this test
split, these corpora and this tuning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.ladder import GROUP
from raydt.tracking.schema import Stage, Status

SCRATCH_FAMILY = "scratch"
TRANSFER_FAMILY = "finetune"
ZEROSHOT_FAMILY = "zeroshot"
# Zeroshot is a family of its own: no further training averages out what the pretrain learnt.
FAMILIES = {
    Stage.SCRATCH.value: SCRATCH_FAMILY,
    Stage.FINETUNE.value: TRANSFER_FAMILY,
    Stage.ZEROSHOT.value: ZEROSHOT_FAMILY,
}


@dataclass(frozen=True)
class Shared:
    """The part of the noise that a pretrain's finetunes share; standard deviations in log loss.

    mean_square: of seeds after groups; its expectation is own² + groups_per_pretrain · shared².
    """

    sd_shared: float
    sd_own: float
    mean_square: float
    degrees_of_freedom: int
    own_degrees_of_freedom: int
    groups_per_pretrain: float


@dataclass(frozen=True)
class Noise:
    """Spread of log loss between the seeds of a cell, pooled over a family of stages.

    sd_log_loss: of one run, shared and own part together; NaN if degrees_of_freedom is 0, that is
    if every group has one seed. degrees_of_freedom: with a shared part those of Satterthwaite's
    approximation, rounded down; a pretrain with ten finetunes is not ten independent observations.
    from_residuals: estimated from residuals of a fitted table instead of seeds (`residual_noise`).
    """

    family: str
    sd_log_loss: float
    degrees_of_freedom: int
    shared: Shared | None = None
    from_residuals: bool = False


def pooled_noise(means: pd.DataFrame, cells: pd.DataFrame | None = None) -> dict[str, Noise]:
    """The noise of each family that occurs in the table of `cell_means`.

    `cells` (columns of `analysis.table`) has the seeds and is needed to estimate the part that a
    pretrain's finetunes share; without it every run counts as independent, and intervals that
    combine several finetunes of a source are too narrow.
    """
    family = means["stage"].map(FAMILIES)
    freedom = means["num_seeds"].to_numpy(dtype=float) - 1
    squares = np.where(freedom > 0, means["sd_log_loss"].to_numpy(dtype=float) ** 2 * freedom, 0.0)
    pooled: dict[str, Noise] = {}
    for name in (SCRATCH_FAMILY, TRANSFER_FAMILY, ZEROSHOT_FAMILY):
        mine = (family == name).to_numpy(dtype=bool)
        if not mine.any():
            continue
        total = int(freedom[mine].sum())
        sd = float(np.sqrt(squares[mine].sum() / total)) if total else float("nan")
        pooled[name] = Noise(name, sd, total)
        if cells is not None and total and name != SCRATCH_FAMILY:
            pooled[name] = _with_shared(pooled[name], means[mine], cells)
    return pooled


def seed_shares(means: pd.DataFrame, cells: pd.DataFrame | None) -> Floats:
    """Weight (groups, pretrains) of each pretrain in the mean of each group; rows sum to 1.

    A pretrain is (model, source, seed). Without `cells` a group of n seeds is assumed to have the
    first n.
    """
    if cells is None:
        counts = means["num_seeds"].to_numpy(dtype=int)
        rows = np.repeat(np.arange(len(means)), counts)
        owner = means[["model", "source"]].iloc[rows].reset_index(drop=True)
        owner["seed"] = np.concatenate([np.arange(count) for count in counts])
    else:
        runs = _runs(means, cells)
        rows, owner = runs["row"].to_numpy(), runs[["model", "source", "seed"]]
    pretrain = owner.groupby(["model", "source", "seed"], dropna=False).ngroup().to_numpy()
    shares = np.zeros((len(means), int(pretrain.max()) + 1))
    np.add.at(shares, (rows, pretrain), 1.0)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _runs(means: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The runs behind means, with `row`, the position of their group, and their log loss."""
    done = cells[cells["status"] == Status.DONE]
    groups = means[GROUP].assign(row=np.arange(len(means)))
    runs = done[[*GROUP, "seed", "test_loss"]].merge(groups, on=GROUP, how="inner")
    runs["log_loss"] = np.log(runs["test_loss"].to_numpy(dtype=float))
    return runs


def _with_shared(noise: Noise, means: pd.DataFrame, cells: pd.DataFrame) -> Noise:
    runs = _runs(means, cells)
    pretrain = runs.groupby(["model", "source", "seed"]).ngroup().to_numpy()
    row = runs["row"].to_numpy()
    incidence = np.zeros((len(means), int(pretrain.max()) + 1))
    np.add.at(incidence, (row, pretrain), 1.0)
    per_group = incidence.sum(axis=1)
    residual = runs["log_loss"].to_numpy() - means["log_loss"].to_numpy(dtype=float)[row]

    # Pretrains after groups: normal equations with the groups swept out.
    swept = np.diag(incidence.sum(axis=0)) - incidence.T @ (incidence / per_group[:, None])
    right = np.bincount(pretrain, weights=residual, minlength=swept.shape[0])
    values, vectors = np.linalg.eigh(swept)
    kept = values > 1e-9 * max(float(values[-1]), 1.0)
    squares = float(((vectors[:, kept].T @ right) ** 2 / values[kept]).sum())
    freedom = int(kept.sum())
    total = float((residual**2).sum())
    own_freedom = noise.degrees_of_freedom - freedom
    if freedom == 0 or own_freedom <= 0:
        return noise  # one finetune per pretrain: the shared part is not identified, and irrelevant
    per_pretrain = float(values[kept].sum()) / freedom
    mean_square = squares / freedom
    own = max(total - squares, 0.0) / own_freedom
    shared = max(0.0, (mean_square - own) / per_pretrain)
    parts = Shared(
        float(np.sqrt(shared)), float(np.sqrt(own)), mean_square, freedom, own_freedom, per_pretrain
    )
    # The variance of one run, as a weighted sum of the two mean squares (Satterthwaite 1946).
    terms = [(mean_square / per_pretrain, freedom), (own * (1 - 1 / per_pretrain), own_freedom)]
    if shared == 0:
        terms = [(own, own_freedom)]
    spread = sum(term**2 / number for term, number in terms)
    effective = sum(term for term, _ in terms) ** 2 / spread if spread > 0 else freedom
    sd = float(np.sqrt(shared + own))
    return Noise(noise.family, sd, max(1, int(effective)), parts)
