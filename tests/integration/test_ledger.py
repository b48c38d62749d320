"""What an audit did to the ledger with real processes and files: it is mended, and stays so."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from raydt.corpora.controlled.catalog import generate
from tests.integration.tiny import (
    NUM_CELLS,
    ROOT,
    finished,
    grid,
    one_run_per_cell,
    results,
    wait_for,
)
from tests.small_disk import mounted_disk

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

RAYDT = [sys.executable, "-m", "raydt"]
# Cells of some seconds each, that keep checkpoints all the time.
LONGER = (
    "--protocol.pretrain.epochs 20 --protocol.scratch.epochs 30 --protocol.finetune.epochs 30 "
    "--protocol.tolerance 0 --protocol.patience 50 --checkpoint-seconds 0.05 --slots 1"
).split()
PRETRAIN = "pretrain/related/20k/nano/s0"


def raydt(storage: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RAYDT, *words, "--storage", str(storage)],
        cwd=storage,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def write_text(folder: Path, language: str, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    data = generate("alba", "train", 60_000, seed)
    (folder / f"{language}.txt").write_bytes(data.tobytes().replace(b"\0", b"\n"))


def on_text(text: Path, storage: Path, name: str) -> subprocess.Popen[str]:
    words = [*LONGER, "--corpus", f"files:{text}?documents=line", "--sources", "en"]
    return grid(storage, *words, "--targets", "de", "--name", name)


def statuses(storage: Path, name: str) -> dict[str, dict]:
    found = [json.loads(p.read_text()) for p in (storage / name / "cells").rglob("result.json")]
    return {result["cell_id"]: result for result in found if "cell_id" in result}


def test_text_that_is_edited_under_a_launch_is_not_trained_on(tmp_path: Path) -> None:
    text = tmp_path / "text"
    for language in ("en", "de"):
        write_text(text, language, seed=0)
    process = on_text(text, tmp_path, "one")
    wait_for(lambda: len(statuses(tmp_path, "one")) >= 1, process)
    write_text(text, "de", seed=1)
    # What a second launch does first of all.
    corpus = ["--corpus", f"files:{text}?documents=line"]
    sizes = ["--train-bytes", "8k", "--val-bytes", "2k", "--test-bytes", "4k"]
    words = ["prepare", *corpus, "--languages", "de", *sizes, "--storage", str(tmp_path)]
    prepared = subprocess.run(
        [*RAYDT, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, prepared.stderr
    code, _, err = finished(process)
    assert code == 1, "it must not end as if nothing had happened"
    assert "its corpus was changed and prepared again" in err
    assert "Traceback" not in err
    after = statuses(tmp_path, "one")
    assert {result["status"] for result in after.values()} == {"done", "failed"}
    # With the text as it was, the same command ends what is left.
    write_text(text, "de", seed=0)
    code, _, err = finished(on_text(text, tmp_path, "one"))
    assert code == 0, err
    assert {result["status"] for result in statuses(tmp_path, "one").values()} == {"done"}


def test_a_pretrain_whose_text_was_edited_begins_anew(tmp_path: Path) -> None:
    text = tmp_path / "text"
    for language in ("en", "de"):
        write_text(text, language, seed=0)
    cells = tmp_path / "one" / "cells" / "pretrain"
    process = on_text(text, tmp_path, "one")
    wait_for(lambda: bool(list(cells.rglob("checkpoints/*.json"))), process)
    os.kill(process.pid, signal.SIGINT)
    finished(process)
    for path in (tmp_path / "one" / "cells").rglob("result.json"):
        path.unlink()  # of text that is about to change
    write_text(text, "en", seed=1)
    code, _, err = finished(on_text(text, tmp_path, "one"))
    assert code == 0, err
    assert {result["status"] for result in statuses(tmp_path, "one").values()} == {"done"}


def test_rm_and_a_launch_exclude_each_other(tmp_path: Path) -> None:
    code, _, err = finished(grid(tmp_path))
    assert code == 0, err
    before = results(tmp_path)
    words = ["rm", "*related*", "*scratch*", "--yes", "--storage", str(tmp_path)]
    removing = subprocess.Popen(
        [*RAYDT, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # As soon as it holds the sweep.
    record = tmp_path / "tiny" / "launch.json"
    while removing.poll() is None and json.loads(record.read_text())["pid"] != removing.pid:
        time.sleep(0.01)
    code, _, err = finished(grid(tmp_path))
    _, problem = removing.communicate(timeout=120)
    assert removing.returncode == 0, problem
    assert "Traceback" not in err
    if code != 0:  # it came while `rm` was at work
        assert "another launch of this sweep is running" in err
        code, _, err = finished(grid(tmp_path))
    assert code == 0, err
    after = results(tmp_path)
    assert {c: r["test_loss"] for c, r in after.items()} == {
        c: r["test_loss"] for c, r in before.items()
    }
    assert one_run_per_cell(tmp_path) == {c: r["test_loss"] for c, r in after.items()}


def test_a_launch_that_is_stopped_still_holds_its_sweep(tmp_path: Path) -> None:
    process = grid(tmp_path, *LONGER)
    wait_for(lambda: len(results(tmp_path)) >= 1, process)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        # Longer than a launch on another machine may be silent.
        record = tmp_path / "tiny" / "launch.json"
        said = json.loads(record.read_text())
        record.write_text(json.dumps({**said, "beat": said["beat"] - 3600}))
        for words in (["rm", "*", "--yes"], ["retry", "*", "--done-too"], ["sync"]):
            done = raydt(tmp_path, *words)
            assert done.returncode == 1, done.stdout
            assert "another launch of this sweep is running" in done.stderr
        record.write_text(json.dumps(said))
    finally:
        os.kill(process.pid, signal.SIGCONT)
    code, _, err = finished(process)
    assert code == 0, err


def test_no_secret_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    temporary = Path("/tmp") / f"rs{os.getpid()}"  # a short path, for Ray's sockets
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = grid(tmp_path)
    wait_for(lambda: len(results(tmp_path)) >= 2, process)
    written = [path for root in (temporary, tmp_path) for path in root.rglob("*")]
    logs = [path for path in written if path.name == "runtime_env_agent.log"]
    assert logs, "Ray's session is not where it was looked for"
    found = []
    for path in written:
        if path.is_file() and stat.S_ISREG(path.stat().st_mode):
            data = path.read_bytes()
            if secret.encode() in data or b"AKIAIOSFODNN7EXAMPLE" in data:
                found.append(path)
    code, _, err = finished(process)
    assert code == 0, err
    assert found == []
    assert list(temporary.iterdir()) == [], "a launch leaves nothing in TMPDIR"
    temporary.rmdir()


def test_kills_leave_nothing_in_the_temporary_folder_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = Path("/tmp") / f"rk{os.getpid()}"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    for _ in range(2):
        process = grid(tmp_path, *LONGER)
        num_before = len(results(tmp_path))
        wait_for(lambda num_before=num_before: len(results(tmp_path)) > num_before, process)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        finished(process)
        psutil.wait_procs(family, timeout=60)
        assert len(list(temporary.iterdir())) <= 2, "those of this one alone"
    code, _, err = finished(grid(tmp_path, *LONGER))
    assert code == 0, err
    assert list(temporary.iterdir()) == []
    temporary.rmdir()


def test_a_cell_that_is_cancelled_while_it_runs_ends_in_the_store(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    process = grid(tmp_path, *LONGER, "--protocol.pretrain.epochs", "200")
    journal = tmp_path / "tiny" / "cells" / PRETRAIN / "attempts"
    client = None

    def is_recorded() -> bool:
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
            try:
                query = "SELECT count(*) FROM tags WHERE key = 'raydt.cell_id' AND value = ?"
                return bool(connection.execute(query, (PRETRAIN,)).fetchone()[0])
            except sqlite3.Error:
                return False

    wait_for(lambda: journal.is_dir() and is_recorded(), process)
    assert raydt(tmp_path, "cancel", PRETRAIN).returncode == 0
    code, out, err = finished(process)
    assert code == 1, err
    assert "cancelled" in out + err
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`raydt.cell_id` = '{PRETRAIN}'")
    assert run.info.status == "KILLED"
    assert run.data.tags["raydt.status"] == "cancelled"


def test_a_byte_that_is_no_utf_8_is_named_and_the_others_are_recorded(tmp_path: Path) -> None:
    code, _, err = finished(grid(tmp_path))
    assert code == 0, err
    done = results(tmp_path)
    broken = done[PRETRAIN]
    folder = tmp_path / "tiny" / "cells" / PRETRAIN / "attempts" / broken["attempt"]
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"report"', b'"rep\xffrt"', 1))
    other = tmp_path / "other.db"
    code, out, err = finished(grid(tmp_path, "--tracking-uri", f"sqlite:///{other}"))
    assert "Traceback" not in err
    assert PRETRAIN in out + err, "nobody is told"
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "mlflow.db").symlink_to(other)
    assert len(one_run_per_cell(tmp_path / "again")) == NUM_CELLS - 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path / "disk", "1m") as disk:
        yield disk


def test_a_journal_outlasts_a_full_disk(small_disk: Path) -> None:
    from raydt.grid.journal import Attempt, read_journal
    from raydt.grid.journal_rows import ErrorRow
    from raydt.storage.opening import open_folder

    sweep = open_folder(small_disk)
    sweep.write_json("launch.json", {"launch": "L1"})
    cell = sweep / "cell"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass  # now it is full
    with pytest.raises(OSError, match="No space left"):
        attempt.write(ErrorRow(traceback="x" * 20_000))
    ballast.unlink()
    attempt.write(ErrorRow(traceback="there is space again"))
    rows = read_journal(cell, attempt.attempt_id)
    assert [row.event for row in rows] == ["start", "error"]


def test_a_launch_on_a_storage_that_cannot_be_written_to_says_so(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "sweeps" / "grid.py"), "--storage", str(small_disk / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    code, _, err = finished(process)
    assert code == 2
    assert "storage: expected a writable folder" in err
    assert "Traceback" not in err


def test_a_store_that_is_deleted_in_a_launch_is_filled_by_the_next(tmp_path: Path) -> None:
    process = grid(tmp_path, *LONGER)
    wait_for(lambda: len(results(tmp_path)) >= 2, process)
    for path in tmp_path.glob("mlflow.db*"):
        path.unlink()
    _, _, err = finished(process)
    assert "Traceback" not in err
    code, _, err = finished(grid(tmp_path, *LONGER))
    assert code == 0, err
    losses = {cell_id: result["test_loss"] for cell_id, result in results(tmp_path).items()}
    assert len(losses) == NUM_CELLS
    assert one_run_per_cell(tmp_path) == losses


def test_interrupted_and_then_launched_with_more_sizes(tmp_path: Path) -> None:
    process = grid(tmp_path, *LONGER)
    wait_for(lambda: len(results(tmp_path)) >= 2, process)
    os.kill(process.pid, signal.SIGINT)
    finished(process)
    before = results(tmp_path)
    code, _, err = finished(grid(tmp_path, *LONGER, "--sizes", "2k", "4k", "8k"))
    assert code == 0, err
    after = results(tmp_path)
    assert len(after) == NUM_CELLS + 3
    assert {c: after[c]["attempt"] for c in before} == {
        c: result["attempt"] for c, result in before.items()
    }
    assert one_run_per_cell(tmp_path) == {c: r["test_loss"] for c, r in after.items()}
