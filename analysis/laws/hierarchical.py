"""A hierarchical model of several ladders: exponents and shapes from a common distribution.

L(D) = M·(e + (1 - e)·(D / D_0)^-beta), which is E + B·D^-beta by its loss M at D_0, the geometric
mean of all rungs, its exponent and e = E / M, the irreducible share of M. Each target has its own
log M, log beta and logit e; over targets each of the three is normal. Rungs scatter about the law
of their target by the noise of seeds, if known, and by a misfit.

The means and standard deviations of the three, and the misfit, maximise the marginal likelihood:
the law is linearised at each target's mode, the targets and the means are integrated out of the
resulting normal model, and this is iterated (Lindstrom and Bates, Biometrics 46, 1990; means
integrated out: Patterson and Thompson 1971; standard deviations kept off 0: Chung et al.,
Psychometrika 2013). So a ladder of three rungs, which by itself fits anything, learns from the
others how a ladder bends; a long one hardly changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from analysis.arrays import Floats
from analysis.ladder import Ladder

MIN_RUNGS = 2  # fewer do not identify a slope
MIN_TARGETS = 3  # fewer do not identify how targets differ
_LOWEST = np.array([-np.inf, np.log(0.005), -8.0])
_HIGHEST = np.array([np.inf, np.log(3.0), 8.0])
# Prior of exponents and shapes; practically flat for losses.
_PRIOR_MEAN = np.array([0.0, np.log(0.3), 0.0])
_PRIOR_SD = np.array([10.0, 1.0, 2.0])
_SD_BOUNDS = ((1e-3, 3.0), (1e-3, 1.5), (1e-3, 3.0))
_MISFIT_BOUNDS = (1e-4, 0.5)  # of log loss
_ROUNDS = 12
_STEPS = 40


@dataclass(frozen=True, eq=False)
class CommonLaw:
    """The distribution shared by the targets of one model; parameters (log M, log beta, logit e).

    mean (3,) with its covariance (3, 3), sd (3,) over num_targets targets; misfit: standard
    deviation of a rung's log loss about its law beyond the noise of its seeds (including it, if
    unknown because of one seed); sd_log_loss: of a run, 0 if unknown; centre_bytes: D_0.
    """

    mean: Floats
    covariance: Floats
    sd: Floats
    num_targets: int
    misfit: float
    sd_log_loss: float
    centre_bytes: float

    def of(self, ladder: Ladder, means: Floats) -> Floats:
        """The posterior mode (..., 3) for a ladder with log loss (..., K), under prior means (...,
        3) or (3,)."""
        x, y, variance = _rungs(ladder, self.centre_bytes, self.sd_log_loss, self.misfit)
        rows = y.reshape(-1, y.shape[-1])
        given = np.broadcast_to(means, (*y.shape[:-1], 3)).reshape(-1, 3)
        shape = (len(rows), len(x))
        found = _modes(
            np.broadcast_to(x, shape), rows, np.broadcast_to(1 / variance, shape), given, self.sd
        )
        return found.reshape(*y.shape[:-1], 3)

    def drawn_means(self, num: int, random: np.random.Generator) -> Floats:
        """Draws (num, 3) of a target's prior mean. The mode under such a draw and a resampled
        ladder is a draw from the posterior, where the law is linear (Bardsley, Solonen, Haario and
        Laine 2014). The uncertainty of the standard deviations is that of this many targets."""
        freedom = self.num_targets - 1
        spread = self.sd * np.sqrt(freedom / random.chisquare(freedom, size=(num, 1)))
        common = random.multivariate_normal(self.mean, self.covariance, size=num)
        return np.asarray(common + spread * random.standard_normal((num, 3)))

    def bytes_at(self, parameters: Floats, log_loss: Floats) -> Floats:
        """The bytes (...) at which laws (..., 3) have losses (...); infinite at or below E."""
        log_m, beta, e = _unpacked(parameters)
        left = (np.exp(log_loss - log_m) - e) / (1 - e)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(left > 0, self.centre_bytes * left ** (-1 / beta), np.inf)


def fit_common_law(ladders: Sequence[Ladder], sd_log_loss: float) -> CommonLaw | None:
    """The common law of ladders with log losses (K,); None for fewer than `MIN_TARGETS` with
    `MIN_RUNGS` rungs. Rungs of 0 bytes are left out."""
    ladders = [one for one in ladders if (one.num_bytes > 0).sum() >= MIN_RUNGS]
    if len(ladders) < MIN_TARGETS:
        return None
    sizes = np.concatenate([one.num_bytes[one.num_bytes > 0] for one in ladders])
    centre = float(np.exp(np.log(sizes).mean()))
    parts = [_rungs(one, centre, 0.0, 1.0) for one in ladders]
    width = max(len(x) for x, _, _ in parts)
    x, y, per_seed = (np.zeros((len(parts), width)) for _ in range(3))
    for row, (one_x, one_y, one_variance) in enumerate(parts):
        x[row, : len(one_x)], y[row, : len(one_x)] = one_x, one_y
        per_seed[row, : len(one_x)] = one_variance  # 1 / seeds; 0 where there is no rung
    there = per_seed > 0
    misfit_share = np.where(there, 1.0 if sd_log_loss > 0 else per_seed, 0.0)
    known = sd_log_loss**2 * per_seed
    mean = _PRIOR_MEAN + np.array([float(y[there].mean()), 0.0, 0.0])
    sd, misfit = np.array([0.5, 0.3, 1.0]), 0.01
    covariance = np.eye(3)
    for _ in range(_ROUNDS):
        variance = np.where(there, known + misfit**2 * misfit_share, np.inf)
        modes = _modes(x, y, 1 / variance, np.broadcast_to(mean, (len(x), 3)), sd)
        fitted, slope = _law(modes, x)
        slope = np.where(there[..., None], slope, 0.0)
        z = np.where(there, y - fitted, 0.0) + np.einsum("tki,ti->tk", slope, modes)
        linear = _Linear(slope, z, there, known, misfit_share)
        before = np.log([*sd, misfit])
        bounds = np.log([*_SD_BOUNDS, _MISFIT_BOUNDS])
        best = minimize(lambda p, of=linear: of(p)[0], before, method="L-BFGS-B", bounds=bounds)
        sd, misfit = np.exp(best.x[:3]), float(np.exp(best.x[3]))
        _, mean, covariance = linear(best.x)
        mean = np.clip(mean, _LOWEST, _HIGHEST)
        if np.abs(best.x - before).max() < 1e-2:
            break
    return CommonLaw(mean, covariance, sd, len(ladders), misfit, sd_log_loss, centre)


@dataclass(frozen=True, eq=False)
class _Linear:
    """The normal model at the modes: slope (T, K, 3), z (T, K)."""

    slope: Floats
    z: Floats
    there: np.ndarray
    known: Floats
    misfit_share: Floats

    def __call__(self, log_parameters: Floats) -> tuple[float, Floats, Floats]:
        """Minus the log marginal likelihood, and the means with their covariance."""
        sd, misfit = np.exp(log_parameters[:3]), np.exp(log_parameters[3])
        own = np.where(self.there, self.known + misfit**2 * self.misfit_share, 1.0)
        scaled = self.slope * sd
        total = scaled @ scaled.transpose(0, 2, 1) + own[:, None, :] * np.eye(own.shape[1])
        inverse = np.linalg.inv(total)
        weighted = self.slope.transpose(0, 2, 1) @ inverse  # (T, 3, K)
        precision = (weighted @ self.slope).sum(axis=0) + np.diag(_PRIOR_SD**-2)
        right = (weighted @ self.z[..., None]).sum(axis=0)[:, 0] + _PRIOR_MEAN / _PRIOR_SD**2
        covariance = np.linalg.inv(precision)
        mean = covariance @ right
        squares = np.einsum("tk,tkl,tl->", self.z, inverse, self.z) - right @ mean
        logs = np.linalg.slogdet(total)[1].sum() + np.linalg.slogdet(precision)[1]
        # This prior keeps standard deviations off 0, where few targets would often put them.
        return float(squares + logs) / 2 - float(log_parameters[:3].sum()), mean, covariance


def _rungs(
    ladder: Ladder, centre_bytes: float, sd: float, misfit: float
) -> tuple[Floats, Floats, Floats]:
    """log(D / D_0) (K,), log loss (..., K) and its variance (K,) of the rungs with bytes."""
    there = ladder.num_bytes > 0
    seeds = ladder.num_seeds[there]
    variance = sd**2 / seeds + misfit**2 / (1.0 if sd > 0 else seeds)
    return np.log(ladder.num_bytes[there] / centre_bytes), ladder.log_loss[..., there], variance


def _unpacked(parameters: Floats) -> tuple[Floats, Floats, Floats]:
    return (
        parameters[..., 0],
        np.exp(parameters[..., 1]),
        np.asarray(1 / (1 + np.exp(-parameters[..., 2]))),
    )


def _law(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Log loss (N, K) of laws (N, 3) at x (N, K), and its slopes (N, K, 3)."""
    log_m, beta, e = (one[:, None] for one in _unpacked(parameters))
    power = np.exp(-beta * x)
    height = e + (1 - e) * power
    by_beta = -(1 - e) * power * beta * x / height
    by_e = e * (1 - e) * (1 - power) / height
    return log_m + np.log(height), np.stack([np.ones_like(x), by_beta, by_e], axis=-1)


def _modes(x: Floats, y: Floats, weight: Floats, means: Floats, sd: Floats) -> Floats:
    """The posterior modes (N, 3) for losses y (N, K): Levenberg-Marquardt, all at once."""

    def cost(at: Floats) -> Floats:
        fitted = _law(at, x)[0]
        scatter = (weight * (y - fitted) ** 2).sum(axis=1)
        return np.asarray(scatter + (((at - means) / sd) ** 2).sum(axis=1))

    at = np.clip(means, _LOWEST, _HIGHEST)
    damping = np.full(len(at), 1e-3)
    now = cost(at)
    for _ in range(_STEPS):
        fitted, slope = _law(at, x)
        weighted = slope * weight[..., None]
        normal = weighted.transpose(0, 2, 1) @ slope + np.diag(sd**-2.0)
        gradient = (weighted * (y - fitted)[..., None]).sum(axis=1) - (at - means) / sd**2
        diagonal = np.einsum("nii->ni", normal)
        system = normal + (damping[:, None] * diagonal)[..., None] * np.eye(3)
        step = np.linalg.solve(system, gradient[..., None])[..., 0]
        tried = np.clip(at + np.clip(step, -2.0, 2.0), _LOWEST, _HIGHEST)
        then = cost(tried)
        better = then <= now
        at = np.where(better[:, None], tried, at)
        damping = np.where(better, damping / 10, np.minimum(damping * 10, 1e6))
        settled = np.abs(then - now) <= 1e-9 * (1 + now)
        now = np.where(better, then, now)
        if settled.all():
            break
    return at
