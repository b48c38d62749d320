"""The law of transfer: D_T = k·D_F^alpha, and k·D_F^alpha·N^beta over model sizes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from analysis.arrays import Floats
from analysis.laws.censored import CensoredFit, censored_regression
from analysis.laws.coding import OUT, PLACES, Coded, coded, is_negative
from analysis.laws.concerns import BoundaryWarning, ConvergenceWarning
from analysis.laws.draws import TransferDraws
from analysis.quantiles import ordered_quantiles

# Resamples of which fewer than this share give a law leave it without interval.
_FITTED_SHARE = 0.5


class TransferLaw:
    """D_T = k·D_F^alpha, or k·D_F^alpha·N^beta; D_T and D_F in bytes, N in parameters.

    A line through log bytes, fitted by maximum likelihood of a censored (Tobit) regression, so that
    a D_E off the ladder counts as the bound that it is: above, D_T is at least that much; below, at
    most. A power law has no sign, so a D_T that is negative or zero is no point of it; nor is it
    nothing. As in the analysis of traces (Helsel, Statistics for Censored Environmental Data, 2012)
    `resolution_bytes` says how small a D_T could be told from zero, its standard error: what is
    smaller enters as "at most that" (left-censored). A D_T that is negative by more than two
    resolutions, or negative with none given, is described by no law with k > 0; it is left out,
    counted in num_negative_ and warned of. (|D_T| would turn harm into help, and a bound of one
    byte would let the choice of a unit decide the slope.) D_F = 0 has no logarithm and is counted
    in num_zeroshot_; a bound that bounds nothing, "at least" a D_T under zero, in
    num_uninformative_.

    Parameters
        confidence: of the intervals.

    Attributes after `fit`
        k_, alpha_, beta_ (NaN without `parameters`); sigma_ (standard deviation of log D_T about
        the law, corrected for the number of parameters; NaN where points only just suffice);
        num_points_ (values and bounds that entered), num_censored_ (bounds among them),
        num_negative_, num_zeroshot_, num_uninformative_ (left out); rmse_log_ (of the uncensored
        points); converged_;
        intervals_ ("resamples", "Student's t about the law", "none"); points_ (DataFrame, a row a
        point given: finetune_bytes, transferred_bytes, parameters, used, fitted_bytes,
        residual_log); summary (DataFrame).

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
        resolution_bytes: Floats | Sequence[float] | None = None,
        resampled: TransferDraws | None = None,
    ) -> TransferLaw:
        """Fit to points (n,); `range` holds inside | below | above, all inside if not given.

        parameters: N of the model of each point. resampled: D_T of the same points (R, n), whose
        fits give the intervals; without it they rest on the scatter about the law, taken as
        independent between points. Raises `ValueError` on lengths that differ, or unless at least
        two (with N: three) uncensored positive points determine the law.
        """
        size = np.asarray(finetune_bytes, dtype=float)
        transferred = np.asarray(transferred_bytes, dtype=float)
        place = np.array([PLACES[word] for word in (range or ["inside"] * len(size))], np.int8)
        resolution = np.full(len(size), np.nan)
        if resolution_bytes is not None:
            resolution = np.asarray(resolution_bytes, dtype=float)
        model = None if parameters is None else np.asarray(parameters, dtype=float)
        lengths = {len(size), len(transferred), len(place), len(resolution)}
        if len(lengths | ({len(model)} if model is not None else set())) != 1:
            raise ValueError(f"a law needs as many D_T, ranges and N as D_F; found {lengths}")
        if model is not None and not np.all(model > 0):
            raise ValueError(f"a law needs positive numbers of parameters; found {model}")

        trained = size > 0
        self._centre = self._centres(size, model, trained)
        design = self._design(np.where(trained, size, 1.0), model)
        codes = coded(transferred[None], place[None], resolution)
        negative = trained & is_negative(transferred, place, resolution)
        out = negative | ~trained
        codes = Coded(codes.outcome, np.where(out, OUT, codes.place).astype(np.int8))
        used = codes.place[0] != OUT
        self.num_zeroshot_ = int((~trained).sum())
        self.num_negative_ = int(negative.sum())
        self.num_uninformative_ = int((~out & ~used).sum())
        self.num_points_ = int(used.sum())
        self.num_censored_ = int((np.abs(codes.place[0]) == 1).sum())
        fit = censored_regression(design, codes.outcome, codes.place)
        exact = codes.place[0] == 0
        if not np.isfinite(fit.coefficients).all():
            needed = design.shape[1]
            raise ValueError(
                f"a law of transfer needs at least {needed} positive D_T inside the ladder, at "
                f"different D_F{'' if model is None else ' and N'}; found {int(exact.sum())} of "
                f"{len(size)} points ({self.num_censored_} bounds, {self.num_negative_} negative, "
                f"{self.num_zeroshot_} zeroshot)"
            )
        self._coefficients = fit.coefficients[0]
        self.k_, self.alpha_, self.beta_ = (float(v[0]) for v in self._named(fit.coefficients))
        self.converged_ = bool(fit.converged[0])
        self._freedom = int(exact.sum()) - design.shape[1]
        correction = exact.sum() / self._freedom if self._freedom > 0 else float("nan")
        self.sigma_ = float(fit.sigma[0] * np.sqrt(correction))
        self._covariance = fit.covariance[0] * correction
        fitted = design @ self._coefficients
        residual = np.where(exact, codes.outcome[0] - fitted, np.nan)
        self.rmse_log_ = float(np.sqrt(np.nanmean(residual**2)))
        self.points_ = pd.DataFrame(
            {
                "finetune_bytes": size,
                "transferred_bytes": transferred,
                "parameters": np.nan if model is None else model,
                "used": used,
                "fitted_bytes": np.where(trained, np.exp(fitted), np.nan),
                "residual_log": residual,
            }
        )
        self._draws = self._fit_draws(design, resampled, resolution, out)
        self.intervals_ = (
            "resamples"
            if self._draws is not None
            else "Student's t about the law"
            if self._freedom > 0 and resampled is None
            else "none"
        )
        self._warn(fit)
        return self

    def predict(
        self,
        finetune_bytes: Floats | Sequence[float] | float,
        parameters: Floats | Sequence[float] | float | None = None,
    ) -> Floats:
        """D_T in bytes at D_F in bytes, of the common shape; N is needed where the law has it."""
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
            drawn = dict(zip(("k", "alpha", "beta"), self._named(self._draws), strict=True))
            ends = {name: ordered_quantiles(drawn[name], self.confidence) for name in names}
        elif self.intervals_ != "none":
            quantile = float(student.ppf((1 + self.confidence) / 2, self._freedom))
            # log k = first coefficient - the others · their centres.
            weights = np.eye(len(names))
            weights[0, 1:] = -np.asarray(self._centre)
            error = np.sqrt(np.einsum("ni,ij,nj->n", weights, self._covariance, weights))
            middle = weights @ self._coefficients
            low, high = middle - quantile * error, middle + quantile * error
            low[0], high[0] = np.exp(low[0]), np.exp(np.minimum(high[0], 700.0))
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

    def _named(self, coefficients: Floats) -> tuple[Floats, Floats, Floats]:
        """k, alpha and beta of rows of coefficients (R, p)."""
        shift = coefficients[:, 1:] @ np.asarray(self._centre)
        beta = coefficients[:, 2] if len(self._centre) > 1 else np.full(len(coefficients), np.nan)
        # A slope that noise made absurd must not end in an overflow.
        k = np.exp(np.clip(coefficients[:, 0] - shift, -700.0, 700.0))
        return k, coefficients[:, 1], beta

    def _fit_draws(
        self,
        design: Floats,
        resampled: TransferDraws | None,
        resolution: Floats,
        out: npt.NDArray[np.bool_],
    ) -> Floats | None:
        if resampled is None:
            return None
        codes = coded(resampled.transferred_bytes, resampled.range, resolution)
        place = np.where(out, OUT, codes.place).astype(np.int8)
        fit = censored_regression(design, codes.outcome, place, resampled.multiplicity)
        fitted = np.isfinite(fit.coefficients).all(axis=1)
        self.resamples_fitted_ = float(fitted.mean())
        return fit.coefficients[fitted] if self.resamples_fitted_ >= _FITTED_SHARE else None

    def _warn(self, fit: CensoredFit) -> None:
        if self.num_negative_:
            warnings.warn(
                f"{self.num_negative_} D_T are negative beyond their resolution and left out: no "
                "law with k > 0 describes them",
                BoundaryWarning,
                stacklevel=3,
            )
        if not fit.converged[0]:
            warnings.warn("the censored fit did not settle", ConvergenceWarning, stacklevel=3)
