"""The power law of a scratch ladder: L(D) = E + B·D^-beta."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from analysis.ladder import Floats, Ladder
from analysis.uncertainty import ordered_quantiles

MIN_RUNGS = 3  # fewer, and any law fits
MIN_RUNGS_IRREDUCIBLE = 4  # one more than the parameters of the law with E
BETA_BOUNDS = (0.005, 3.0)
_BETA_GRID = np.geomspace(*BETA_BOUNDS, 400)


class ScalingLaw:
    """L(D) = E + B·D^-beta, with E >= 0 and B >= 0; D in bytes, L in nats per byte.

    Fitted by variable projection (Golub and Pereyra 1973): for a given beta the law is linear in E
    and B, so only beta is searched, and no starting point can lead astray. Residuals are relative
    to the observed loss, which is log loss to first order, weighted by the seeds of a rung.

    Parameters
        irreducible: with E. With fewer than 4 rungs E is left out (fixed at 0) all the same.

    Attributes after `fit`
        E_, B_, beta_; irreducible_ (whether E was fitted); num_rungs_; rmse_log_ (root mean
        square residual of log loss); at_bound_ (beta ended at a bound of its search range: do not
        read it); summary (DataFrame).

    Source: Kaplan et al. 2020 (arXiv 2001.08361) and Hoffmann et al. 2022 (arXiv 2203.15556).
    """

    def __init__(self, *, irreducible: bool = True) -> None:
        self.irreducible = irreducible

    def fit(
        self,
        num_bytes: Floats | Sequence[float],
        loss: Floats | Sequence[float],
        *,
        num_seeds: Floats | Sequence[float] | None = None,
        resampled_loss: Floats | None = None,
        confidence: float = 0.90,
    ) -> ScalingLaw:
        """Fit to rungs (K,); `resampled_loss` (R, K) gives the summary its intervals.

        Raises `ValueError` with fewer than 3 rungs, or where bytes or losses are not positive.
        """
        size = np.asarray(num_bytes, dtype=float)
        observed = np.asarray(loss, dtype=float)
        if len(size) < MIN_RUNGS or len(size) != len(observed):
            raise ValueError(
                f"a law needs at least {MIN_RUNGS} rungs and a loss for each; "
                f"found {len(size)} rungs, {len(observed)} losses"
            )
        if not (np.all(size > 0) and np.all(observed > 0)):
            raise ValueError(f"a law needs positive bytes and losses; found {size}, {observed}")
        self.num_rungs_ = len(size)
        self.irreducible_ = self.irreducible and len(size) >= MIN_RUNGS_IRREDUCIBLE
        weights = np.ones(len(size)) if num_seeds is None else np.asarray(num_seeds, dtype=float)
        # Rows are scaled to relative residuals; bytes to their geometric mean, so that B stays
        # of the order of the loss whatever beta is.
        self._centre = float(np.exp(np.log(size).mean()))
        self._row_scale = np.sqrt(weights / weights.sum()) / observed
        self._size = size

        self.beta_ = self._best_beta(observed)
        E, B = (float(part[0]) for part in self._project(self.beta_, observed[None])[:2])
        self.E_, self.B_ = E, B * self._centre**self.beta_
        self.rmse_log_ = float(np.sqrt(np.mean(np.log(self.predict(size) / observed) ** 2)))
        self.at_bound_ = not (BETA_BOUNDS[0] * 1.01 < self.beta_ < BETA_BOUNDS[1] / 1.01)
        self.confidence_ = confidence
        self._draws = None if resampled_loss is None else self._fit_draws(resampled_loss)
        return self

    def predict(self, num_bytes: Floats | Sequence[float] | float) -> Floats:
        """Loss in nats per byte at the sizes in bytes, same shape."""
        return np.asarray(self.E_ + self.B_ * np.asarray(num_bytes, dtype=float) ** -self.beta_)

    @property
    def summary(self) -> pd.DataFrame:
        """Rows E, B, beta; columns estimate, low, high (NaN without resamples), confidence."""
        low_high: dict[str, tuple[float, float]] = dict.fromkeys(
            ("E", "B", "beta"), (float("nan"), float("nan"))
        )
        if self._draws is not None:
            for name, draws in self._draws.items():
                low_high[name] = ordered_quantiles(draws, self.confidence_)
        if not self.irreducible_:
            low_high["E"] = (float("nan"), float("nan"))  # fixed, not estimated
        estimates = {"E": self.E_, "B": self.B_, "beta": self.beta_}
        return pd.DataFrame(
            {
                "estimate": estimates,
                "low": {name: ends[0] for name, ends in low_high.items()},
                "high": {name: ends[1] for name, ends in low_high.items()},
                "confidence": self.confidence_ if self._draws is not None else float("nan"),
            }
        )

    def _project(self, beta: float, losses: Floats) -> tuple[Floats, Floats, Floats]:
        """Best E, B >= 0 for a beta and the squared error; losses (R, K), all returned are (R,)."""
        x = self._row_scale * (self._size / self._centre) ** -beta
        one = self._row_scale
        y = losses * self._row_scale
        xx, x1, ones = float(x @ x), float(x @ one), float(one @ one)
        xy, y1 = y @ x, y @ one
        # The optimum under E, B >= 0 is the free one, or lies on one of the two edges; losses
        # and rows are positive, so an edge's own solution is never negative.
        E, B = np.zeros(len(y)), xy / xx
        if self.irreducible_:
            determinant = xx * ones - x1 * x1
            free_E = (xx * y1 - x1 * xy) / determinant
            free_B = (ones * xy - x1 * y1) / determinant
            flat = free_B < 0
            inside = (free_E >= 0) & ~flat
            E = np.where(inside, free_E, np.where(flat, y1 / ones, E))
            B = np.where(inside, free_B, np.where(flat, 0.0, B))
        residual = y - E[:, None] * one - B[:, None] * x
        return E, B, np.asarray((residual**2).sum(axis=1))

    def _best_beta(self, observed: Floats) -> float:
        errors = [float(self._project(beta, observed[None])[2][0]) for beta in _BETA_GRID]
        best = int(np.argmin(errors))
        around = _BETA_GRID[max(best - 1, 0)], _BETA_GRID[min(best + 1, len(_BETA_GRID) - 1)]
        refined = minimize_scalar(
            lambda beta: float(self._project(float(beta), observed[None])[2][0]),
            bounds=(float(around[0]), float(around[1])),
            method="bounded",
            options={"xatol": 1e-10},
        )
        return float(refined.x) if refined.fun <= errors[best] else float(_BETA_GRID[best])

    def _fit_draws(self, losses: Floats) -> dict[str, Floats]:
        """E, B, beta of every resample; beta on the grid (steps of 1.6 %), enough for intervals."""
        best = np.full(len(losses), np.inf)
        fitted = {name: np.full(len(losses), np.nan) for name in ("E", "B", "beta")}
        for beta in _BETA_GRID:
            E, B, error = self._project(float(beta), losses)
            better = error < best
            best[better] = error[better]
            fitted["E"][better] = E[better]
            fitted["B"][better] = B[better] * self._centre**beta
            fitted["beta"][better] = beta
        return fitted


LAW_COLUMNS = [
    "model", "target", "num_rungs", "irreducible", "E", "B", "beta", "rmse_log",
    "E_low", "E_high", "B_low", "B_high", "beta_low", "beta_high", "confidence", "note",
]  # fmt: skip


def fit_ladders(
    ladders: dict[tuple[str, str], Ladder],
    resampled: dict[tuple[str, str], Floats],
    confidence: float,
) -> tuple[dict[tuple[str, str], ScalingLaw], pd.DataFrame]:
    """A law for each (model, target), and their table; `note` says why there is none, or no E.

    `resampled` holds log losses (R, K) for the ladders that have several seeds.
    """
    laws: dict[tuple[str, str], ScalingLaw] = {}
    rows: list[dict[str, object]] = []
    for (model, target), ladder in ladders.items():
        row: dict[str, object] = {
            "model": model, "target": target, "num_rungs": len(ladder.num_bytes), "note": ""
        }  # fmt: skip
        rows.append(row)
        if len(ladder.num_bytes) < MIN_RUNGS:
            row["note"] = f"no law: {len(ladder.num_bytes)} of at least {MIN_RUNGS} rungs"
            continue
        draws = resampled.get((model, target))
        law = ScalingLaw().fit(
            ladder.num_bytes,
            np.exp(ladder.log_loss),
            num_seeds=ladder.num_seeds,
            resampled_loss=None if draws is None else np.exp(draws),
            confidence=confidence,
        )
        laws[model, target] = law
        notes = []
        if not law.irreducible_:
            notes.append(f"without E: fewer than {MIN_RUNGS_IRREDUCIBLE} rungs")
        if law.at_bound_:
            notes.append("beta is at the end of its search range: the ladder shows no power law")
        if draws is None:
            notes.append("one seed: no interval")
        row |= {"irreducible": law.irreducible_, "rmse_log": law.rmse_log_}
        for name, values in law.summary.iterrows():
            row |= {str(name): values["estimate"]}
            row |= {f"{name}_low": values["low"], f"{name}_high": values["high"]}
            row["confidence"] = values["confidence"]
        row["note"] = "; ".join(notes)
    table = pd.DataFrame(rows, columns=LAW_COLUMNS)
    numbers = LAW_COLUMNS[4:-1]
    return laws, table.astype(
        {"model": "str", "target": "str", "num_rungs": "int64", "irreducible": "boolean",
         "note": "str", **dict.fromkeys(numbers, "float64")}
    )  # fmt: skip
