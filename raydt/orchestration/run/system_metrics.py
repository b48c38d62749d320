"""System metrics of the machine of a cell, with MLflow's names.

A thread samples, and each report of the cell takes the mean since the last report. So the metrics
are in the journal beside the losses of the same time, and reach MLflow with them.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import psutil
import torch

Sample = Callable[[], Mapping[str, float]]


class SystemMetrics:
    """Samples this machine every `seconds` inside a `with` block."""

    def __init__(self, seconds: float, device: torch.device) -> None:
        """`device` is the device on which the cell trains."""
        self._seconds = seconds
        self._sources = [_Machine().sample]
        if device.type == "cuda":
            self._sources.append(_gpu(device))
        self._sums: dict[str, float] = defaultdict(float)
        self._num_samples = 0
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system-metrics", daemon=True)

    def __enter__(self) -> SystemMetrics:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def take(self) -> Mapping[str, float]:
        """Means since the last call, or a sample of now if there was none."""
        if not self._num_samples:
            self._sample()
        with self._lock:
            means = {name: total / self._num_samples for name, total in self._sums.items()}
            self._sums.clear()
            self._num_samples = 0
        return means

    def _run(self) -> None:
        while not self._is_over.wait(self._seconds):
            self._sample()

    def _sample(self) -> None:
        found = [item for source in self._sources for item in source().items()]
        with self._lock:
            self._num_samples += 1
            for name, value in found:
                self._sums[name] += value


class _Machine:
    """CPU and memory of the machine, as in MLflow, and of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        # CPU shares are measured since the last call: this is the first call.
        self._process.cpu_percent()
        psutil.cpu_percent()

    def sample(self) -> Mapping[str, float]:
        memory = psutil.virtual_memory()
        return {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "process_cpu_percentage": self._process.cpu_percent(),  # 100: one core
            "process_memory_megabytes": self._process.memory_info().rss / 1e6,
        }


def _gpu(device: torch.device) -> Sample:
    """The cell's GPU. Its utilization needs `nvidia-ml-py`, if that is installed."""
    nvml = _nvml()
    handle: Any = None
    if nvml is not None:
        nvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")

    def sample() -> Mapping[str, float]:
        free, total = torch.cuda.mem_get_info(device)
        used = {
            "gpu_0_memory_usage_megabytes": (total - free) / 1e6,
            "gpu_0_memory_usage_percentage": 100 * (total - free) / total,
        }
        if nvml is None:
            return used
        busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        watts = nvml.nvmlDeviceGetPowerUsage(handle) / 1000
        return {
            **used,
            "gpu_0_utilization_percentage": float(busy),
            "gpu_0_power_usage_watts": watts,
        }

    return sample


def _nvml() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml
