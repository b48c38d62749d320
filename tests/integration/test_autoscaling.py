"""Ray's own autoscaler with nodes that are processes: from none to several by the demand of a
sweep, back to none, and from spot to on demand where there is no spot."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.local import ROOT, LocalCluster, cluster, until
from tests.integration.tiny import NUM_CELLS, TINY, results

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

HEAD_ID = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
MOST_NODES = 3


def autoscaling(provider: str, *node_types: str) -> dict[str, Any]:
    """A configuration of node types with one slot each, and a head without any."""
    nothing = {"node_config": {}, "min_workers": 0, "max_workers": 0, "resources": {}}
    one_slot = {
        **nothing,
        "max_workers": MOST_NODES,
        "resources": {"CPU": 1, "object_store_memory": 80_000_000},
    }
    return {
        "cluster_name": "fake",
        "max_workers": MOST_NODES,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 10,
        "provider": {
            "type": "external",
            "module": provider,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": HEAD_ID,
        },
        "available_node_types": {
            "ray.head.default": nothing,
            **dict.fromkeys(node_types, one_slot),
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


def environment() -> dict[str, str]:
    """Of the version, and with the choice of types, that cluster.yaml starts."""
    (start,) = (
        command
        for command in yaml.safe_load((ROOT / "cluster.yaml").read_text())[
            "head_start_ray_commands"
        ]
        if "ray start" in command
    )
    own = dict(re.findall(r"(RAY_\w+)=(\S+)", start))
    assert own.keys() >= {"RAY_enable_autoscaler_v2", "RAY_AUTOSCALER_UTILIZATION_SCORER"}
    return {
        **own,
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def launch(running: LocalCluster, storage: Path, *words: str) -> subprocess.Popen[str]:
    """A sweep whose driver is on the head, as of a job."""
    return subprocess.Popen(
        [sys.executable, ROOT / "sweeps" / "grid.py", *TINY, "--storage", str(storage), *words],
        cwd=storage,
        env={**running.environment, "RAY_ADDRESS": running.gcs_address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_nodes_come_by_demand_and_go(tmp_path: Path) -> None:
    fake = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
    with cluster(0, autoscaling=autoscaling(fake, "gpu"), environment=environment()) as running:
        assert len(running.nodes()) == 1
        process = launch(running, tmp_path, "--slots", str(MOST_NODES))
        most = 0
        while process.poll() is None:
            most = max(most, len(running.nodes()) - 1)
            time.sleep(0.2)
        out, _ = process.communicate()
        assert process.returncode == 0, out
        assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
        assert len(results(tmp_path)) == NUM_CELLS
        # A node that leaves is still listed for a moment while its successor comes, so the list
        # may be longer than what there may be at once: that limit is Ray's own to keep.
        assert most >= MOST_NODES, "one node per cell that waits, as far as there may be"
        until(lambda: len(running.nodes()) == 1, "no node but the head", 300)


def test_where_there_is_no_spot_nodes_are_on_demand(tmp_path: Path) -> None:
    # Names as in cluster.yaml, whose order is what makes the autoscaler try spot first.
    types = ("gpu-spot", "gpu-on-demand")
    config = autoscaling("tests.cluster.no_spot.NoSpot", *types)
    with cluster(0, autoscaling=config, environment=environment()) as running:
        process = launch(running, tmp_path, "--slots", str(MOST_NODES))
        tried = Path(running.environment["HOME"]) / "tried"
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out
        assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
        asked = tried.read_text().split()
        assert asked[0] == "gpu-spot"
        assert "gpu-on-demand" in asked
        assert asked.count("gpu-spot") <= MOST_NODES, "spot is asked for again and again"
