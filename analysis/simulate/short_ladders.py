"""The error of D_E on short ladders: laws fitted one by one, and pooled over targets.

python -m analysis.simulate.short_ladders
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.estimators.registry import ESTIMATORS
from analysis.ladder import Ladder, Pool
from analysis.laws.projection import project
from analysis.quantiles import ordered_quantiles

FIRST_RUNG_BYTES = 8_000.0
SINGLE_WITH_E = "law with E"
READERS = ("pooled", "law", SINGLE_WITH_E, "guided", "loglog")
FOLDS = (1.2, 1.5, 2.0, 3.0, 6.0, 12.0)  # D_E / D_F, D_F the smallest rung
# Noise of a run (log loss), spread of log beta and of logit(E / loss), rungs.
WORLDS = {
    "noise 0.4 %": (0.004, 0.15, 0.3, 3),
    "noise 1 %": (0.01, 0.15, 0.3, 3),
    "noise 2 %": (0.02, 0.15, 0.3, 3),
    "one shape, noise 1 %": (0.01, 0.0, 0.0, 3),
    "twice the spread, noise 1 %": (0.01, 0.3, 0.6, 3),
    "six rungs, noise 1 %": (0.01, 0.15, 0.3, 6),
}


def short_ladders(
    world: str, trial: int, *, num_targets: int = 8, num_seeds: int = 2, num_resamples: int = 0
) -> tuple[dict[str, Floats], list[float]]:
    """Errors of log D_E by estimator, (targets, `FOLDS`), for finetunes whose loss is exactly that
    of their D_E, so that all of the error comes from the ladder; a bound counts as its value. With
    resamples: whether 90 % intervals of `pooled` cover D_E.
    """
    noise, sd_beta, sd_e, num_rungs = WORLDS[world]
    random = np.random.default_rng([trial, list(WORLDS).index(world)])
    rungs = np.asarray(FIRST_RUNG_BYTES * 4.0 ** np.arange(num_rungs), dtype=np.float64)
    true: Floats = FIRST_RUNG_BYTES * np.array(FOLDS)
    planted = [_planted(random, sd_beta, sd_e) for _ in range(num_targets)]
    runs = np.stack([_log_loss(one, rungs) for one in planted])[..., None]
    runs = runs + noise * random.standard_normal((*runs.shape[:2], num_seeds))
    seeds = np.full(num_rungs, float(num_seeds))
    sd = float(np.sqrt(runs.var(axis=-1, ddof=1).mean())) if num_seeds > 1 else 0.0
    pool = Pool(tuple(Ladder(rungs, one, seeds) for one in runs.mean(axis=-1)), sd)
    errors: dict[str, list[Floats]] = {name: [] for name in READERS}
    held = []
    for parameters, one in zip(planted, pool.ladders, strict=True):
        ladder = Ladder(rungs, one.log_loss, seeds, pool=pool)
        losses = _log_loss(parameters, true)
        for name in READERS:
            read = _law_with_e if name == SINGLE_WITH_E else ESTIMATORS[name]
            found = read(ladder, losses, FIRST_RUNG_BYTES)
            errors[name].append(np.log(found.effective_bytes / true))
        if num_resamples:
            moved = sd / np.sqrt(num_seeds) * random.standard_normal((num_resamples, 1, num_rungs))
            drawn = ladder.with_log_loss(ladder.log_loss + moved)
            answers = ESTIMATORS["pooled"](
                drawn, np.broadcast_to(losses, (num_resamples, len(true))), FIRST_RUNG_BYTES
            )
            values = np.where(answers.range == Range.ABOVE, np.inf, answers.effective_bytes)
            values = np.where(answers.range == Range.BELOW, -np.inf, values)
            for place, value in enumerate(true):
                low, high = ordered_quantiles(values[:, place], 0.9)
                held.append(float(low <= value <= high))
    return {name: np.stack(rows) for name, rows in errors.items()}, held


def _planted(
    random: np.random.Generator, sd_beta: float, sd_e: float
) -> tuple[float, float, float]:
    """E, B and beta: about 1.75 nats at the smallest rung, about half of which is E."""
    beta = 0.35 * np.exp(sd_beta * random.standard_normal())
    share = 1 / (1 + np.exp(-sd_e * random.standard_normal()))
    loss = 1.75 * np.exp(0.1 * random.standard_normal())
    return share * loss, (1 - share) * loss * FIRST_RUNG_BYTES**beta, beta


def _log_loss(law: tuple[float, float, float], num_bytes: Floats) -> Floats:
    E, B, beta = law
    return np.asarray(np.log(E + B * num_bytes**-beta))


def _law_with_e(ladder: Ladder, log_loss: Floats, _: float) -> Estimate:
    """The law with E fitted to one ladder, which three rungs just determine, without anchoring,
    within the ladder."""
    fit = project(
        ladder.num_bytes, np.exp(ladder.log_loss)[None], ladder.num_seeds, irreducible=True
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        left = np.exp(log_loss) - fit.E[0]
        found = np.where(left > 0, (left / fit.B[0]) ** (-1 / fit.beta[0]), np.inf)
    found = np.clip(found, ladder.num_bytes[0], ladder.num_bytes[-1])
    return Estimate(found, np.zeros(found.shape, dtype=np.int8))


def errors_table(num_trials: int, *, num_resamples: int = 0) -> pd.DataFrame:
    """One row per world: root mean square error of log D_E by estimator, and the coverage of the
    intervals of `pooled`."""
    rows = []
    for world in WORLDS:
        trials = [
            short_ladders(world, trial, num_resamples=num_resamples) for trial in range(num_trials)
        ]
        row: dict[str, object] = {"world": world}
        for name in READERS:
            row[name] = float(np.sqrt(np.mean([np.mean(one[name] ** 2) for one, _ in trials])))
        held = [value for _, values in trials for value in values]
        row["held"] = float(np.mean(held)) if held else float("nan")
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--resamples", type=int, default=200)
    options = parser.parse_args()
    table = errors_table(options.trials, num_resamples=options.resamples)
    print("| " + " | ".join(table.columns) + " |")
    print("|" + "---|" * len(table.columns))
    for row in table.to_dict("records"):
        cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
