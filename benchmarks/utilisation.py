"""Model FLOPs' utilisation on a GPU: training FLOPs over the matmul rate of the same run.

    PYTHONPATH=. python benchmarks/utilisation.py

`paper-small` and `small` in bfloat16, batches of 512 x 1024 bytes in parts that fit. FLOPs are
those of the closed form (`ModelConfig.training_flops_per_byte`), attention over the whole window.
Not yet run on a GPU by those who wrote it.
"""

from __future__ import annotations

import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.model.families import new_decoder
from raydt.training.optimizer.combined import Optimizer
from raydt.training.throughput import peak_flops_per_second

BATCH_WINDOWS, WINDOWS_AT_ONCE, STEPS = 512, 64, 5


def bytes_per_second(name: str, compiled: bool) -> tuple[float, int]:
    """Of training steps, and the peak of memory in bytes."""
    config = MODELS[name]
    model = new_decoder(config).cuda()
    optimizer = Optimizer(model, Recipe(learning_rate=2e-4), 1000)
    loss_of = torch.compile(model.loss) if compiled else model.loss
    x = torch.randint(1, 256, (WINDOWS_AT_ONCE, config.window_bytes), device="cuda")
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for step in range(STEPS + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(BATCH_WINDOWS // WINDOWS_AT_ONCE):
            with torch.autocast("cuda", torch.bfloat16):
                loss = loss_of(x, x)
            loss.backward()
        optimizer.step(step)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    steady = sorted(seconds[2:])[STEPS // 2]
    return BATCH_WINDOWS * config.window_bytes / steady, torch.cuda.max_memory_allocated()


def utilisation() -> Table:
    """The table of both families, plain and compiled."""
    peak = peak_flops_per_second(torch.device("cuda"), bfloat16=True)
    assert peak is not None, "a GPU has one"
    table = Table(title=f"{torch.cuda.get_device_name()}: matmul {peak / 1e12:.0f} TFLOP/s")
    for column in ("model", "MB/s", "MFU", "memory, GiB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name in ("paper-small", "small"):
        for compiled in (False, True):
            rate, memory = bytes_per_second(name, compiled)
            mfu = rate * MODELS[name].training_flops_per_byte / peak
            label = f"{name}, compiled" if compiled else name
            table.add_row(label, f"{rate / 1e6:.2f}", f"{mfu:.0%}", f"{memory / 2**30:.1f}")
            torch.cuda.empty_cache()
    return table


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("utilisation.py needs a GPU that torch can use; found none")
    Console().print(utilisation())
