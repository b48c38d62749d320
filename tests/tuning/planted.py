"""Learning curves by a formula, evaluated and ended as training does."""

from __future__ import annotations

import math

from raydt.config.protocol import Protocol
from raydt.training.ending import evaluation_steps, has_converged
from raydt.training.outcome import Report

Curve = tuple[tuple[int, float], ...]


def curve_of(
    floor: float,
    size_bytes: int,
    *,
    speed: float = 1.0,
    slope: float = 2.0,
    step_bytes: int = 128,
    cap_bytes: int | None = None,
    protocol: Protocol | None = None,
    start: float | None = None,
) -> Curve:
    """Bytes seen and loss, floor * (1 + (speed * epochs) ** -slope), until the protocol ends it;
    `start` is the loss before the first step."""
    protocol = protocol or Protocol()
    num_steps = math.ceil((cap_bytes or 100 * size_bytes) / step_bytes)
    steps = evaluation_steps(
        num_steps, step_bytes, size_bytes, protocol.evaluation_growth, protocol.evaluations
    )
    reports = [] if start is None else [Report(0, None, start, None)]
    for step in sorted(steps):
        seen = step * step_bytes
        loss = floor * (1 + (speed * seen / size_bytes) ** -slope)
        reports.append(Report(seen, None, loss, None))
        if has_converged(reports, size_bytes, protocol.tolerance, protocol.patience):
            break
    return tuple((report.bytes_seen, report.val_loss) for report in reports)
