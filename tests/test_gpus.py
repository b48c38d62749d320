from __future__ import annotations

import pytest

from raydt.gpus import GPUS, gpu_of_device, gpu_of_instance, known_gpu


@pytest.mark.parametrize(
    ("device_name", "name"),
    [
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA A100 80GB PCIe", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        # Not the whole of what its data sheet is about, or another one.
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("Tesla V100-SXM2-16GB", None),
        ("NVIDIA L40", None),
    ],
)
def test_a_device_is_known_by_the_words_of_its_name(device_name: str, name: str | None) -> None:
    gpu = gpu_of_device(device_name)
    assert (gpu and gpu.name) == name


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        ("g6.2xlarge", "L4"),
        ("g6e.xlarge", "L40S"),
        ("p4d.24xlarge", "A100"),
        ("p5.48xlarge", "H100"),
        ("p5en.48xlarge", "H200"),
        ("g2-standard-8", "L4"),
        ("m7i.xlarge", None),
    ],
)
def test_a_machine_of_a_cloud_is_known_by_its_type(instance: str, name: str | None) -> None:
    gpu = gpu_of_instance(instance)
    assert (gpu and gpu.name) == name


def test_a_name_is_read_however_it_is_written() -> None:
    for gpu in GPUS:
        assert known_gpu(gpu.name.lower().replace(" ", "-")) is gpu
    assert known_gpu("H1000") is None


def test_no_rate_is_above_what_the_data_sheet_allows() -> None:
    assert len({gpu.name for gpu in GPUS}) == len(GPUS)
    for gpu in GPUS:
        assert 0.2 <= gpu.assumed_mfu <= 0.5
        assert gpu.assumed_flops_per_second < gpu.peak_flops_per_second
        assert gpu.source
