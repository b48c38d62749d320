"""How unfinished the cells behind a mean are, and whether that is more than their noise.

A cell reports `unfinished`, how much lower its log loss would be after another doubling of the
bytes it has seen, estimated from its own validation curve. That is a bias and no noise: seeds that
end by the same rule are unfinished alike, and no number of them averages it away. Where it is under
the standard error of the mean it drowns in the interval and is not spoken of.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.uncertainty.noise import FAMILIES, Noise

# Where one seed leaves the noise unknown, a bias has to be told from something all the same: seeds
# of cells with averaged weights differ by about this (0.2 to 0.9 % on real text).
UNKNOWN_SD_LOG_LOSS = 0.005


def standard_errors(means: pd.DataFrame, noise: Mapping[str, Noise]) -> Floats:
    """Standard error of the mean log loss of each group of `cell_means`, (groups,).

    From the pooled noise of the group's family, and `UNKNOWN_SD_LOG_LOSS` where every group of the
    family has one seed.
    """
    known = {name: one.sd_log_loss for name, one in noise.items() if one.degrees_of_freedom}
    sd = means["stage"].map(FAMILIES).map(known).fillna(UNKNOWN_SD_LOG_LOSS)
    return np.asarray(sd.to_numpy(dtype=float) / np.sqrt(means["num_seeds"].to_numpy(dtype=float)))


def beyond_noise(means: pd.DataFrame, noise: Mapping[str, Noise]) -> Floats:
    """`unfinished` of each group of `cell_means` where it is more than the standard error of its
    mean; 0 where it is less, or where no cell reports it. (groups,)"""
    unfinished = means["unfinished"].to_numpy(dtype=float)
    return np.where(unfinished > standard_errors(means, noise), unfinished, 0.0)
