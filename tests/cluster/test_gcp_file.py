"""`cluster/gcp.yaml` without a cloud: Ray's own schema, and Ray's own provider against a fake of
Google's Compute API."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.google_compute import FakeGoogle
from tests.cluster.test_cluster_file import validated

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def declared() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster" / "gcp.yaml").read_text())
    return loaded


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGoogle:
    """In the place of every connection that Ray's provider opens; keys go to a home that goes."""
    httplib2 = pytest.importorskip("httplib2", reason="pip install 'raydt[gcp]'")
    fake = FakeGoogle("my-project")
    monkeypatch.setattr(httplib2, "Http", lambda *_, **__: fake)
    monkeypatch.setenv("HOME", str(tmp_path))
    return fake


def bootstrapped(declared: dict[str, Any]) -> dict[str, Any]:
    """As Ray completes it: account, roles, key pair, network."""
    from ray.autoscaler._private.gcp.config import bootstrap_gcp

    prepared = validated(declared)
    prepared["provider"]["gcp_credentials"] = {"type": "credentials_token", "credentials": "x"}
    completed: dict[str, Any] = bootstrap_gcp(prepared)
    return completed


def create(config: dict[str, Any], node_type: str) -> None:
    """Have Ray's provider make one node of that type."""
    from ray.autoscaler._private.gcp.node_provider import GCPNodeProvider
    from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_USER_NODE_TYPE

    provider = GCPNodeProvider(config["provider"], config["cluster_name"])
    tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_USER_NODE_TYPE: node_type}
    node_config = config["available_node_types"][node_type]["node_config"]
    provider.create_node(node_config, {**tags, TAG_RAY_NODE_NAME: "ray-raydt-worker"}, 1)


def test_rays_provider_makes_every_node(declared: dict[str, Any], google: FakeGoogle) -> None:
    config = bootstrapped(declared)
    for node_type in ("head", "gpu-spot", "gpu-on-demand"):
        create(config, node_type)
    machines = [each["machineType"].rpartition("/")[2] for each in google.instances]
    assert machines == ["e2-standard-4", "g2-standard-8", "g2-standard-8"]
    models = [each.get("scheduling", {}).get("provisioningModel") for each in google.instances]
    assert models == [None, "SPOT", None]
    assert {each["labels"]["ray-cluster-name"] for each in google.instances} == {"raydt"}
    email = f"ray-autoscaler-sa-v1@{google.project}.iam.gserviceaccount.com"
    assert [account["email"] for account in google.instances[1]["serviceAccounts"]] == [email]
    assert "roles/compute.admin" in google.roles


def _scheduling(config: dict[str, Any], field: str, value: object) -> None:
    config["available_node_types"]["gpu-spot"]["node_config"]["scheduling"][field] = value


def _disk(config: dict[str, Any]) -> None:
    (disk,) = config["available_node_types"]["gpu-spot"]["node_config"]["disks"]
    disk["initializeParams"]["diskSizeGB"] = 200


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (lambda config: _scheduling(config, "provisioningModle", "SPOT"), "provisioningModle"),
        (lambda config: _scheduling(config, "provisioningModel", "SPOTT"), "SPOTT"),
        (_disk, "diskSizeGB"),
    ],
    ids=["a field", "a value", "deeper"],
)
def test_a_typo_that_the_schema_does_not_see(
    plant: Callable[[dict[str, Any]], None],
    expected: str,
    declared: dict[str, Any],
    google: FakeGoogle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ray.autoscaler._private.gcp import node_provider

    monkeypatch.setattr(node_provider.time, "sleep", lambda seconds: None)  # it tries again
    planted = copy.deepcopy(declared)
    plant(planted)
    config = bootstrapped(planted)
    with pytest.raises(Exception, match=expected):
        create(config, "gpu-spot")
    assert google.instances == []


def test_a_misspelt_key_would_be_found(declared: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="idle_timeout_minuts"):
        validated({**declared, "idle_timeout_minuts": 5})


def test_a_region_that_there_is_not(declared: dict[str, Any], google: FakeGoogle) -> None:
    declared["provider"]["region"] = "us-centrall1"
    with pytest.raises(Exception, match="not found"):
        bootstrapped(declared)


def test_gpu_workers_come_from_none_and_the_head_trains_nothing(declared: dict[str, Any]) -> None:
    from raydt.config.cluster_file import read_cluster_gpus

    types = declared["available_node_types"]
    assert all(not kind.get("min_workers") for kind in types.values())
    assert types["head"]["resources"]["CPU"] == 0
    found = read_cluster_gpus(ROOT / "cluster" / "gcp.yaml")
    assert found is not None
    assert (found.gpu.name, found.max_gpus) == ("L4", 8)


def test_it_is_set_up_as_the_cluster_of_aws(declared: dict[str, Any]) -> None:
    other = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    for either in (declared, other):
        commands = [c for key, value in either.items() if key.endswith("_commands") for c in value]
        assert any("cluster/setup.sh node " in command for command in commands)
        assert "~/raydt/cluster/setup.sh head" in commands
        for command in commands:
            subprocess.run(["bash", "-n", "-c", command], check=True)
        starts = [command for command in commands if "ray start" in command]
        assert len(starts) == 2
        assert all("RAY_AUTH_MODE=token" in command for command in starts)
        assert "--dashboard-host=127.0.0.1" in starts[0]
    for same in ("file_mounts", "rsync_exclude", "max_workers", "idle_timeout_minutes"):
        assert declared[same] == other[same]


def test_the_account_is_that_of_the_project(declared: dict[str, Any]) -> None:
    text = (ROOT / "cluster" / "gcp.yaml").read_text()
    assert text.count(f"@{declared['provider']['project_id']}.iam") == 1
    zone = declared["provider"]["availability_zone"]
    assert zone.startswith(declared["provider"]["region"])
    assert text.count(f"zones/{zone}/") == text.count("zones/")
