"""Whether MLflow is to have what machines do while they train: by its own variables."""

from __future__ import annotations

import os

from raydt.errors import bad

_ON = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
_EVERY = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
_DEFAULT_SECONDS = 10.0  # MLflow's own


def sampling_seconds() -> float | None:
    """How often machines are sampled, None: never. `InputError` for variables that say neither."""
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
        raise bad(_EVERY, "seconds, more than 0", repr(every))
    return seconds
