from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.cluster_file import read_cluster_gpus
from raydt.errors import InputError

HEAD = """
max_workers: 6
head_node_type: head
available_node_types:
  head: {node_config: {InstanceType: g5.xlarge}}
"""


def test_the_cluster_of_this_repository_has_eight_l4(root: Path) -> None:
    found = read_cluster_gpus(root / "cluster.yaml")
    assert found is not None
    assert (found.gpu.name, found.max_gpus) == ("L4", 8)


@pytest.mark.parametrize(
    ("node_types", "expected"),
    [
        (["a: {max_workers: 4, node_config: {InstanceType: g6.xlarge}}"], ("L4", 4)),
        (["a: {node_config: {InstanceType: p4d.24xlarge}, max_workers: 2}"], ("A100", 16)),
        (["a: {node_config: {InstanceType: p5.48xlarge}}"], ("H100", 48)),
        (["a: {node_config: {InstanceType: p5.4xlarge}}"], ("H100", 6)),
        (["a: {node_config: {InstanceType: g5.12xlarge}, max_workers: 1}"], ("A10G", 4)),
        (["a: {node_config: {machineType: a2-highgpu-4g}, max_workers: 1}"], ("A100", 4)),
        (
            [
                "a: {max_workers: 4, node_config: {InstanceType: g6.xlarge}}",
                "b: {max_workers: 4, node_config: {InstanceType: g6.xlarge}}",
            ],
            ("L4", 6),
        ),
        (["a: {resources: {GPU: 2}, node_config: {InstanceType: g6.xlarge}}"], ("L4", 12)),
        (["a: {node_config: {InstanceType: m7i.xlarge}}"], None),
    ],
)
def test_gpus_are_those_of_the_workers(
    node_types: list[str], expected: tuple[str, int] | None, tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(HEAD + "".join(f"  {node_type}\n" for node_type in node_types))
    found = read_cluster_gpus(file)
    assert (found and (found.gpu.name, found.max_gpus)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "a file for `ray up`"),
        ("just words", "no available_node_types"),
        (
            HEAD
            + "  a: {node_config: {InstanceType: g6.xlarge}}\n"
            + "  b: {node_config: {InstanceType: p5.48xlarge}}\n",
            "GPUs of one type (choose one with --gpu), got L4, H100",
        ),
    ],
)
def test_what_is_no_cluster_file_is_an_error(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_cluster_gpus(file)
    assert expected in str(caught.value)
    with pytest.raises(InputError, match=r"absent\.yaml"):
        read_cluster_gpus(tmp_path / "absent.yaml")
