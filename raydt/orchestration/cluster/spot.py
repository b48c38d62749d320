"""From spot to on demand: what Ray's autoscaler asks before it launches a node.

Ray (2.60) notes which node types a cloud refused, and asks for them again all the same, for ever.
Its autoscaler v1 takes a function of ours in the place of its own, by the environment variable
`RAY_AUTOSCALER_UTILIZATION_SCORER`; version 2 has no such place.
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
    """Ray's own score of launching a node of that type for these demands, and no score (which is
    never launched) for a type that the cloud has refused within the last half hour."""
    if was_refused(node_type, node_availability_summary):
        return None
    return utilization_score(node_resources, resources, node_availability_summary)
