"""Fallback from spot to on demand: a scoring function for Ray's autoscaler.

Ray (2.60) records which node types a cloud refused, and still requests them again, forever. Its
autoscaler v1 accepts a custom scoring function in the environment variable
`RAY_AUTOSCALER_UTILIZATION_SCORER`; version 2 does not.
"""

from __future__ import annotations

from typing import Any

from raydt.orchestration.cluster.ray_private import utilization_score, was_refused


def available_first(
    node_resources: dict[str, float],
    resources: list[dict[str, float]],
    node_type: str,
    *,
    node_availability_summary: Any,
) -> tuple[Any, ...] | None:
    """Ray's own score for a node of this type for these demands. None, which is never launched, for
    a type that the cloud has refused within the last half hour."""
    if was_refused(node_type, node_availability_summary):
        return None
    return utilization_score(node_resources, resources, node_availability_summary)
