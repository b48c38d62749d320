"""All of benchmarks/gpu.sh, section by section: a table on the terminal, and a JSON file."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu import correctness, evaluation, sharing, stack, utilisation
from raydt.gpus import gpu_of_device
from raydt.training.throughput import peak_flops_per_second

Rows = list[dict[str, object]]


class Report:
    """Sections as they are completed; a failing one does not stop the others."""

    def __init__(self, path: Path, only: Sequence[str]) -> None:
        self._path = path
        self._only = only
        self._console = Console(width=150)
        self._start = time.perf_counter()
        self.sections: dict[str, Rows] = {}
        self.failed = False

    def add(self, title: str, *runs: Callable[[], Rows]) -> None:
        if self._only and title not in self._only:
            return
        rows: Rows = []
        for run in runs:
            try:
                rows += run()
            except Exception:  # noqa: BLE001 (shown, and the exit code says it)
                self.failed = True
                rows.append({"failed": traceback.format_exc(limit=-3)})
                traceback.print_exc()
            if any(row.get("holds") is False or "failed" in row for row in rows):
                self.failed = True
        self.sections[title] = rows
        self._path.write_text(json.dumps(self.sections, indent=1) + "\n")
        seconds = time.perf_counter() - self._start
        self._console.print(_table(f"{title} (after {seconds:.0f} s)", rows))


def _table(title: str, rows: Rows) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*names, title=title)
    for row in rows:
        table.add_row(*(_shown(row.get(name)) for name in names))
    return table


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("--reduced", action="store_true", help="in little, on a CPU too")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the JSON file")
    parser.add_argument("--only", nargs="+", default=(), help="sections by their titles")
    options = parser.parse_args(arguments)
    reduced: bool = options.reduced
    if not (torch.cuda.is_available() or reduced):
        print("expected a GPU that torch can use, got none; --reduced runs on a CPU")
        return 2
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report = Report(options.out, options.only)
    small_models = ("nano",) if reduced else ("nano", "micro", "mini")
    numbers = (1, 2) if reduced else (1, 4, 16)
    seconds = 0.2 if reduced else 2.0
    peaks: dict[str, float | None] = {"data_sheet": None, "measured": None}
    name = "a CPU"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        gpu = gpu_of_device(name)
        peaks["data_sheet"] = gpu and gpu.peak_flops_per_second
        peaks["measured"] = peak_flops_per_second(device, bfloat16=True)
    report.add(
        "device",
        lambda: [{"device": name, "torch": torch.__version__, "bf16_flops_per_second": peaks}],
    )
    report.add(
        "correctness",
        lambda: correctness.correctness(
            ("nano", "paper-nano") if reduced else ("nano", "micro", "paper-nano", "paper-micro"),
            device,
            correctness.REDUCED_BYTES if reduced else correctness.SIZE_BYTES,
        ),
    )
    large = (("nano", 8), ("paper-nano", 8)) if reduced else (("small", 512), ("paper-small", 512))
    report.add(
        "utilisation",
        *(
            lambda model=model, windows=windows, way=way: [  # type: ignore[misc]
                utilisation.utilisation(model, way, device, windows, peaks)
            ]
            for model, windows in large
            for way in utilisation.WAYS
            if not model.startswith("paper") or way != "model compiled"
            # On a CPU the compiler takes half a minute for each.
            if not reduced or way == "eager" or (model, way) == ("nano", "blocks compiled")
        ),
    )
    report.add(
        "one small cell",
        *(
            lambda model=model: [  # type: ignore[misc]
                sharing.alone(model, device, compiled=not reduced)
            ]
            for model in small_models
        ),
    )
    report.add(
        "stacked cells",
        *(
            lambda model=model, number=number: [stack.stack(model, number, device)]  # type: ignore[misc]
            for model in small_models
            for number in numbers[1:]
        ),
    )
    report.add(
        "cells in processes",
        *(
            lambda model=model, number=number, mps=mps: [  # type: ignore[misc]
                sharing.processes(model, number, seconds, mps)
            ]
            for mps in (False, True)[: 1 + (device.type == "cuda" and sharing.has_mps())]
            for model in small_models
            for number in numbers
        ),
    )
    report.add(
        "whole cells of the default protocol",
        *(
            lambda model=model, size=size: [evaluation.cell_time(model, size, device)]  # type: ignore[misc]
            for model, size in (
                (("nano", 2_000),) if reduced else (("nano", 32_000), ("micro", 32_000))
            )
        ),
    )
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
