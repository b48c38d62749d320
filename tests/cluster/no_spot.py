"""A cloud without spot: Ray's fake provider, which refuses spot as AWS's does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.tags import TAG_RAY_USER_NODE_TYPE


class NoSpot(FakeMultiNodeProvider):  # type: ignore[misc]
    """Writes down what it was asked for, and has nothing of the type `gpu-spot`."""

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: dict[str, str], count: int, resources: Any, labels: Any
    ) -> None:
        node_type = tags[TAG_RAY_USER_NODE_TYPE]
        with (Path(os.environ["HOME"]) / "tried").open("a") as file:
            file.write(node_type + "\n")
        if node_type == "gpu-spot":
            raise NodeLaunchException(
                "InsufficientInstanceCapacity", "there is no spot", src_exc_info=None
            )
        super().create_node_with_resources_and_labels(node_config, tags, count, resources, labels)
