"""The transfer law: D_T = k·D_F^alpha, and k·D_F^alpha·N^beta over model sizes."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import log_ndtr, stdtrit

from analysis.arrays import Floats
from analysis.laws.additive import EXPONENTS, Fit, Points, fitted
from analysis.laws.concerns import BoundaryWarning
from analysis.laws.draws import PLACES, Places, TransferDraws
from analysis.quantiles import ordered_quantiles

_ROUNDS = 6
_UNKNOWN = 0.1  # error of log D_E until the scatter about the law is known; affects only bounds


class TransferLaw:
    """D_T = k·D_F^alpha, or k·D_F^alpha·N^beta; D_T and D_F in bytes, N in parameters.

    Fitted on log(D_E / D_F) (`analysis.laws.additive`), where noise is additive, by weighted least
    squares, with a D_E off the ladder as a bound: above, at least that much; below, at most. Small
    or negative D_T are points like the others: leaving out those that noise made negative, or
    taking logarithms of the rest, would select by outcome and bias both k and alpha upwards where
    transfer is weak. If pretraining hurts overall, k is negative. D_F = 0 has no D_E / D_F and is
    counted in num_zeroshot_.

    Parameters
        confidence: of the intervals.

    Attributes after `fit`
        k_, alpha_, beta_ (NaN without `parameters`); sigma_ (scatter of log D_E about the law
        beyond the given errors, or all of it without errors); num_points_ (values and bounds that
        entered), num_censored_ (bounds among them), num_negative_ (D_T < 0 among them),
        num_zeroshot_ (left out); rmse_log_ (of log D_E, uncensored points); determined_ (whether
        alpha is inside its range); intervals_ ("resamples", "Student's t about the law",
        "none"); points_ (DataFrame, a row a point given: finetune_bytes, transferred_bytes,
        parameters, used, fitted_bytes, residual_log); summary (DataFrame).

    Example
        >>> law = TransferLaw().fit([1e4, 1e5, 1e6], [2e4, 4e4, 8e4])
        >>> round(law.alpha_, 3)
        0.301

    Source: Hernandez et al. 2021 (arXiv 2102.01293).
    """

    def __init__(self, *, confidence: float = 0.90) -> None:
        self.confidence = confidence

    def fit(
        self,
        finetune_bytes: Floats | Sequence[float],
        transferred_bytes: Floats | Sequence[float],
        parameters: Floats | Sequence[float] | None = None,
        *,
        range: Sequence[str] | None = None,
        error_log: Floats | Sequence[float] | None = None,
        resampled: TransferDraws | None = None,
    ) -> TransferLaw:
        """Fit to points (n,); `range` holds inside | below | above, all inside if not given.

        parameters: N of the model of each point. error_log: standard error of log D_E, for the
        weights; equal if not given. resampled: D_T of the same points (R, n), whose fits give the
        intervals; without it these use the scatter about the law, assumed independent between
        points. Raises `ValueError` on lengths that differ, or unless at least two (with N: three)
        uncensored points at different D_F (and N) determine the law.
        """
        size = np.asarray(finetune_bytes, dtype=float)
        transferred = np.asarray(transferred_bytes, dtype=float)
        place = np.array([PLACES[word] for word in (range or ["inside"] * len(size))], np.int8)
        error = np.full(len(size), np.nan)
        if error_log is not None:
            error = np.asarray(error_log, dtype=float)
        model = None if parameters is None else np.asarray(parameters, dtype=float)
        lengths = {len(size), len(transferred), len(place), len(error)}
        if len(lengths | ({len(model)} if model is not None else set())) != 1:
            raise ValueError(f"a law needs as many D_T, ranges and N as D_F; found {lengths}")
        if model is not None and not np.all(model > 0):
            raise ValueError(f"a law needs positive numbers of parameters; found {model}")

        trained = size > 0
        self._centre = self._centres(size, model, trained)
        design = self._design(np.where(trained, size, 1.0), model)
        exact = trained & (place == 0)
        self.num_zeroshot_ = int((~trained).sum())
        self.num_points_ = int(trained.sum())
        self.num_censored_ = int((trained & (place != 0)).sum())
        self.num_negative_ = int((exact & (transferred < 0)).sum())
        needed = design.shape[1]
        if not exact.any() or np.linalg.matrix_rank(design[exact]) < needed:
            raise ValueError(
                f"a law of transfer needs at least {needed} D_T inside the ladder, at different "
                f"D_F{'' if model is None else ' and N'}; found {int(exact.sum())} of {len(size)} "
                f"points ({self.num_censored_} bounds, {self.num_zeroshot_} zeroshot)"
            )
        self._trained, self._size = trained, size
        known = bool(np.isfinite(error[trained]).all()) and bool((error[trained] > 0).all())
        noise = error if known else np.full(len(size), _UNKNOWN)
        points = self._points(design, transferred[None], place[None], noise, None)
        fit = fitted(points)
        # The scatter beyond the given errors (or all of it) belongs in the weights. Each bound
        # enters by its expected square, which depends on the scatter: a few rounds suffice.
        self._freedom = int(exact.sum()) - needed
        self.sigma_ = float("nan")
        for _ in builtins.range(_ROUNDS if self.num_censored_ else 1):
            if self._freedom <= 0:
                break
            beyond = self._scatter(points, fit, needed)
            if known:
                beyond -= float((error[exact] ** 2).mean())
            self.sigma_ = float(np.sqrt(max(beyond, 0.0)))
            if self.sigma_ == 0:
                break
            noise = np.hypot(error if known else 0.0, self.sigma_) * np.ones(len(size))
            points = self._points(design, transferred[None], place[None], noise, None)
            fit = fitted(points)
        residual = self._residual(points, fit)
        self._sign, self._coefficients = fit.sign[0], fit.coefficients[0]
        self._covariance = fit.covariance
        self.k_, self.alpha_, self.beta_ = (
            float(value[0]) for value in self._named(fit.sign, fit.coefficients)
        )
        self.determined_ = bool(EXPONENTS[0] < self.alpha_ < EXPONENTS[1])
        self.rmse_log_ = float(np.sqrt((residual[exact[trained]] ** 2).mean()))
        law = self._sign * np.exp(np.clip(design @ self._coefficients, -700, 700))
        spread = np.full(len(size), np.nan)
        spread[trained] = np.where(exact[trained], residual, np.nan)
        self.points_ = pd.DataFrame(
            {
                "finetune_bytes": size,
                "transferred_bytes": transferred,
                "parameters": np.nan if model is None else model,
                "used": trained,
                "fitted_bytes": np.where(trained, law, np.nan),
                "residual_log": spread,
            }
        )
        self._draws = None
        if resampled is not None:
            drawn = self._points(
                design, resampled.transferred_bytes, resampled.range, noise, resampled.multiplicity
            )
            each = fitted(drawn)
            self._draws = self._named(each.sign, each.coefficients)
        self.intervals_ = (
            "resamples"
            if self._draws is not None
            else "Student's t about the law"
            if self._freedom > 0
            else "none"
        )
        if not self.determined_:
            warnings.warn(
                f"alpha ended at {self.alpha_:g}, the edge of its range: these D_T do not "
                "determine it",
                BoundaryWarning,
                stacklevel=2,
            )
        return self

    def predict(
        self,
        finetune_bytes: Floats | Sequence[float] | float,
        parameters: Floats | Sequence[float] | float | None = None,
    ) -> Floats:
        """D_T in bytes at D_F in bytes, in the common shape; N is required if the law has it."""
        size = np.asarray(finetune_bytes, dtype=float)
        law = self.k_ * size**self.alpha_
        if np.isfinite(self.beta_):
            if parameters is None:
                raise ValueError("this law was fitted over model sizes: give parameters")
            law = law * np.asarray(parameters, dtype=float) ** self.beta_
        return np.asarray(law)

    @property
    def summary(self) -> pd.DataFrame:
        """Rows k, alpha (and beta); columns estimate, low, high, confidence (NaN without)."""
        names = ["k", "alpha", "beta"][: len(self._coefficients)]
        ends = {name: (float("nan"), float("nan")) for name in names}
        if self._draws is not None:
            drawn = dict(zip(("k", "alpha", "beta"), self._draws, strict=True))
            ends = {name: ordered_quantiles(drawn[name], self.confidence) for name in names}
        elif self.intervals_ != "none":
            quantile = float(stdtrit(self._freedom, (1 + self.confidence) / 2))
            # log |k| = first coefficient - the others · their centres.
            weights = np.eye(len(names))
            weights[0, 1:] = -np.asarray(self._centre)
            error = np.sqrt(np.einsum("ni,ij,nj->n", weights, self._covariance, weights))
            middle = weights @ self._coefficients
            low, high = middle - quantile * error, middle + quantile * error
            both = self._sign * np.exp(np.clip([low[0], high[0]], -700.0, 700.0))
            low[0], high[0] = both.min(), both.max()
            ends = {name: (float(low[at]), float(high[at])) for at, name in enumerate(names)}
        confidence = float("nan") if self.intervals_ == "none" else self.confidence
        rows = {
            name: {
                "estimate": getattr(self, f"{name}_"),
                "low": ends[name][0],
                "high": ends[name][1],
                "confidence": confidence,
            }
            for name in names
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def plot(self, ax: Any = None) -> Any:
        """Points, bounds as arrows, and the law over D_F, log-log, on a matplotlib Axes."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(layout="constrained").add_subplot()
        points = self.points_[self.points_["finetune_bytes"] > 0]
        size = points["finetune_bytes"]
        exact = points["residual_log"].notna()
        bound = points["used"] & ~exact & (points["transferred_bytes"] > 0)
        x = np.geomspace(size.min(), size.max(), 100)
        for value in sorted(points["parameters"].dropna().unique()) or [None]:
            label = "law" if value is None else f"law, N = {value:.3g}"
            ax.plot(x, self.predict(x, value), label=label)
        ax.plot(size[exact], points.loc[exact, "transferred_bytes"], "o", label="D_T")
        ax.plot(size[bound], points.loc[bound, "transferred_bytes"], "^", mfc="none", label="bound")
        ax.set(xscale="log", yscale="log", xlabel="D_F, bytes", ylabel="D_T, bytes")
        return ax

    @staticmethod
    def _centres(size: Floats, model: Floats | None, trained: npt.NDArray[np.bool_]) -> list[float]:
        centres = [float(np.log(size[trained]).mean()) if trained.any() else 0.0]
        return centres if model is None else [*centres, float(np.log(model).mean())]

    def _design(self, size: Floats, model: Floats | None) -> Floats:
        columns = [np.ones(len(size)), np.log(size) - self._centre[0]]
        if model is not None:
            columns.append(np.log(model) - self._centre[1])
        return np.stack(columns, axis=-1)

    def _named(
        self, sign: npt.NDArray[np.int8], coefficients: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """k, alpha and beta of rows of coefficients (R, p)."""
        shift = coefficients[:, 1:] @ np.asarray(self._centre)
        beta = coefficients[:, 2] if len(self._centre) > 1 else np.full(len(coefficients), np.nan)
        # An absurd slope (from noise) must not overflow.
        k = sign * np.exp(np.clip(coefficients[:, 0] - shift, -700.0, 700.0))
        return k, coefficients[:, 1], beta

    def _points(
        self,
        design: Floats,
        transferred: Floats,
        place: Places,
        error: Floats,
        multiplicity: Floats | None,
    ) -> Points:
        kept, size = self._trained, self._size[self._trained]
        # A draw with D_E <= 0 has no logarithm; the ladder's lowest rung is above 0.
        ratio = np.maximum(1 + transferred[:, kept] / size, 1e-12)
        return Points(
            design[kept],
            np.log(size),
            np.log(ratio),
            place[:, kept],
            error[kept],
            np.ones(ratio.shape) if multiplicity is None else multiplicity[:, kept],
        )

    @classmethod
    def _scatter(cls, points: Points, fit: Fit, needed: int) -> float:
        """Variance of log D_E about the law; a bound counts with its expected square."""
        residual, place = cls._residual(points, fit), points.place[0]
        # E[z² | z beyond z0] = 1 + z0·m, with the inverse Mills ratio m, z to the side of place.
        z = np.clip(place * residual / points.error, -30.0, 30.0)
        mills = np.exp(-(z**2) / 2 - log_ndtr(-z)) / np.sqrt(2 * np.pi)
        squares = np.where(place == 0, residual**2, points.error**2 * (1 + z * mills))
        return float(squares.sum() / (len(squares) - needed))

    @staticmethod
    def _residual(points: Points, fit: Fit) -> Floats:
        mean, _ = points.expected(int(fit.sign[0]), fit.coefficients[:1])
        return np.asarray(points.outcome[0] - mean[0])
