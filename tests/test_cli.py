"""Bad input from the command line: all problems, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parent.parent


def grid(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "sweeps" / "grid.py"), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def raydt(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raydt", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of languages: two good ones, one that is not UTF-8, an empty one."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("en", "de"):
        lines = (f"{name} says that {i} is more than {i - 1}\n" for i in range(4000))
        (folder / f"{name}.txt").write_text("".join(lines))
    (folder / "latin.txt").write_bytes(b"good\n" * 60_000 + b"caf\xe9\n" + b"good\n" * 60_000)
    (folder / "empty.txt").write_bytes(b"")
    return folder


FILES = "--corpus files:texts --sizes 8k --pretrain-size 32k --protocol.val-bytes 2k".split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--souces", "related"], ["--souces", "did you mean --sources?"]),
        (["--sources", "relatd", "nowhere"], ["relatd", "related", "nowhere"]),
        ([*FILES, "--sources", "en", "--targets", "xx"], ["xx", "de, empty, en, latin"]),
        (
            [*FILES, "--sources", "en", "--targets", "de", "--sizes", "8k", "80M"],
            ["de.txt: expected 80000000 bytes to train on (--pretrain-size and --sizes)"],
        ),
        ([*FILES, "--sources", "latin", "--targets", "de"], ["latin.txt", "UTF-8", "300003"]),
        ([*FILES, "--sources", "empty", "--targets", "de"], ["empty.txt"]),
        (["--corpus", "files:absent"], ["absent"]),
        (["--corpus", "mc4"], ["corpus", "mc4"]),
        (["--sources", "alba", "--targets", "alba"], ["at least one source other than"]),
        (["--tracking-uri", "sqlite:///relative.db"], ["tracking_uri", "absolute"]),
        (["--tracking-uri", "ftp://host"], ["tracking_uri", "ftp://host"]),
        (["--storage", "file"], ["storage", "a folder", "is a file"]),
        (["--storage", "/proc/raydt"], ["storage", "/proc"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_bad_input_is_an_error_that_names_it(
    words: list[str], expected: list[str], texts: Path
) -> None:
    folder = texts.parent
    (folder / "file").write_text("")
    done = grid(folder, *words)
    assert done.returncode == 2, done.stderr
    for text in expected:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("runs/*/cells"))
    assert not list(folder.glob("runs/mlflow.db*"))


def test_all_problems_at_once(texts: Path) -> None:
    words = "--sources xx --targets de --sizes 80M --tracking-uri http:/"
    done = grid(texts.parent, *FILES, *words.split())
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error ")]
    assert len(errors) == 3
    for text in ("xx", "80000000", "tracking_uri"):
        assert any(text in error for error in errors)


def test_a_tracking_server_that_does_not_answer(tmp_path: Path) -> None:
    port = free_port()
    done = grid(tmp_path, "--tracking-uri", f"http://127.0.0.1:{port}")
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "a server that answers" in done.stderr
    assert not (tmp_path / "runs" / "demo").exists()


def test_a_server_that_is_no_mlflow(tmp_path: Path) -> None:
    import http.server
    import threading

    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = grid(tmp_path, "--tracking-uri", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    assert done.returncode == 2
    assert "an MLflow server" in done.stderr
    assert "501" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plan_is_shown_and_nothing_is_started(tmp_path: Path) -> None:
    done = grid(tmp_path, "--dry-run")
    assert done.returncode == 0
    assert "168 cells" in done.stdout
    assert "168 to do" in done.stdout
    assert "pretrain related s0" in done.stdout
    assert "GPU-hours" in done.stdout
    assert "one scratch ladder per source +166%" in " ".join(done.stdout.split())
    assert "5 of 5 claims can have a verdict" in done.stdout
    assert "detects a correlation from |r| =" in " ".join(done.stdout.split())
    assert list(tmp_path.iterdir()) == []
    assert raydt(tmp_path, "plan").stdout == done.stdout
    whole = raydt(tmp_path, "plan", "--all").stdout
    assert whole.count("→") == 168 - 12


def test_status_without_a_sweep(tmp_path: Path) -> None:
    done = raydt(tmp_path, "status")
    assert done.returncode == 2
    assert "a folder with a sweep in it, got no folder" in done.stderr


def test_analyze_without_a_store(tmp_path: Path) -> None:
    done = raydt(tmp_path, "analyze")
    assert done.returncode == 2
    assert "mlflow.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_prepare_and_corpora(texts: Path) -> None:
    folder = texts.parent
    words = ("prepare", "--corpus", "files:texts", "--languages", "en", "de", "--jobs", "2")
    done = raydt(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "2 of 2" in done.stderr
    for shown in ("files:texts", "en", "de", "contamination", "duplicates dropped", " / documents"):
        assert shown in done.stdout
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.bin")}
    assert len(before) == 6
    assert raydt(folder, *words).stdout == done.stdout == raydt(folder, "corpora").stdout
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.bin")}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--corpus", "files:texts"], ["latin.txt", "UTF-8", "300003", "empty.txt"]),
        (["--corpus", "files:texts?documents=x&a=b"], ["documents", "'a=b'"]),
        (["--corpus", "controlled"], ["--train-bytes"]),
        (["--corpus", "hub:a/b"], ["--languages", "--train-bytes"]),
        (["--corpus", "files:texts", "--languages", "en", "--jobs", "0"], ["--jobs"]),
        (["--corpus", "files:texts", "--languages", "en", "--train-bytes", "8X"], ["8X"]),
        (["--corpus", "files:file"], ["a file"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_prepare_refuses_with_every_problem(
    words: list[str], expected: list[str], texts: Path
) -> None:
    (texts.parent / "file").write_text("")
    done = raydt(texts.parent, "prepare", *words)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for text in expected:
        assert text in done.stderr


def test_corpora_of_nothing(tmp_path: Path) -> None:
    done = raydt(tmp_path, "corpora")
    assert done.returncode == 2
    assert "raydt prepare" in done.stderr
