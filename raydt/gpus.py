"""Known GPUs: peak FLOP/s by their data sheets, assumed MFU of training, and price per hour.

Peaks are FLOP/s of dense bfloat16 products with float32 accumulation; with sparsity, NVIDIA's data
sheets show twice as much. Prices are AWS's for Linux on demand in us-east-1 after the cuts of June
2025 (https://aws.amazon.com/ec2/pricing/on-demand), per GPU (an eighth of an instance with eight).
Spot often costs a third of that. This module needs neither torch nor Ray.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One type of GPU."""

    name: str  # matched word by word against CUDA's device name
    peak_flops_per_second: float  # bfloat16, dense
    assumed_mfu: float  # of training, until it is measured
    dollars_per_hour: float | None  # None: not rented by the hour, or not on AWS
    instances: tuple[str, ...]  # prefixes of the cloud instance types that have it
    source: str  # of the peak

    @property
    def assumed_flops_per_second(self) -> float:
        """FLOP/s that training is assumed to reach."""
        return self.assumed_mfu * self.peak_flops_per_second


_NVIDIA = "https://www.nvidia.com/en-us/data-center"

# Assumed MFUs are for compiled models of about 50 M parameters. Only the H200 was measured: 38 % in
# family `default`, 24 % in `paper` (docs/gpu.md). The L4 is limited by its 72 W: 29 TFLOP/s are 24
# % of its data sheet.
GPUS = (
    Gpu("L4", 121e12, 0.24, 0.978, ("g6.", "g2-"), f"{_NVIDIA}/l4"),  # g6.2xlarge
    Gpu("A10G", 70e12, 0.40, 1.212, ("g5.",), "NVIDIA A10G data sheet of AWS, 2022"),  # g5.2xlarge
    Gpu("L40S", 362e12, 0.35, 2.242, ("g6e.",), f"{_NVIDIA}/l40s"),  # g6e.2xlarge
    Gpu("A100", 312e12, 0.40, 2.745, ("p4d.", "p4de.", "a2-"), f"{_NVIDIA}/a100"),  # p4d.24xlarge
    Gpu("H100", 989e12, 0.30, 6.88, ("p5.", "a3-highgpu", "a3-megagpu"), f"{_NVIDIA}/h100"),
    Gpu("H100 PCIe", 756e12, 0.35, None, (), f"{_NVIDIA}/h100"),
    Gpu("H100 NVL", 835e12, 0.35, None, (), f"{_NVIDIA}/h100"),
    Gpu("H200", 989e12, 0.30, 7.912, ("p5e.", "p5en.", "a3-ultragpu"), f"{_NVIDIA}/h200"),
    Gpu("B200", 2250e12, 0.30, 14.24, ("p6-b200.", "a4-"), f"{_NVIDIA}/hgx"),
    Gpu("RTX A6000", 155e12, 0.35, None, (), "NVIDIA Ampere GA102 whitepaper, appendix A"),
    Gpu("RTX 4090", 165e12, 0.40, None, (), "NVIDIA Ada GPU architecture, appendix A"),
)

# Used when nothing says which GPU the sweep will run on.
ASSUMED_GPU = next(gpu for gpu in GPUS if gpu.name == "A100")


def known_gpu(name: str) -> Gpu | None:
    """The GPU of that name; upper or lower case and word order do not matter. None if unknown."""
    return next((gpu for gpu in GPUS if _words(gpu.name) == _words(name)), None)


def gpu_of_device(device_name: str) -> Gpu | None:
    """The GPU of a CUDA device name, such as `NVIDIA A100-SXM4-80GB`; None for an unknown GPU and
    for a slice of one (MIG)."""
    found = _words(device_name)
    if found & {"mig", "laptop"}:
        return None
    fitting = [gpu for gpu in GPUS if _words(gpu.name) <= found]
    return max(fitting, key=lambda gpu: len(_words(gpu.name)), default=None)


def gpu_of_instance(instance_type: str) -> Gpu | None:
    """The GPU of an AWS or Google Cloud instance type, such as `g6.2xlarge`."""
    for gpu in GPUS:
        if instance_type.startswith(gpu.instances):
            return gpu
    return None


def _words(name: str) -> set[str]:
    return set(re.split(r"[\s_-]+", name.lower().strip()))
