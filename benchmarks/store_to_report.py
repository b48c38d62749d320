"""Reading a store of 10,000 runs, through MLflow's client and from its tables, and `raydt analyze`.

    python benchmarks/store_to_report.py [--runs RUNS]
    python benchmarks/store_to_report.py --demo          # the cells of the demo
    python benchmarks/store_to_report.py --against FOLDER --rounds 3   # against another checkout

The store is real: created by MLflow, with rows put into MLflow's own tables in one transaction,
because 10,000 runs through the client would take half an hour. The rows are those that
`raydt.tracking.writer` writes, with 30 points of history for each of four metrics. Peak memory is
that of a separate process each time; CPU seconds include its child processes.

`--against` is for a change that should not affect the tables: first analyses of both, alternating,
and whether all CSV files are equal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from raydt.commands.grid import make_parser
from raydt.config.read import read_sweep
from raydt.grid.build import build_grid
from raydt.tracking import schema
from raydt.tracking.provenance import provenance
from raydt.tracking.schema import Stage
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer
from raydt.units import format_bytes

SIZES = (8_000, 32_000, 128_000, 512_000, 2_048_000)
LANGUAGES, MODELS = 10, 2
HISTORY_POINTS, EVALUATED_BYTES = 30, 200_000


def cells(num_runs: int) -> list[dict[str, Any]]:
    """A grid of sources x targets x sizes x seeds x models of about this many cells."""
    names = [f"l{place}" for place in range(LANGUAGES)]
    per_seed = MODELS * (LANGUAGES + LANGUAGES * len(SIZES) * LANGUAGES)
    found = []
    for seed in range(round(num_runs / per_seed)):
        for model in (f"m{place}" for place in range(MODELS)):
            for source in names:
                found.append((Stage.PRETRAIN, source, None, 4_096_000, seed, model))
                for size in SIZES:
                    found.append((Stage.SCRATCH, None, source, size, seed, model))
                    found += [
                        (Stage.FINETUNE, source, target, size, seed, model)
                        for target in names
                        if target != source
                    ]
    keys = ("stage", "source", "target", "size_bytes", "seed", "model")
    return [dict(zip(keys, values, strict=True)) for values in found]


def _number(language: str) -> int:
    """3 for "l3"; for a language of the demo another small number."""
    return int(language[1:]) if language[1:].isdigit() else len(language)


def demo_cells() -> list[dict[str, Any]]:
    """The cells of the demo."""
    sweep = read_sweep(make_parser("grid", "").read([]).typed)
    return [
        {
            "stage": cell.stage,
            "source": cell.source,
            "target": cell.target,
            "size_bytes": cell.size.num_bytes,
            "seed": cell.seed,
            "model": cell.model,
        }
        for cell in build_grid(sweep)
    ]


def fill(folder: Path, num_runs: int) -> int:
    """Make the store; the number of its runs. 0 runs: the demo."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = open_store(uri)
    writer = Writer(client, uri, "big")
    random = np.random.default_rng(0)
    plan, runs, params, tags, latest, history = [], [], [], [], [], []
    datasets: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    inputs, input_tags = [], []
    for number, cell in enumerate(cells(num_runs) if num_runs else demo_cells()):
        run_id = uuid.UUID(int=number + 1).hex
        languages = "-".join(name for name in (cell["source"], cell["target"]) if name)
        label = format_bytes(cell["size_bytes"])
        cell_id = f"{cell['stage']}/{languages}/{label}/{cell['model']}/s{cell['seed']}"
        plan.append(
            {
                **cell,
                "cell_id": cell_id,
                "size": label,
                "parent_cell_id": None,
                "fingerprint": run_id,
            }
        )
        worth = 1 + (len(cell["source"] or "") and _number(cell["source"] or "l0") * 0.3)
        data = cell["size_bytes"] * (worth if cell["stage"] is Stage.FINETUNE else 1)
        data = data if cell["stage"] is not Stage.ZEROSHOT else 1500 * worth
        loss = (0.9 + 20 * data**-0.35) * float(np.exp(0.003 * random.standard_normal()))
        place = f"{folder}/mlflow-artifacts/big/{run_id}/artifacts"
        runs.append(
            (
                run_id,
                cell_id,
                "LOCAL",
                "me",
                "FINISHED",
                number,
                number + 1,
                "active",
                place,
                writer.experiment_id,
            )
        )
        facts = {
            **cell,
            "size": label,
            "num_parameters": 10**6,
            "learning_rate": 1e-3,
            "batch_windows": 8,
            "budget_bytes": 10**7,
        }
        params += [(name, str(value), run_id) for name, value in facts.items() if value is not None]
        tags += [
            (name, value, run_id)
            for name, value in {
                schema.TAG_KIND: schema.KIND_CELL,
                schema.TAG_SWEEP: "big",
                schema.TAG_CELL_ID: cell_id,
                schema.TAG_FINGERPRINT: run_id,
                schema.TAG_ATTEMPT: run_id,
                schema.TAG_STATUS: "done",
                schema.TAG_STOPPED: "converged",
                "mlflow.runName": cell_id,
                **provenance(),
                "mlflow.source.git.commit": "0" * 40,
                **({schema.TAG_PARENT_RUN: f"runs:/{run_id}"} if cell["source"] else {}),
            }.items()
        ]
        read = cell["target"] or cell["source"]
        for split, size in (("train", cell["size_bytes"]), ("val", 32_000), ("test", 128_000)):
            key = (read, split, size)
            if key not in datasets:
                digest = uuid.uuid4().hex
                source = json.dumps({"tags": {"corpus": "controlled", "generator": 1}})
                profile = json.dumps({"num_bytes": size, "num_documents": size // 300})
                facts_of = (f"{read}/{split}", digest, "code", source, profile)
                datasets[key] = (writer.experiment_id, digest, *facts_of)
            input_id = uuid.uuid4().hex
            inputs.append((input_id, "DATASET", datasets[key][1], "RUN", run_id))
            input_tags.append((input_id, "mlflow.data.context", split))
        final = {
            schema.METRIC_TEST_LOSS: loss,
            schema.METRIC_TEST_BPB: loss / np.log(2),
            schema.METRIC_TEST_LOSS_STDERR: 0.01,
            schema.METRIC_BEST_VAL_LOSS: loss,
            schema.METRIC_BEST_BYTES_SEEN: 5e6,
            schema.METRIC_BYTES_SEEN: 6e6,
            schema.METRIC_SECONDS: 60.0,
        }
        curve = (
            schema.METRIC_TRAIN_LOSS,
            schema.METRIC_VAL_LOSS,
            schema.METRIC_VAL_BPB,
            schema.METRIC_BYTES_PER_SECOND,
        )
        latest += [
            (name, float(value), number, 1, 0, run_id)
            for name, value in {**final, **dict.fromkeys(curve, loss)}.items()
        ]
        history += [
            (name, loss * (1 + 0.5 / step), number, step * EVALUATED_BYTES, 0, run_id)
            for name in curve
            for step in range(1, HISTORY_POINTS + 1)
        ]
    launch = writer.start_launch(plan, {}, "a benchmark")
    client.set_terminated(launch)
    with sqlite3.connect(folder / "mlflow.db") as connection:
        many = connection.executemany
        many(
            "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, "
            "end_time, lifecycle_stage, artifact_uri, experiment_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            runs,
        )
        many("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
        many("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
        columns = "(key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)"
        many(
            "INSERT INTO datasets (experiment_id, dataset_uuid, name, digest, "
            "dataset_source_type, dataset_source, dataset_profile) VALUES (?, ?, ?, ?, ?, ?, ?)",
            datasets.values(),
        )
        many(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, "
            "destination_id) VALUES (?, ?, ?, ?, ?)",
            inputs,
        )
        many("INSERT INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?)", input_tags)
        many(f"INSERT INTO latest_metrics {columns}", latest)
        many(f"INSERT INTO metrics {columns}", history)
    return len(runs)


_READ = """
from analysis.store import api, read, sql
from analysis.table import tidy
uri = "sqlite:///{folder}/mlflow.db"
if {through_client}:
    def reader(stack, kind, uri):
        return read._api_reader(uri)
    read._sql_reader = reader
table = tidy(read.read_sweep(uri, "big"))
assert len(table.cells) == {num_runs}, len(table.cells)
"""


def measured(words: list[str], cwd: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of a process."""
    started = time.perf_counter()
    process = subprocess.Popen(words, cwd=cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    busy = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - started, busy, usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--demo", action="store_true", help="the cells of the demo, instead")
    parser.add_argument("--against", type=Path, help="another checkout of raydt")
    parser.add_argument("--rounds", type=int, default=3, help="of --against")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    num_runs = 0 if parsed.demo else parsed.runs
    if parsed.fill:
        print(fill(parsed.fill, num_runs))
        return
    root = Path(__file__).resolve().parent.parent
    os.environ["PYTHONPATH"] = str(root)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["RAYDT_CACHE_DIR"] = str(folder / "cache")
        # In a separate process: a child's peak memory starts at that of its parent.
        filling = [sys.executable, __file__, *sys.argv[1:], "--fill", str(folder)]
        done = subprocess.run(filling, check=True, stdout=subprocess.PIPE, text=True)
        size = (folder / "mlflow.db").stat().st_size / 1e6
        print(f"{int(done.stdout)} runs, {size:.0f} MB; load {os.getloadavg()[0]:.1f}")
        print(f"{'':38} seconds      CPU  peak MB")
        if parsed.against:
            compare(root, parsed.against.resolve(), folder, parsed.rounds)
        else:
            measure(root, folder, int(done.stdout))


def measure(root: Path, folder: Path, num_runs: int) -> None:
    """Reading, and `raydt analyze`, once each."""
    rows: dict[str, list[str]] = {}
    for label, through_client in (("MLflow's client", True), ("the tables", False)):
        program = _READ.format(folder=folder, through_client=through_client, num_runs=num_runs)
        rows[f"read and tidy through {label}"] = [sys.executable, "-c", program]
    analyze = [sys.executable, "-m", "raydt", "analyze", "big", "--storage", str(folder)]
    rows["raydt analyze, first"] = analyze
    rows["raydt analyze, again"] = analyze
    for label, words in rows.items():
        line(label, *measured(words, root))


def compare(ours: Path, theirs: Path, folder: Path, rounds: int) -> None:
    """First analyses of two checkouts, alternating: medians, and whether their tables differ."""
    found: dict[str, list[tuple[float, float, float]]] = {"theirs": [], "ours": []}
    for _ in range(rounds):
        for label, root in (("theirs", theirs), ("ours", ours)):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            os.environ["PYTHONPATH"] = str(root)
            analyze = [sys.executable, "-m", "raydt", "analyze", "big", "--storage", str(folder)]
            found[label].append(measured([*analyze, "--out", str(folder / label)], root))
            line(label, *found[label][-1])
    for label, rows in found.items():
        line(f"{label}, median", *map(statistics.median, zip(*rows, strict=True)))
    tables = {path.name for label in found for path in (folder / label).glob("*.csv")}
    differ = [
        name
        for name in sorted(tables)
        if len({(folder / label / name).read_bytes() for label in found}) > 1
    ]
    print(f"{len(tables)} tables, {len(differ)} differ {' '.join(differ)}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def line(label: str, seconds: float, busy: float, peak: float) -> None:
    """A measurement."""
    print(f"{label:38} {seconds:7.1f} {busy:8.1f} {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
