"""What a machine does, sampled from a real one."""

from __future__ import annotations

import time

import numpy as np
import torch

from raydt.orchestration.run.system_metrics import SystemMetrics

CPU = torch.device("cpu")


def test_a_report_takes_what_was_sampled_since_the_one_before() -> None:
    held = np.ones(200_000_000 // 8)  # 200 MB
    with SystemMetrics(0.01, CPU) as system:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        busy = system.take()
        time.sleep(0.3)
        idle = system.take()
    assert busy.keys() == {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
        "process_cpu_percentage",
        "process_memory_megabytes",
    }
    assert busy["process_memory_megabytes"] > held.nbytes / 1e6
    assert busy["process_cpu_percentage"] > idle["process_cpu_percentage"]
    assert 0 < busy["cpu_utilization_percentage"] <= 100


def test_a_report_that_comes_before_the_first_sample_takes_one() -> None:
    with SystemMetrics(1000.0, CPU) as system:
        first, second = system.take(), system.take()
    assert first.keys() == second.keys()
    assert all(value >= 0 for value in first.values())
