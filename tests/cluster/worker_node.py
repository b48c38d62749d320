"""A worker node on loopback, as a program: `worker_node.py GCS_ADDRESS NUM_CPUS FOLDER`.

`ray start --address` keeps to loopback only where it refuses a second node; this is what it does
otherwise, and what Ray's fake node provider does.
"""

from __future__ import annotations

import signal
import sys

from ray._private.node import Node
from ray._private.parameter import RayParams

if __name__ == "__main__":
    gcs_address, num_cpus, folder = sys.argv[1:]
    node = Node(
        RayParams(
            gcs_address=gcs_address,
            redis_address=gcs_address,
            node_ip_address="127.0.0.1",
            # Nodes that share one unpack the same working directory over each other.
            temp_dir=folder,
            num_cpus=int(num_cpus),
            num_gpus=0,
            object_store_memory=80_000_000,
            min_worker_port=0,
            max_worker_port=0,
            dashboard_port=None,
            dashboard_agent_listen_port=0,
        ),
        head=False,
        shutdown_at_exit=True,
        spawn_reaper=False,
    )
    signal.pause()
