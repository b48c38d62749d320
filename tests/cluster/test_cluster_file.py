"""`cluster.yaml` without a cloud: Ray's own schema, and Ray's own AWS provider against moto.

The schema knows no field of `provider` or `node_config`; the provider hands those to boto3, which
refuses what EC2 does not know.
"""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"


@pytest.fixture
def declared() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return loaded


def validated(declared: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.util import check_legacy_fields, prepare_config, validate_config

    prepared: dict[str, Any] = prepare_config(copy.deepcopy(declared))
    check_legacy_fields(prepared)
    validate_config(prepared)
    return prepared


def test_ray_takes_it(declared: dict[str, Any]) -> None:
    config = validated(declared)
    assert config["provider"]["type"] == "aws"
    types = config["available_node_types"]
    assert {name: kind.get("min_workers", 0) for name, kind in types.items()} == {
        "head": 0,
        "gpu-spot": 0,
        "gpu-on-demand": 0,
    }


def test_a_misspelt_key_would_be_found(declared: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="idle_timeout_minuts"):
        validated({**declared, "idle_timeout_minuts": 5})


def test_disks_are_as_fast_as_they_may_be(declared: dict[str, Any]) -> None:
    for node_type in declared["available_node_types"].values():
        (disk,) = node_type["node_config"]["BlockDeviceMappings"]
        ebs = disk["Ebs"]
        assert ebs["Throughput"] >= 500
        assert ebs["Throughput"] <= min(1000, ebs["Iops"] / 4)  # as gp3 has it
    head = declared["available_node_types"]["head"]["node_config"]["BlockDeviceMappings"]
    assert head[0]["Ebs"]["VolumeSize"] >= 500


def test_what_is_installed_is_said_in_one_place(declared: dict[str, Any]) -> None:
    commands = [c for key, value in declared.items() if key.endswith("_commands") for c in value]
    text = " ".join(commands)
    assert "~/raydt/cluster/setup.sh node aws,postgres" in commands
    for word in ("apt-get", "pip ", "==", "mlflow server"):
        assert word not in text


def test_authentication_is_on_and_nothing_listens_beyond_the_head(declared: dict[str, Any]) -> None:
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in declared[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_no_secret_is_in_it() -> None:
    text = (ROOT / "cluster.yaml").read_text()
    for word in ("AKIA", "aws_secret", "password", "PGPASSWORD", "RAY_AUTH_TOKEN="):
        assert word not in text


def test_the_shell_of_every_command_parses(declared: dict[str, Any]) -> None:
    for key, commands in declared.items():
        for command in commands if key.endswith("_commands") else []:
            subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray's AWS provider in front of an EC2 that is not there; the key pair goes to a home that
    goes too."""
    moto = pytest.importorskip("moto", reason="pip install 'raydt[test]'")
    from ray.autoscaler._private.aws import config as aws_config

    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir()
    managed = {"iam": {"load_aws_managed_policies": True}}
    with pytest.MonkeyPatch.context() as patch, moto.mock_aws(config=managed):
        patch.setenv("HOME", str(home))
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_PROFILE", raising=False)
        # Ray waits for an instance profile to spread over the world.
        patch.setattr(aws_config.time, "sleep", lambda seconds: None)
        yield


@pytest.fixture(scope="module")
def made(aws: None) -> dict[str, Any]:
    """The configuration as Ray completes it: role, key pair, subnets, security group."""
    return bootstrapped(yaml.safe_load((ROOT / "cluster.yaml").read_text()))


def bootstrapped(declared: dict[str, Any]) -> dict[str, Any]:
    import boto3
    from ray.autoscaler._private.aws import config as aws_config
    from ray.autoscaler._private.aws import utils

    # moto does not look images up in SSM as EC2 does; one that it knows stands in.
    image = boto3.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    for kind in declared["available_node_types"].values():
        assert kind["node_config"]["ImageId"] == f"resolve:ssm:{IMAGE}"
        kind["node_config"]["ImageId"] = image
    utils.resource_cache.cache_clear()
    utils.client_cache.cache_clear()
    completed: dict[str, Any] = aws_config.bootstrap_aws(validated(declared))
    return completed


def create(config: dict[str, Any], node_type: str) -> dict[str, Any]:
    """What EC2 holds after Ray's provider has made one node of that type."""
    import boto3
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    node_config = config["available_node_types"][node_type]["node_config"]
    tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_USER_NODE_TYPE: node_type}
    (identifier,) = provider.create_node(node_config, tags, 1)
    answer = boto3.client("ec2").describe_instances(InstanceIds=[identifier])
    instance: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return instance


@pytest.mark.parametrize(
    ("node_type", "instance_type", "lifecycle"),
    [
        ("head", "m7i.xlarge", None),
        ("gpu-spot", "g6.2xlarge", "spot"),
        ("gpu-on-demand", "g6.2xlarge", None),
    ],
)
def test_rays_provider_makes_every_node(
    node_type: str, instance_type: str, lifecycle: str | None, made: dict[str, Any]
) -> None:
    instance = create(made, node_type)
    assert instance["InstanceType"] == instance_type
    assert instance.get("InstanceLifecycle") == lifecycle
    assert {tag["Value"] for tag in instance["Tags"]} >= {"raydt", node_type}


@pytest.mark.parametrize("inner", [(), ("InstanceMarketOptions",)], ids=["node_config", "deeper"])
def test_a_typo_that_the_schema_does_not_see(
    inner: tuple[str, ...], declared: dict[str, Any], made: dict[str, Any]
) -> None:
    config = copy.deepcopy(made)
    for either in (declared, config):
        place = either["available_node_types"]["gpu-spot"]["node_config"]
        for step in inner:
            place = place[step]
        place["MarketTyp"] = "spot"
    validated(declared)
    with pytest.raises((Exception, SystemExit), match="MarketTyp"):
        create(config, "gpu-spot")


def test_a_region_that_there_is_not(declared: dict[str, Any], aws: None) -> None:
    declared["provider"]["region"] = "us-eest-1"
    validated(declared)
    with pytest.raises((Exception, SystemExit)):
        bootstrapped(declared)


def test_the_names_put_spot_first(declared: dict[str, Any]) -> None:
    """Ray's autoscaler (v1) breaks a tie of types by name, the last in the alphabet first; that it
    does is held by tests/integration/test_autoscaling.py."""
    workers = sorted(name for name in declared["available_node_types"] if name != "head")
    first = declared["available_node_types"][workers[-1]]["node_config"]
    assert first["InstanceMarketOptions"]["MarketType"] == "spot"


def test_only_ssh_is_open_to_the_world(made: dict[str, Any]) -> None:
    import boto3

    groups = boto3.client("ec2").describe_security_groups()["SecurityGroups"]
    (ours,) = (group for group in groups if "ray-autoscaler" in group["GroupName"])
    open_ports = [
        (rule.get("FromPort"), rule.get("ToPort"))
        for rule in ours["IpPermissions"]
        if any(block["CidrIp"] == "0.0.0.0/0" for block in rule["IpRanges"])
    ]
    assert open_ports == [(22, 22)]
