"""From spot to on demand: what Ray's autoscaler asks before it launches a node.

Ray (2.60) notes which node types a cloud refused, and asks for them again all the same, for ever.
Its autoscaler v1 takes a function of ours in the place of its own, by the environment variable
`RAY_AUTOSCALER_UTILIZATION_SCORER`; version 2 has no such place.
"""

from __future__ import annotations

from typing import Any

from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
from ray.autoscaler._private.resource_demand_scheduler import _resource_based_utilization_scorer


def available_first(
    node_resources: dict[str, float],
    resources: list[dict[str, float]],
    node_type: str,
    *,
    node_availability_summary: NodeAvailabilitySummary,
) -> tuple[Any, ...] | None:
    """Ray's own score of launching a node of that type for these demands, and no score (which is
    never launched) for a type that the cloud has refused within the last half hour.

    Of two types with the same score Ray takes the one whose name is last in the alphabet.
    """
    record = node_availability_summary.node_availabilities.get(node_type)
    if record is not None and not record.is_available:
        return None
    score: tuple[Any, ...] | None = _resource_based_utilization_scorer(
        node_resources, resources, node_availability_summary=node_availability_summary
    )
    return score
