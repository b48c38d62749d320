"""Ten thousand cells in an object store that takes 30 ms an answer: their status, and a launch that
finds all of them done. For `benchmarks/large_grid.py --store`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.done_result import done_result
from benchmarks.slow_store import EXPERIMENT_KEY
from raydt.config.read import read_sweep
from raydt.config.sweep import Sweep
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import parse_corpus
from raydt.grid.build import build_grid
from raydt.grid.journal import RESULT, Lease
from raydt.grid.ledger import cell_folder, record_sweep
from raydt.grid.result import write_result
from raydt.orchestration.grid.tasks import build_tasks
from raydt.orchestration.start import prepare_languages
from raydt.storage.folder import Folder
from raydt.tracking.recorded import Place, Recorded

_ROOT = Path(__file__).parent.parent
_IN_MEMORY = "/dev/shm"
_ATTEMPT = "1795800000000-0123abcd"


def measure_store(
    axes: dict[str, Any],
    delay_milliseconds: float,
    measured: Callable[..., tuple[str, str, str]],
) -> Table:
    """Seconds of the two commands, twice each."""
    table = Table("command", "cells", "seconds", "of them CPU", "peak MB", "asked")
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as temporary, ExitStack() as stack:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        write_texts(folder / "texts", axes)
        # The address of a store is part of what a machine keeps of it: one port for all.
        port = start_store(stack, delay_milliseconds, folder / "bucket")
        words = launch_words(axes, folder / "texts", port)
        num_cells = fill(words, folder / "bucket", port)
        reload_store(port)
        for name in ("raydt status", "raydt status, again"):
            figures = measured(
                sys.executable, "-m", "raydt", "status", "large", "--storage", storage_uri(port)
            )
            table.add_row(name, f"{num_cells:,}", *figures, "5 s")
        for name in ("sweeps/grid.py, all done", "sweeps/grid.py, again"):
            script = str(_ROOT / "sweeps" / "grid.py")
            figures = measured(sys.executable, script, *words)
            table.add_row(name, f"{num_cells:,}", *figures, "10 s")
    return table


def start_store(stack: ExitStack, delay_milliseconds: float, folder: Path) -> int:
    """The port of a slow store of a folder's files; it ends with the stack."""
    script = str(Path(__file__).with_name("slow_store.py"))
    process = subprocess.Popen(
        [sys.executable, script, str(delay_milliseconds), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    return int(process.stdout.readline())


def reload_store(port: int) -> None:
    """Have the store serve what lies in its folder by now, too."""
    from urllib.request import urlopen

    urlopen(f"http://127.0.0.1:{port}/reload", timeout=600).close()


def storage_uri(port: int) -> str:
    """Where the sweep is in the store at a port."""
    return f"s3://bucket/runs?endpoint_override=127.0.0.1:{port}&scheme=http&region=x"


def write_texts(texts: Path, axes: dict[str, Any]) -> None:
    """Random lines of each language, as many as the largest size needs."""
    texts.mkdir()
    for language in (*axes["sources"], *axes["targets"]):
        lines = (os.urandom(500).hex() for _ in range(4000))
        (texts / f"{language}.txt").write_text("\n".join(lines))


def launch_words(axes: dict[str, Any], texts: Path, port: int) -> list[str]:
    """The options of the launch."""
    words = ["--name", "large", "--corpus", f"files:{texts}", "--storage", storage_uri(port)]
    words += ["--tracking-uri", f"http://127.0.0.1:{port}", "--slots", "2"]
    for name in ("sources", "targets", "sizes", "seeds"):
        words += [f"--{name}", *map(str, axes[name])]
    return words


def fill(words: list[str], bucket: Path, port: int) -> int:
    """Put a sweep whose cells are done and recorded into the folder of the store's files; how many
    there are. The languages are prepared as a launch does, as their bytes decide the fingerprints.
    """
    from raydt.commands.grid import make_parser

    sweep = read_sweep(make_parser("grid", "").read(words).typed)
    languages, locations = prepare_languages(sweep, locate(parse_corpus(sweep.corpus)))
    cells = build_grid(sweep)
    none = {cell.cell_id: 0 for cell in cells}
    tasks = build_tasks(cells, sweep, languages, locations, none, "L", {})
    record_sweep(sweep)
    local = sweep.model_copy(update={"storage": str(bucket / "runs")})
    for cell in cells:
        write_done(local, cell.cell_id, tasks[cell.cell_id].fingerprint, port)
    return len(cells)


def write_done(sweep: Sweep, cell_id: str, fingerprint: str, port: int) -> None:
    """What a cell that is done keeps, as far as others read it or see it in lists."""
    folder = cell_folder(sweep, cell_id)
    result = done_result(cell_id, fingerprint, _ATTEMPT)
    lease = Lease(attempt=_ATTEMPT, launch="L0", time=time.time())
    state = Recorded(
        store_uri=f"http://127.0.0.1:{port}",
        experiment=EXPERIMENT_KEY,
        run_id="0" * 32,
        attempt=_ATTEMPT,
        num_reports=8,
        ended=True,
    )
    attempt: Folder = folder / "attempts" / _ATTEMPT
    write_result(folder, RESULT, result)
    folder.write_json("lease.json", lease.model_dump())
    Place(folder).put(state)
    write_result(attempt, "outcome.json", result)
    attempt.append("journal.jsonl", b"{}\n" * 10)
    attempt.write("weights.safetensors", b"")
