"""The type and the maximal number of GPUs in a cluster file of Ray's launcher (`ray up`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from raydt.errors import bad
from raydt.gpus import Gpu, gpu_of_instance

# AWS instances with several GPUs, by prefixes of their names.
_EIGHT = ("p4d.", "p4de.", "p5.48", "p5e.", "p5en.", "p6-")
_FOUR = ("g5.12", "g5.24", "g6.12", "g6.24", "g6e.12", "g6e.24")
_EIGHT_OF_G = ("g5.48", "g6.48", "g6e.48")


@dataclass(frozen=True)
class ClusterGpus:
    """The GPUs of a cluster, all of one type."""

    gpu: Gpu
    max_gpus: int  # at the same time


def read_cluster_gpus(path: Path) -> ClusterGpus | None:
    """The GPUs that a cluster file names; None if raydt knows none of them.

    Raises `InputError` if it is not a cluster file, or names GPUs of several types.
    """
    try:
        read = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise bad(
            f"cluster file {path}", "a file for `ray up`", str(error).splitlines()[0]
        ) from None
    node_types = read.get("available_node_types") if isinstance(read, Mapping) else None
    if not isinstance(node_types, Mapping):
        raise bad(f"cluster file {path}", "a file for `ray up`", "no available_node_types")
    by_gpu: dict[Gpu, int] = {}
    max_nodes = int(read.get("max_workers", 2))  # Ray's own default
    for name, node_type in node_types.items():
        gpu, number = _gpus_of_node(node_type)
        if gpu is None or name == read.get("head_node_type"):
            continue
        nodes = min(max_nodes, int(node_type.get("max_workers", max_nodes)))
        by_gpu[gpu] = min(max_nodes * number, by_gpu.get(gpu, 0) + nodes * number)
    if len(by_gpu) > 1:
        names = ", ".join(gpu.name for gpu in by_gpu)
        raise bad(f"cluster file {path}", "GPUs of one type (choose one with --gpu)", names)
    return next((ClusterGpus(gpu, number) for gpu, number in by_gpu.items()), None)


def _gpus_of_node(node_type: Mapping[str, Any]) -> tuple[Gpu | None, int]:
    config = node_type.get("node_config", {})
    instance = str(config.get("InstanceType") or config.get("machineType") or "")
    instance = instance.rpartition("/")[2]  # Google's may be a URL
    stated = node_type.get("resources", {}).get("GPU")
    return gpu_of_instance(instance), int(stated) if stated else _num_gpus(instance)


def _num_gpus(instance: str) -> int:
    if instance.startswith(_EIGHT + _EIGHT_OF_G):
        return 8
    if instance.startswith(_FOUR):
        return 4
    last = instance.rpartition("-")[2]  # a2-highgpu-4g
    return int(last[:-1]) if last.endswith("g") and last[:-1].isdecimal() else 1
