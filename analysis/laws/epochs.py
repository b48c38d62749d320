"""Repeated epochs as effective unique data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Floats

# Epochs beyond the first after which a repeat is worth 1/e of fresh data (same source).
R_STAR_EPOCHS = 15.39


def effective_unique_bytes(
    unique_bytes: Floats | Sequence[float] | float,
    bytes_seen: Floats | Sequence[float] | float,
    *,
    r_star_epochs: float = R_STAR_EPOCHS,
) -> Floats:
    """D' = U + U·R*·(1 - exp(-R/R*)), bytes of fresh data worth as much as U read R + 1 times.

    unique_bytes: size of the rung; bytes_seen: bytes trained on, repeats counted; U is the smaller
    of the two and R = bytes_seen/U - 1. Returned in the common shape of both. `ValueError` if
    bytes are not positive. R* is the authors' fit to their language models; for bytes and
    other models it is an assumption.

    Source: Muennighoff et al. 2023 (arXiv 2305.16264), the law of effective data.
    """
    unique, seen = np.broadcast_arrays(
        np.asarray(unique_bytes, dtype=float), np.asarray(bytes_seen, dtype=float)
    )
    if not (np.all(unique > 0) and np.all(seen > 0) and r_star_epochs > 0):
        raise ValueError(
            f"effective data needs positive bytes and epochs; found {unique} unique, {seen} seen, "
            f"R* = {r_star_epochs}"
        )
    used = np.minimum(unique, seen)
    repeats = seen / used - 1
    return np.asarray(used * (1 + r_star_epochs * -np.expm1(-repeats / r_star_epochs)))
