"""Many small cells on one GPU: a single one through each code path, and one process per cell.

Run as a program, it is the parent of such processes: it imports torch once, before any of them
starts, and never touches the GPU itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import torch

from benchmarks.gpu.timing import TimedCell, seconds_of, wait
from raydt.config.compiling import What

BATCH_WINDOWS = 8
_BETWEEN_LOOKS = 20


def alone(name: str, device: torch.device, compiled: bool) -> dict[str, object]:
    """Milliseconds a step of one cell: step by step, by a graph, and by a graph of compiled
    blocks."""
    row: dict[str, object] = {"model": name}
    ways: tuple[tuple[str, What, bool], ...] = (
        ("eager", "off", False),
        ("graph", "off", True),
        ("compiled graph", "blocks", True),
    )
    for label, compile, graphed in ways if compiled else ways[:2]:
        start = time.perf_counter()
        cell = TimedCell(name, device, BATCH_WINDOWS, compile=compile, graphed=graphed)
        cell.steps(5)
        wait(device)
        row[f"{label}: start_seconds"] = time.perf_counter() - start
        row[f"{label}: step_seconds"] = seconds_of(lambda: cell.steps(10), device) / 10  # noqa: B023
    return row


def processes(name: str, number: int, seconds: float, mps: bool) -> dict[str, object]:
    """One process per cell, each with its graph, on one GPU for some seconds."""
    command = [sys.executable, "-m", "benchmarks.gpu.sharing", name, str(number), str(seconds)]
    with _mps() if mps else _no_mps() as environment:
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
        )
    if done.returncode != 0:
        return {"model": name, "processes": number, "mps": mps, "failed": done.stderr[-300:]}
    return {"model": name, "processes": number, "mps": mps, **json.loads(done.stdout)}


def has_mps() -> bool:
    return shutil.which("nvidia-cuda-mps-control") is not None


@contextmanager
def _no_mps() -> Iterator[dict[str, str]]:
    yield {}


@contextmanager
def _mps() -> Iterator[dict[str, str]]:
    """NVIDIA's MPS for the processes of this benchmark alone, ended afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        whole = {**os.environ, **environment}
        subprocess.run(["nvidia-cuda-mps-control", "-d"], env=whole, check=True, timeout=30)
        try:
            yield environment
        finally:
            subprocess.run(
                ["nvidia-cuda-mps-control"], input="quit\n", text=True, env=whole, timeout=30
            )


def _cell(name: str, seconds: float, pipe: Connection) -> None:
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cell = TimedCell(name, device, BATCH_WINDOWS)
    cell.steps(5)
    wait(device)
    pipe.send(torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0)
    pipe.recv()  # until all are ready
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        cell.steps(_BETWEEN_LOOKS)
        wait(device)
        steps += _BETWEEN_LOOKS
    pipe.send(steps / (time.perf_counter() - start))


def main() -> None:
    name, number, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    context = multiprocessing.get_context("fork")
    pipes, children = [], []
    for _ in range(number):
        here, there = context.Pipe()
        child = context.Process(target=_cell, args=(name, seconds, there), daemon=True)
        child.start()
        pipes.append(here)
        children.append(child)
    free = [pipe.recv() for pipe in pipes]
    for pipe in pipes:
        pipe.send(None)
    rates = [pipe.recv() for pipe in pipes]
    for child in children:
        child.join()
    print(json.dumps({"steps_per_second": sum(rates), "least_free_bytes": min(free)}))


if __name__ == "__main__":
    main()
