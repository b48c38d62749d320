"""A tiny search through real Ray and a real SQLite store: killed, gone on with, used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.integration.tiny import ROOT, finished, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

TINY = (
    "--sources related nonsense --targets alba --sizes 1k 4k --seeds 0 --pretrain-size 8k "
    "--protocol.pretrain.epochs 1 --protocol.scratch.epochs 5 --protocol.finetune.epochs 3 "
    "--protocol.tolerance 0.02 --protocol.val-bytes 2k --protocol.test-bytes 2k "
    "--slots 2 --name tiny --stages scratch finetune --at 1k 4k --trials 4"
).split()


def hparams(storage: Path, *words: str) -> subprocess.Popen[str]:
    script = ROOT / "sweeps" / "hparams.py"
    return subprocess.Popen(
        [sys.executable, str(script), *TINY, "--storage", str(storage), *words],
        cwd=storage,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows(storage: Path) -> list[dict]:
    path = storage / "tiny" / "hparams" / "trials.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """The storage of a search that was killed in the middle and gone on with, what it printed, and
    how many trials it had made before."""
    storage = tmp_path_factory.mktemp("search")
    process = hparams(storage)
    wait_for(lambda: len(rows(storage)) >= 5, process)
    os.kill(process.pid, signal.SIGKILL)
    finished(process)
    before = rows(storage)
    assert not (storage / "tiny" / "hparams.toml").exists()
    code, out, err = finished(hparams(storage))
    assert code == 0, err
    assert rows(storage)[: len(before)] == before
    return storage, out, len(before)


def test_what_was_done_is_not_done_again(killed: tuple[Path, str, int]) -> None:
    storage, out, num_before = killed
    ids = [row["trial_id"] for row in rows(storage)]
    assert len(ids) == len(set(ids)) > num_before
    assert sum(row["trial"]["kind"] == "trial" for row in rows(storage)) == 4 * 4
    assert "Next:  raydt run --hparams" in out


def test_finetunes_start_from_pretrains_of_the_search(killed: tuple[Path, str, int]) -> None:
    storage, _, _ = killed
    finetunes = [row for row in rows(storage) if row["trial"]["stage"] == "finetune"]
    assert finetunes
    # Evaluated before the first step, as a cell is.
    assert all(row["val_losses"][0][0] == 0 for row in finetunes)
    assert len(list((storage / "tiny" / "hparams" / "parents").iterdir())) == 2


def test_the_file_is_a_sweeps(killed: tuple[Path, str, int]) -> None:
    storage, _, _ = killed
    path = storage / "tiny" / "hparams.toml"
    values = tomllib.loads(path.read_text())
    assert {"scratch", "finetune"} < set(values["protocol"])
    assert "pretrain" not in values["protocol"]
    assert values["found"]["model"] == "nano"
    # What a recipe was found for goes with it; its cap was an option of the search.
    assert values["protocol"]["tolerance"] == 0.02
    assert not {"epochs", "budget_bytes"} & values["protocol"]["scratch"].keys()
    assert values["protocol"]["scratch"]["average"] == "power"
    dry_run = [sys.executable, str(ROOT / "sweeps" / "grid.py"), "--dry-run"]
    axes = "--sizes 1k 4k --targets alba --sources related".split()
    plan = subprocess.run(
        [*dry_run, "--hparams", str(path), *axes],
        cwd=storage,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "scratch→alba 4k" in plan.stdout


def test_the_same_command_again_trains_nothing(killed: tuple[Path, str, int]) -> None:
    storage, out, _ = killed
    before = rows(storage)
    file = (storage / "tiny" / "hparams.toml").read_bytes()
    code, again, err = finished(hparams(storage))
    assert code == 0, err
    assert rows(storage) == before
    assert "Searching" not in err
    assert (storage / "tiny" / "hparams.toml").read_bytes() == file
    assert again == out


def test_the_store_holds_the_search_and_no_sweep(killed: tuple[Path, str, int]) -> None:
    from mlflow.tracking import MlflowClient

    storage, _, _ = killed
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny-hparams")
    runs = client.search_runs([experiment.experiment_id])
    searches = [run for run in runs if run.data.tags["raydt.kind"] == "search"]
    trials = {
        run.data.tags["raydt.trial_id"]: run
        for run in runs
        if run.data.tags["raydt.kind"] == "trial"
    }
    (search,) = searches
    assert search.info.status == "FINISHED"
    artifacts = {file.path for file in client.list_artifacts(search.info.run_id)}
    assert artifacts == {"search.json", "hparams.toml", "table.txt"}
    assert trials.keys() == {row["trial_id"] for row in rows(storage)}
    row = next(row for row in rows(storage) if row["trial"]["kind"] == "trial")
    run = trials[row["trial_id"]]
    assert run.data.tags["mlflow.parentRunId"] == search.info.run_id
    history = client.get_metric_history(run.info.run_id, "val/loss")
    assert [[metric.step, metric.value] for metric in history] == row["val_losses"]
    assert run.data.params["stage"] == row["trial"]["stage"]
    # `raydt analyze` and `raydt status` see no sweep in it.
    for command in ("analyze", "status"):
        done = subprocess.run(
            [sys.executable, "-m", "raydt", command, "--storage", str(storage)],
            cwd=storage,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr


def test_a_file_of_another_hand_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("precious = true\n")
    code, _, err = finished(hparams(tmp_path, "--out", str(tmp_path / "mine.toml")))
    assert code == 2
    assert "--out: a file that is not there yet" in err
    assert (tmp_path / "mine.toml").read_text() == "precious = true\n"
    assert not (tmp_path / "tiny").exists()


def test_a_plan_starts_nothing(tmp_path: Path) -> None:
    code, out, err = finished(hparams(tmp_path, "--dry-run"))
    assert code == 0, err
    assert "At most" in out
    assert "budget bytes" not in out
    assert list(tmp_path.iterdir()) == []


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    words = "--stages scratch dance --at 3x --trials many --budget some --protocol.patince 3"
    code, _, err = finished(hparams(tmp_path, *words.split()))
    assert code == 2
    for what in ("--stages", "--at", "--trials", "--budget", "--protocol.patince"):
        assert f"error {what}" in err
    assert "Traceback" not in err
