"""Transfer laws for every pair, every target and all together, and their table."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.arrays import Floats
from analysis.laws.concerns import LawWarning
from analysis.laws.draws import PLACES, TransferDraws
from analysis.laws.points import ALL, by_model, error_log, one_estimator
from analysis.laws.transfer import TransferLaw

TRANSFER_LAW_COLUMNS = [
    "level",
    "model",
    "source",
    "target",
    "k",
    "alpha",
    "beta",
    "k_low",
    "k_high",
    "alpha_low",
    "alpha_high",
    "beta_low",
    "beta_high",
    "confidence",
    "intervals",
    "num_points",
    "num_censored",
    "num_negative",
    "num_zeroshot",
    "rmse_log",
    "note",
]
_TEXTS = ("level", "model", "source", "target", "intervals", "note")
_COUNTS = ("num_points", "num_censored", "num_negative", "num_zeroshot")
# Resampling fewer sources or targets than this is not informative about others.
MIN_CLUSTERS = 3


def transfer_laws(
    effective: pd.DataFrame,
    *,
    parameters: Mapping[str, int] | None = None,
    draws: TransferDraws | None = None,
    confidence: float = 0.90,
    num_resamples: int = 500,
    random_seed: int = 0,
    levels: Collection[str] = ("pair", "target", "pooled"),
) -> pd.DataFrame:
    """D_T = k·D_F^alpha per pair, per target and pooled, columns `TRANSFER_LAW_COLUMNS`.

    effective: the table of `analysis.effective`, of one estimator. parameters: N of every model;
    with several of them the laws are also fitted over all models, with N^beta (model "all").
    draws: of `analysis.uncertainty.transfer`, rows as in `effective`.

    The column `intervals` says what an interval covers. A pair's covers the noise of seeds (from
    draws), or without draws the scatter about the law. A law of a target or a pooled one also
    depends on the choice of languages: sources, and for the pooled law targets too, are drawn with
    replacement (whole, and both at once: Owen, The pigeonhole bootstrap, 2007), in addition to the
    draws; this requires 3 of a kind. `note` says why there is no law or no interval, and what was
    left out. `InputError` for several estimators or a model without N.
    """
    table = one_estimator(effective)
    random = np.random.default_rng(random_seed)
    rows = [
        _row(labels, mine, number, draws, confidence, num_resamples, random)
        for labels, mine, number in _groups(table, parameters)
        if labels["level"] in levels
    ]
    types: dict[str, str] = {
        name: "str" if name in _TEXTS else "int64" if name in _COUNTS else "float64"
        for name in TRANSFER_LAW_COLUMNS
    }
    return pd.DataFrame(rows, columns=TRANSFER_LAW_COLUMNS).astype(types)


def _groups(
    table: pd.DataFrame, parameters: Mapping[str, int] | None
) -> Iterator[tuple[dict[str, str], pd.DataFrame, Floats | None]]:
    for model, rows, number in by_model(table, parameters):
        parts = [
            *(("pair", *pair, mine) for pair, mine in rows.groupby(["source", "target"])),
            *(("target", ALL, target, mine) for target, mine in rows.groupby("target")),
            ("pooled", ALL, ALL, rows),
        ]
        for level, source, target, mine in parts:
            labels = {"level": level, "model": model, "source": source, "target": target}
            inside = rows.index.get_indexer(mine.index)
            yield labels, mine, None if number is None else number[inside]


def _row(
    labels: dict[str, str],
    rows: pd.DataFrame,
    parameters: Floats | None,
    draws: TransferDraws | None,
    confidence: float,
    num_resamples: int,
    random: np.random.Generator,
) -> dict[str, object]:
    row: dict[str, object] = {**labels, "intervals": "none", "note": ""}
    resampled, held, notes = _resampled(labels["level"], rows, draws, num_resamples, random)
    law = TransferLaw(confidence=confidence)
    row |= dict.fromkeys(_COUNTS, 0) | {"num_points": len(rows)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LawWarning)
            law.fit(
                rows["finetune_bytes"].to_numpy(dtype=float),
                rows["transferred_bytes"].to_numpy(dtype=float),
                parameters,
                range=list(rows["range"]),
                error_log=error_log(rows),
                resampled=resampled,
            )
    except ValueError as error:
        # The counts are set even if the points are too few.
        row |= {name: getattr(law, f"{name}_") for name in _COUNTS}
        row["note"] = f"no law: {error}"
        return row
    row |= {name: getattr(law, f"{name}_") for name in _COUNTS}
    row |= {"rmse_log": law.rmse_log_}
    for name, values in law.summary.iterrows():
        row |= {str(name): values["estimate"], "confidence": values["confidence"]}
        row |= {f"{name}_low": values["low"], f"{name}_high": values["high"]}
    if law.intervals_ == "resamples":
        row["intervals"] = held
    elif labels["level"] == "pair" or resampled is not None:
        row["intervals"] = law.intervals_
    else:
        # Rows of one source, target or pretrain are not independent.
        row |= {"confidence": np.nan} | {
            f"{name}_{end}": np.nan for name in ("k", "alpha", "beta") for end in ("low", "high")
        }
    row["note"] = "; ".join([*_concerns(law), *notes])
    return row


def _concerns(law: TransferLaw) -> list[str]:
    notes = []
    if law.k_ < 0:
        notes.append("k is negative: overall, pretraining hurt")
    if not law.determined_:
        notes.append("alpha ended at the edge of its range: these D_T do not determine it")
    return notes


def _resampled(
    level: str,
    rows: pd.DataFrame,
    draws: TransferDraws | None,
    num_resamples: int,
    random: np.random.Generator,
) -> tuple[TransferDraws | None, str, list[str]]:
    """Resamples of the rows, what they cover, and what they lack."""
    places = rows.index.to_numpy()
    mine = None if draws is None else draws.of(places)
    if mine is not None and not np.isfinite(mine.transferred_bytes).all():
        mine = None
    kinds = {"pair": [], "target": ["source"], "pooled": ["source", "target"]}[level]
    enough = [kind for kind in kinds if rows[kind].nunique() >= MIN_CLUSTERS]
    notes = [
        f"only {rows[kind].nunique()} {kind}s: the interval does not cover the choice of {kind}s"
        for kind in kinds
        if kind not in enough
    ]
    held = [f"{kind}s" for kind in enough] + (["seeds"] if mine is not None else [])
    if not held:
        return None, "none", notes
    num = num_resamples if mine is None else len(mine.transferred_bytes)
    if mine is None:
        shape = (num, len(rows))
        mine = TransferDraws(
            np.broadcast_to(rows["transferred_bytes"].to_numpy(dtype=float), shape),
            np.broadcast_to(rows["range"].map(PLACES).to_numpy(dtype=np.int8), shape),
        )
    if not enough:
        return mine, held[0], notes
    multiplicity: Floats = np.ones((num, len(rows)))
    for kind in enough:
        codes, names = pd.factorize(rows[kind], sort=True)
        multiplicity = multiplicity * _drawn(len(names), num, random)[:, codes]
    return (
        TransferDraws(mine.transferred_bytes, mine.range, multiplicity),
        " and ".join(held) + " resampled",
        notes,
    )


def _drawn(number: int, num_resamples: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    return random.multinomial(number, np.full(number, 1 / number), size=num_resamples)
