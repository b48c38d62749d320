"""The manifests of `cluster/` without a cluster: KubeRay's and Kubernetes' own schemas, and what
has to be the same in several places."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from raydt import __version__
from tests.cluster.manifests import ROOT, documents, pods, problems, schema


@pytest.fixture(scope="module")
def rayjob_schema() -> dict[str, Any]:
    return schema("ray.io_rayjobs.yaml")


@pytest.fixture
def rayjob() -> dict[str, Any]:
    (declared,) = documents("rayjob.yaml")
    return declared


def test_kuberay_takes_it(rayjob_schema: dict[str, Any], rayjob: dict[str, Any]) -> None:
    assert rayjob["apiVersion"] == "ray.io/v1"
    assert problems(rayjob_schema, rayjob) == []


def _misspelt(spec: dict[str, Any]) -> None:
    spec["enableInTreeAutoscalling"] = spec.pop("enableInTreeAutoscaling")


def _text_for_a_number(spec: dict[str, Any]) -> None:
    spec["workerGroupSpecs"][0]["maxReplicas"] = "8"


def _no_template(spec: dict[str, Any]) -> None:
    del spec["headGroupSpec"]["template"]


def _number_for_a_text(spec: dict[str, Any]) -> None:
    spec["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0


def _unknown_mode(spec: dict[str, Any]) -> None:
    spec["authOptions"]["mode"] = "tokens"


def _misspelt_in_a_container(spec: dict[str, Any]) -> None:
    (container,) = spec["workerGroupSpecs"][1]["template"]["spec"]["containers"]
    container["resource"] = container.pop("resources")


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (_misspelt, "enableInTreeAutoscalling"),
        (_text_for_a_number, "'8' is not of type 'integer'"),
        (_no_template, "'template' is a required property"),
        (_number_for_a_text, "0 is not of type 'string'"),
        (_unknown_mode, "'tokens' is not one of"),
        (_misspelt_in_a_container, "'resource' was unexpected"),
    ],
)
def test_a_planted_mistake_is_found(
    rayjob_schema: dict[str, Any],
    rayjob: dict[str, Any],
    plant: Callable[[dict[str, Any]], None],
    expected: str,
) -> None:
    planted = copy.deepcopy(rayjob)
    plant(planted["spec"]["rayClusterSpec"])
    found = problems(rayjob_schema, planted)
    assert found
    assert all(expected in problem for problem in found)


def test_what_stands_there_as_a_comment_would_be_taken(rayjob_schema: dict[str, Any]) -> None:
    text = (ROOT / "cluster" / "rayjob.yaml").read_text()
    for line, times in {
        "labels: {kueue.x-k8s.io/queue-name: research}": 1,
        'annotations: {kueue.x-k8s.io/elastic-job: "true"}': 1,
        "imagePullSecrets: [{name: raydt-registry}]": 2,
        "lifecycle: {postStart:": 1,
    }.items():
        assert text.count(f"  # {line}") == times
        text = text.replace(f"  # {line}", f"  {line}")
    planted = yaml.safe_load(text)
    (worker, *_) = planted["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = worker["template"]["spec"]["containers"]
    assert container["lifecycle"]["postStart"]["exec"]["command"][2:] == [
        "nvidia-cuda-mps-control",
        "-d",
    ]
    assert planted["metadata"].keys() == {"name", "labels", "annotations"}
    assert all(pod["spec"]["imagePullSecrets"] for pod in pods(planted))
    assert problems(rayjob_schema, planted) == []


def problem(document: dict[str, Any]) -> str:
    """What Kubernetes' own schema has against a resource of its own; "" if nothing."""
    version = kubernetes_validate.latest_version()
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("name", "num_resources"), [("mlflow.yaml", 5), ("texts.yaml", 2)])
def test_kubernetes_takes_them(name: str, num_resources: int) -> None:
    assert [problem(document) for document in documents(name)] == [""] * num_resources


def test_the_volume_of_text_is_filled_where_the_head_reads_it(rayjob: dict[str, Any]) -> None:
    claim, filler = documents("texts.yaml")
    head, *workers = pods(rayjob)
    mounts = []
    for pod in (filler, head):
        (volume,) = pod["spec"]["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        mounts += [each["volumeMounts"] for each in pod["spec"]["containers"]]
    ((written,), (read,)) = mounts
    assert written["mountPath"] == read["mountPath"]
    assert f"files:{read['mountPath']}" in rayjob["spec"]["entrypoint"].split()
    assert not any("volumes" in worker["spec"] for worker in workers)
    uid = f"--uid {filler['spec']['securityContext']['fsGroup']} "
    assert uid in (ROOT / "cluster" / "Dockerfile").read_text(), "the image's user may write"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("PersistentVolumeClaim", "accessModes"),
        ("Deployment", "strategy"),
        ("Deployment", "template.spec.containers.0.ports"),
        ("Deployment", "template.spec.containers.0.env.3.valueFrom.secretKeyRef"),
        ("Service", "selector"),
    ],
)
def test_a_misspelt_field_of_mlflow_is_found(kind: str, field: str) -> None:
    planted = next(each for each in documents("mlflow.yaml") if each["kind"] == kind)
    place = planted["spec"]
    *steps, last = field.split(".")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[f"{last}s"] = place.pop(last)
    assert f"'{last}s' was unexpected" in problem(planted)


def test_services_select_pods_that_are_there() -> None:
    declared = documents("mlflow.yaml")
    deployments = [d for d in declared if d["kind"] == "Deployment"]
    for deployment in deployments:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
    ports = {
        (label, port["containerPort"])
        for deployment in deployments
        for label in deployment["spec"]["template"]["metadata"]["labels"].values()
        for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    }
    services = [d for d in declared if d["kind"] == "Service"]
    assert {
        (service["spec"]["selector"]["app"], service["spec"]["ports"][0]["port"])
        for service in services
    } == ports
    claims = {d["metadata"]["name"] for d in declared if d["kind"] == "PersistentVolumeClaim"}
    assert claims == {"raydt-postgres"}


def test_gpu_workers_come_from_none_and_the_head_trains_nothing(rayjob: dict[str, Any]) -> None:
    cluster = rayjob["spec"]["rayClusterSpec"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = cluster["workerGroupSpecs"]
    assert all(group["replicas"] == group["minReplicas"] == 0 for group in groups)
    limits = [
        container["resources"]["limits"]
        for group in groups
        for container in group["template"]["spec"]["containers"]
    ]
    assert all(limit["nvidia.com/gpu"] == "1" for limit in limits)
    # Ray itself reads the variables of its autoscaler.
    variables = cluster["autoscalerOptions"]["env"]
    program = "from ray.autoscaler.v2.instance_manager.config import InstanceReconcileConfig as C"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print(C().allocate_status_timeout_s)"],
        env={**os.environ, **{each["name"]: each["value"] for each in variables}},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["900"], "seconds until on demand is tried"
    priorities = {group["groupName"]: group["priority"] for group in groups}
    assert priorities["gpu-spot"] > priorities["gpu-on-demand"]


def test_spot_can_be_removed(rayjob_schema: dict[str, Any]) -> None:
    text = (ROOT / "cluster" / "rayjob.yaml").read_text()
    (kept, _) = text.split("      - groupName: gpu-spot")
    left = yaml.safe_load(kept)
    (group,) = left["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert "nodeSelector" not in group["template"]["spec"]
    assert problems(rayjob_schema, left) == []


def test_versions_and_the_image_are_the_same_everywhere(rayjob: dict[str, Any]) -> None:
    (pinned,) = re.findall(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.M)
    assert rayjob["spec"]["rayClusterSpec"]["rayVersion"] == pinned
    named = [
        container["image"]
        for document in (rayjob, *documents("mlflow.yaml"), *documents("texts.yaml"))
        for pod in pods(document)
        for container in pod["spec"]["containers"]
    ]
    own = {image for image in named if "raydt" in image}
    kinds = {f"registry.example/raydt:{__version__}-{kind}" for kind in ("cpu", "cuda")}
    assert own == kinds
    pages = [*(ROOT / "docs" / "places").iterdir(), *(ROOT / "cluster").iterdir()]
    for path in (*pages, ROOT / "cluster.yaml"):
        assert set(re.findall(r"registry\.example/raydt:[\w.-]+\w", path.read_text())) <= kinds
    for name in ("cluster.yaml", "cluster/gcp.yaml", "docs/places/slurm.md"):
        assert f"registry.example/raydt:{__version__}-cuda" in (ROOT / name).read_text()


def test_no_secret_is_in_them() -> None:
    for name in ("rayjob.yaml", "mlflow.yaml", "texts.yaml"):
        text = (ROOT / "cluster" / name).read_text()
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        for word in ("AKIA", "stringData", "auth_token", "POSTGRES_PASSWORD, value"):
            assert word not in "\n".join(lines)


def test_the_head_starts_as_ray_reads_it(rayjob: dict[str, Any]) -> None:
    """KubeRay writes `ray start --KEY=VALUE ...` into a shell."""
    params = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]
    words = shlex.split(" ".join(f"--{name}={value}" for name, value in params.items()))
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    assert json.loads(options["resources"]) == {"raydt_trial": 10000}
    known = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in options:
        assert f"--{name} " in known


def test_its_command_is_a_sweep(rayjob: dict[str, Any], tmp_path: Path) -> None:
    """The entrypoint itself, with folders of this machine in the place of what pods have."""
    for language in ("en", "zh", "de"):
        text = "".join(f"a line of {language} number {i}\n" for i in range(60_000))
        (tmp_path / f"{language}.txt").write_text(text)
    here = {
        "python": sys.executable,
        "/opt/raydt/sweeps/grid.py": str(ROOT / "sweeps" / "grid.py"),
        "s3://bucket/sweeps": str(tmp_path / "sweeps"),
        "files:/mnt/texts": f"files:{tmp_path}",
    }
    words = shlex.split(rayjob["spec"]["entrypoint"])
    assert here.keys() <= set(words)
    done = subprocess.run(
        [*(here.get(word, word) for word in words), "--sizes", "8k", "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "finetune" in done.stdout
