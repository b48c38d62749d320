"""Resamples used by the transfer laws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats

Places = npt.NDArray[np.int8]  # -1 below the ladder, 0 inside, 1 above


PLACES = {"below": -1, "inside": 0, "above": 1}  # words of the column `range`


@dataclass(frozen=True)
class TransferDraws:
    """Resampled D_T in bytes, (R, rows of the table), and where D_E lies.

    Below and above the ladder the bytes are a bound. multiplicity, (R, rows): how often a row is
    in a resample, if sources and targets are resampled too; once if None.
    """

    transferred_bytes: Floats
    range: Places
    multiplicity: Floats | None = None

    def of(self, rows: npt.NDArray[np.intp]) -> TransferDraws:
        """The resamples of some rows of the table."""
        return TransferDraws(
            self.transferred_bytes[:, rows],
            self.range[:, rows],
            None if self.multiplicity is None else self.multiplicity[:, rows],
        )
