"""Log the results of minimal pairs to a cell's run: a tag for `analysis`, and metrics for
people."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from raydt.tracking import schema
from raydt.tracking.runs import log

# A tag may have 5000 characters, and each kind comes with two numbers.
MAX_KIND_CHARACTERS = 2500
_REFUSED = re.compile(r"[^\w\-./ :]", re.ASCII)  # in the name of a metric


def log_probes(
    client: Any, run_id: str, digest: str, right_of: Mapping[str, tuple[float, int]]
) -> None:
    """Log the number of right pairs and of all pairs of each kind; `digest` identifies the set of
    pairs. The kind "" has pairs of unknown kind."""
    from mlflow.entities import Metric

    shares = {schema.METRIC_PROBE_ACCURACY: _share(*map(sum, zip(*right_of.values(), strict=True)))}
    for kind, (num_right, num_pairs) in right_of.items():
        if kind:
            name = schema.METRIC_PROBE_ACCURACY_OF.format(kind=_REFUSED.sub("_", kind))
            shares[name] = _share(num_right, num_pairs)
    now = int(time.time() * 1000)
    found = {"pairs": digest, "kinds": {kind: list(each) for kind, each in right_of.items()}}
    log(
        client,
        run_id,
        [Metric(name, value, now, 0) for name, value in shares.items()],
        {},
        {schema.TAG_PROBES: json.dumps(found, separators=(",", ":"))},
    )


def _share(num_right: float, num_pairs: float) -> float:
    return num_right / num_pairs
