"""How unfinished the cells behind a mean are, and whether that exceeds their noise.

A cell reports `unfinished`, how much lower its log loss would be after another doubling of the
bytes it has seen, estimated from its own validation curve. This is a bias, not noise: seeds that
end by the same rule are unfinished alike, and no number of them averages it out. Below the standard
error of the mean it is negligible compared with the interval and is not reported.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.uncertainty.noise import FAMILIES, Noise

# With one seed the noise is unknown, but a bias still needs a reference: seeds of cells with
# averaged weights differ by about this (0.2 to 0.9 % on real text).
UNKNOWN_SD_LOG_LOSS = 0.005


def standard_errors(means: pd.DataFrame, noise: Mapping[str, Noise]) -> Floats:
    """Standard error of the mean log loss of each group of `cell_means`, (groups,).

    From the pooled noise of the group's family, or `UNKNOWN_SD_LOG_LOSS` if every group of the
    family has one seed.
    """
    known = {name: one.sd_log_loss for name, one in noise.items() if one.degrees_of_freedom}
    sd = means["stage"].map(FAMILIES).map(known).fillna(UNKNOWN_SD_LOG_LOSS)
    return np.asarray(sd.to_numpy(dtype=float) / np.sqrt(means["num_seeds"].to_numpy(dtype=float)))


def beyond_noise(means: pd.DataFrame, noise: Mapping[str, Noise]) -> Floats:
    """`unfinished` of each group of `cell_means` if it exceeds the standard error of its mean, else
    0, also if no cell reports it. (groups,)"""
    unfinished = means["unfinished"].to_numpy(dtype=float)
    return np.where(unfinished > standard_errors(means, noise), unfinished, 0.0)
