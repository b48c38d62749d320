"""The power law of a scratch ladder: L(D) = E + B·D^-beta."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.laws.concerns import BoundaryWarning, ConvergenceWarning
from analysis.laws.epochs import R_STAR_EPOCHS, effective_unique_bytes
from analysis.laws.huber import HuberFit, huber_fit
from analysis.laws.projection import Projected, project
from analysis.quantiles import ordered_quantiles

MIN_RUNGS = 3  # fewer, and any law fits
MIN_RUNGS_IRREDUCIBLE = 4  # one more than the parameters of the law with E
MIN_RUNGS_HELD_OUT = MIN_RUNGS_IRREDUCIBLE + 1
# If beta of the cross-check is off by more than this share of beta, the two fits disagree.
_BETA_AGREES = 0.25
_FORMS = {True: "with E", False: "without E"}


class ScalingLaw:
    """L(D) = E + B·D^-beta, with E >= 0 and B >= 0; D in bytes, L in nats per byte.

    Fitted by variable projection to relative residuals, weighted by the seeds of a rung, and
    checked by a Huber fit of log residuals from many starts.

    Parameters
        irreducible: True (with E), False (E is 0), or "held_out" (the default): both are fitted
            without the largest rung, and the one that predicts its log loss better is used; the
            simpler if they tie to 1e-6. That needs 5 rungs; with 4 E is fitted, with 3 it is not.
        r_star_epochs: R* of Muennighoff et al. 2023, used if `bytes_seen` is given.

    Attributes after `fit`
        E_, B_, beta_; irreducible_ (whether E was fitted); chosen_by_ ("held-out rung", "asked" or
        "too few rungs"); selection_ (DataFrame with a row for each form: held_out_log_error,
        rmse_log, chosen); selection_share_ (share of resamples that choose the same form; NaN
        without); rungs_ (DataFrame with one row per rung: num_bytes, effective_unique_bytes, loss,
        fitted_loss, residual_log); num_rungs_; rmse_log_ (root mean square residual of log loss);
        huber_ (`HuberFit`: its parameters, num_starts and num_reached); at_bound_ (beta ended at a
        bound of its search range: do not interpret it); summary (DataFrame).

    Example
        >>> law = ScalingLaw().fit([1e4, 1e5, 1e6, 1e7, 1e8], [2.1, 1.6, 1.3, 1.12, 1.02])
        >>> law.irreducible_, round(law.beta_, 2)
        (True, 0.23)

    Source: Kaplan et al. 2020 (arXiv 2001.08361) and Hoffmann et al. 2022 (arXiv 2203.15556).
    """

    def __init__(
        self,
        *,
        irreducible: bool | Literal["held_out"] = "held_out",
        r_star_epochs: float = R_STAR_EPOCHS,
    ) -> None:
        self.irreducible = irreducible
        self.r_star_epochs = r_star_epochs

    def fit(
        self,
        num_bytes: Floats | Sequence[float],
        loss: Floats | Sequence[float],
        *,
        num_seeds: Floats | Sequence[float] | None = None,
        bytes_seen: Floats | Sequence[float] | None = None,
        resampled_loss: Floats | None = None,
        confidence: float = 0.90,
    ) -> ScalingLaw:
        """Fit to rungs (K,); `resampled_loss` (R, K) gives the summary its intervals.

        bytes_seen: bytes each rung was trained on, repeats counted; with it D of the law is the
        effective unique data of `effective_unique_bytes`. Warns with `BoundaryWarning` or
        `ConvergenceWarning`. Raises `ValueError` with fewer than 3 different rungs, or where bytes
        or losses are not positive and finite.
        """
        size = np.asarray(num_bytes, dtype=float)
        observed = np.asarray(loss, dtype=float)
        if len(size) < MIN_RUNGS or len(size) != len(observed):
            raise ValueError(
                f"a law needs at least {MIN_RUNGS} rungs and a loss for each; "
                f"found {len(size)} rungs, {len(observed)} losses"
            )
        usable = np.isfinite(size) & np.isfinite(observed) & (size > 0) & (observed > 0)
        if not usable.all():
            raise ValueError(f"a law needs positive bytes and losses; found {size}, {observed}")
        data = size
        if bytes_seen is not None:
            data = effective_unique_bytes(size, bytes_seen, r_star_epochs=self.r_star_epochs)
        if len(np.unique(data)) < MIN_RUNGS:
            raise ValueError(f"a law needs {MIN_RUNGS} different rungs; found {data}")
        weights = np.ones(len(size)) if num_seeds is None else np.asarray(num_seeds, dtype=float)
        self.num_rungs_ = len(size)
        self.confidence_ = confidence
        self._choose(data, observed, weights)
        best = project(data, observed[None], weights, irreducible=self.irreducible_)
        self.E_, self.B_, self.beta_ = float(best.E[0]), float(best.B[0]), float(best.beta[0])
        self.at_bound_ = bool(best.at_bound[0])
        fitted = self.E_ + self.B_ * data**-self.beta_
        residual = np.log(observed / fitted)
        self.rmse_log_ = float(np.sqrt(np.mean(residual**2)))
        self.rungs_ = pd.DataFrame(
            {
                "num_bytes": size,
                "effective_unique_bytes": data,
                "loss": observed,
                "fitted_loss": fitted,
                "residual_log": residual,
            }
        )
        self.huber_ = huber_fit(data, observed, weights, irreducible=self.irreducible_)
        self._draws: Projected | None = None
        self.selection_share_ = float("nan")
        if resampled_loss is not None:
            self._draws = project(data, resampled_loss, weights, irreducible=self.irreducible_)
            if self.chosen_by_ == "held-out rung":
                same = _with_e(_held_out_errors(data, resampled_loss, weights)) == self.irreducible_
                self.selection_share_ = float(same.mean())
        self._warn()
        return self

    def predict(
        self,
        num_bytes: Floats | Sequence[float] | float,
        *,
        bytes_seen: Floats | Sequence[float] | float | None = None,
    ) -> Floats:
        """Loss in nats per byte at the sizes in bytes, same shape.

        For a law fitted with `bytes_seen`, sizes are effective unique bytes unless `bytes_seen` is
        given too.
        """
        return np.asarray(self.E_ + self.B_ * self._data(num_bytes, bytes_seen) ** -self.beta_)

    def predict_interval(
        self,
        num_bytes: Floats | Sequence[float],
        *,
        bytes_seen: Floats | Sequence[float] | None = None,
    ) -> tuple[Floats, Floats]:
        """Both ends of the interval of the law's loss at sizes (N,); NaN without resamples."""
        data = self._data(num_bytes, bytes_seen)
        if self._draws is None:
            return np.full(data.shape, np.nan), np.full(data.shape, np.nan)
        draws = self._draws
        losses = draws.E[:, None] + draws.B[:, None] * data ** -draws.beta[:, None]
        ends = [ordered_quantiles(column, self.confidence_) for column in losses.T]
        return np.array([end[0] for end in ends]), np.array([end[1] for end in ends])

    @property
    def summary(self) -> pd.DataFrame:
        """Rows E, B, beta; columns estimate, low, high (NaN without resamples), confidence."""
        estimates = {"E": self.E_, "B": self.B_, "beta": self.beta_}
        rows = {}
        for name, estimate in estimates.items():
            low = high = confidence = float("nan")
            if self._draws is not None:
                confidence = self.confidence_
                if name != "E" or self.irreducible_:  # E that is fixed is not estimated
                    low, high = ordered_quantiles(getattr(self._draws, name), confidence)
            rows[name] = {"estimate": estimate, "low": low, "high": high, "confidence": confidence}
        return pd.DataFrame.from_dict(rows, orient="index")

    def plot(self, ax: Any = None) -> Any:
        """Rungs, law and band over bytes, log-log, on a matplotlib Axes, which is returned."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(layout="constrained").add_subplot()
        data = self.rungs_["effective_unique_bytes"].to_numpy()
        x = np.geomspace(data.min(), data.max(), 100)
        (line,) = ax.plot(x, self.predict(x), label="law")
        if self._draws is not None:
            ax.fill_between(x, *self.predict_interval(x), color=line.get_color(), alpha=0.2, lw=0)
        ax.plot(data, self.rungs_["loss"], "o", color=line.get_color(), label="scratch")
        ax.set(xscale="log", yscale="log", xlabel="bytes", ylabel="loss, nats per byte")
        return ax

    def _data(self, num_bytes: Any, bytes_seen: Any) -> Floats:
        if bytes_seen is None:
            return np.asarray(num_bytes, dtype=float)
        return effective_unique_bytes(num_bytes, bytes_seen, r_star_epochs=self.r_star_epochs)

    def _choose(self, data: Floats, observed: Floats, weights: Floats) -> None:
        """Set irreducible_, chosen_by_ and selection_."""
        held_out = {True: float("nan"), False: float("nan")}
        enough = len(data) >= MIN_RUNGS_IRREDUCIBLE
        if len(data) >= MIN_RUNGS_HELD_OUT:
            errors = _held_out_errors(data, observed[None], weights)
            held_out = {form: float(errors[form][0]) for form in (True, False)}
        if self.irreducible != "held_out":
            self.irreducible_ = self.irreducible and enough
            self.chosen_by_ = "asked" if enough or not self.irreducible else "too few rungs"
        elif len(data) >= MIN_RUNGS_HELD_OUT:
            self.irreducible_ = bool(_with_e(errors)[0])
            self.chosen_by_ = "held-out rung"
        else:
            self.irreducible_, self.chosen_by_ = enough, "too few rungs"
        rows = {}
        for form, name in _FORMS.items():
            rmse = float("nan")
            if enough or not form:
                fit = project(data, observed[None], weights, irreducible=form)
                fitted = fit.E[0] + fit.B[0] * data ** -fit.beta[0]
                rmse = float(np.sqrt(np.mean(np.log(fitted / observed) ** 2)))
            rows[name] = {
                "held_out_log_error": held_out[form],
                "rmse_log": rmse,
                "chosen": form == self.irreducible_,
            }
        self.selection_ = pd.DataFrame.from_dict(rows, orient="index")

    def _warn(self) -> None:
        if self.at_bound_:
            warnings.warn(
                f"beta is at the end of its search range ({self.beta_:.3g}): the ladder shows no "
                "power law",
                BoundaryWarning,
                stacklevel=3,
            )
        elif not huber_agrees(self.beta_, self.huber_):
            warnings.warn(
                f"least squares gives beta {self.beta_:.3g}, Huber {self.huber_.beta:.3g}: single "
                "rungs decide the fit",
                ConvergenceWarning,
                stacklevel=3,
            )


def huber_agrees(beta: float, huber: HuberFit) -> bool:
    """Whether the cross-check agrees."""
    return abs(huber.beta / beta - 1) <= _BETA_AGREES


def _held_out_errors(data: Floats, losses: Floats, weights: Floats) -> dict[bool, Floats]:
    """|log residual| (R,) of the largest rung, predicted from the others, with and without E."""
    last = int(np.argmax(data))
    rest = np.arange(len(data)) != last
    found = {}
    for form in (True, False):
        fit = project(data[rest], losses[:, rest], weights[rest], irreducible=form)
        predicted = fit.E + fit.B * data[last] ** -fit.beta
        found[form] = np.abs(np.log(predicted / losses[:, last]))
    return found


def _with_e(errors: dict[bool, Floats]) -> Any:
    return errors[True] < errors[False] - 1e-6
