"""Whether system metrics are logged, by MLflow's own environment variables."""

from __future__ import annotations

import os

from raydt.errors import bad

_ON = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
_EVERY = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
_DEFAULT_SECONDS = 10.0  # MLflow's own


def sampling_seconds() -> float | None:
    """The sampling interval of system metrics; None: disabled. `InputError` for invalid
    variables."""
    said = os.environ.get(_ON, "false").lower()
    if said not in ("true", "1", "false", "0"):
        raise bad(_ON, "true or false", repr(said))
    if said in ("false", "0"):
        return None
    every = os.environ.get(_EVERY, str(_DEFAULT_SECONDS))
    try:
        seconds = float(every)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise bad(_EVERY, "more than 0 seconds", repr(every))
    return seconds
