"""The result of an estimator of D_E."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats
from analysis.ladder import Ladder


class Range(IntEnum):
    """Where D_E lies; outside the ladder its bytes are a bound, not an estimate."""

    BELOW = -1  # D_E is less than the smallest rung
    INSIDE = 0
    ABOVE = 1  # D_E is more than the largest rung

    @property
    def word(self) -> str:
        """The value of the column `range`."""
        return self.name.lower()


@dataclass(frozen=True)
class Estimate:
    """D_E in bytes and its `Range`, both of the shape of the losses (...)."""

    effective_bytes: Floats
    range: npt.NDArray[np.int8]


# From a ladder, log losses (...) in log nats per byte and D_F in bytes. The ladder's own log losses
# are (K,), or (..., K) where they are resamples.
Estimator = Callable[[Ladder, Floats, float], Estimate]
