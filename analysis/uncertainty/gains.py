"""The noise of a gain, log(scratch loss / finetuned loss) at one D_F, from the pooled noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.uncertainty.noise import SCRATCH_FAMILY, TRANSFER_FAMILY, Noise
from raydt.tracking.schema import Stage

GAIN_COLUMNS = [
    "gain",  # of the observed rung, or of the curve if D_F is not a rung; NaN off the ladder
    "variance_scratch",  # of the mean of the rung
    "variance_shared",  # of the part that pretrains behind the mean share with their finetunes
    "variance_own",
    "freedom_scratch",
    "freedom_shared",
    "freedom_own",
]


def gains(effective: pd.DataFrame, means: pd.DataFrame, noise: Mapping[str, Noise]) -> pd.DataFrame:
    """Gain of every row of the table of effective data and the parts of its variance, columns
    `GAIN_COLUMNS`; variances are NaN if there is one seed, so that the noise is unknown."""
    observed = effective["scratch_loss_observed"].fillna(effective["scratch_loss"])
    found = pd.DataFrame({"gain": np.log(observed / effective["loss"])}, index=effective.index)
    rungs = means[means["stage"] == Stage.SCRATCH]
    seeds = rungs.set_index(["model", "target", "size_bytes"])["num_seeds"]
    keys = pd.MultiIndex.from_frame(effective[["model", "target", "finetune_bytes"]])
    # Between rungs the curve counts as no more certain than the rung with the fewest seeds.
    scratch_seeds = seeds.reindex(keys).fillna(seeds.min() if len(seeds) else 1).to_numpy()
    own_seeds = effective["num_seeds"].to_numpy(dtype=float)
    scratch, tuned = noise.get(SCRATCH_FAMILY), noise.get(TRANSFER_FAMILY)
    found[GAIN_COLUMNS[1:]] = np.nan
    if scratch is None or not scratch.degrees_of_freedom:
        return found
    if tuned is None or not tuned.degrees_of_freedom:
        return found
    found["variance_scratch"] = scratch.sd_log_loss**2 / scratch_seeds
    found["freedom_scratch"] = scratch.degrees_of_freedom
    if tuned.shared is None:
        found["variance_shared"], found["freedom_shared"] = 0.0, 1
        found["variance_own"] = tuned.sd_log_loss**2 / own_seeds
        found["freedom_own"] = tuned.degrees_of_freedom
    else:
        found["variance_shared"] = tuned.shared.sd_shared**2 / own_seeds
        found["freedom_shared"] = tuned.shared.degrees_of_freedom
        found["variance_own"] = tuned.shared.sd_own**2 / own_seeds
        found["freedom_own"] = tuned.shared.own_degrees_of_freedom
    return found
