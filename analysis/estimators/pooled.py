"""D_E by the law of a ladder that borrows strength from other targets: `pooled`."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate
from analysis.estimators.by_law import placed
from analysis.ladder import Ladder, Pool
from analysis.laws.hierarchical import MIN_RUNGS, MIN_TARGETS, CommonLaw, fit_common_law
from raydt.errors import bad

_common: WeakKeyDictionary[Pool, CommonLaw] = WeakKeyDictionary()
# Of a ladder and of its resamples: requested once for each source and size.
_laws: WeakKeyDictionary[Ladder, Floats] = WeakKeyDictionary()


def pooled(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """The bytes at which the ladder's law has the finetuned loss; exponent and shape of the law are
    shrunk towards those of the model's other targets (`analysis.laws.hierarchical`).

    For short or noisy ladders: the law replaces the rungs, without anchoring. Only the sign is
    determined by scratch at D_F, as for every estimator; if law and rung contradict each other, D_E
    is D_F. Off the ladder the answer is a bound.

    Shapes as in `loglog`. Resamples of a ladder (..., K) are paired with draws from the prior.
    Raises `InputError` for a ladder whose `pool` has too few targets (`pools` tells beforehand).
    """
    log_loss = np.asarray(log_loss, dtype=float)
    common = _common_law(ladder.pool)
    if common is None:
        raise bad(
            "estimator pooled",
            f"at least {MIN_TARGETS} targets with {MIN_RUNGS} scratch rungs, or another estimator",
            0 if ladder.pool is None else _usable(ladder.pool),
        )
    effective = common.bytes_at(_law_of(ladder, common), log_loss)
    return placed(ladder, effective, log_loss, finetune_bytes)


def pools(ladder: Ladder) -> bool:
    """Whether the ladder has other targets to be pooled with."""
    return ladder.pool is not None and _usable(ladder.pool) >= MIN_TARGETS


def _usable(pool: Pool) -> int:
    return sum(int((one.num_bytes > 0).sum()) >= MIN_RUNGS for one in pool.ladders)


def _common_law(pool: Pool | None) -> CommonLaw | None:
    if pool is None:
        return None
    found = _common.get(pool)
    if found is None:
        found = fit_common_law(pool.ladders, pool.sd_log_loss)
        if found is not None:
            _common[pool] = found
    return found


def _law_of(ladder: Ladder, common: CommonLaw) -> Floats:
    found = _laws.get(ladder)
    if found is None:
        means = common.mean
        if ladder.log_loss.ndim > 1:
            # The ladder itself seeds it: the same for all D_F of a target.
            seed = np.frombuffer(ladder.log_loss.tobytes(), dtype=np.uint32)[:8]
            rows = ladder.log_loss.shape[:-1]
            drawn = common.drawn_means(int(np.prod(rows)), np.random.default_rng(seed))
            means = drawn.reshape(*rows, 3)
        found = _laws[ladder] = common.of(ladder, means)
    return found
