"""MLflow on a real PostgreSQL: behind a server, as in cluster.yaml, and written to directly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.integration.mlflow_server import start_server, stop
from tests.integration.postgres import PASSWORD, Postgres, postgres
from tests.integration.tiny import NUM_CELLS, finished, grid, results
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def knows_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def analyzed(storage: Path, uri: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "raydt",
            "analyze",
            "tiny",
            "--storage",
            str(storage),
            "--store",
            uri,
        ],
        cwd=storage,
        capture_output=True,
        text=True,
        timeout=280,
    )


def password_is_nowhere(storage: Path, *texts: str) -> None:
    forms = [form.encode() for form in (PASSWORD, quote(PASSWORD, safe=""))]
    for path in storage.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(form in content for form in forms), path
    for text in texts:
        assert not any(form.decode() in text for form in forms)


def test_a_sweep_written_directly_and_its_password_nowhere(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the URI, as people do it at first.
    typed = server.uri.replace("keeper@", f"keeper:{quote(PASSWORD, safe='')}@")
    code, out, err = finished(grid(tmp_path, "--tracking-uri", typed))
    assert code == 0, err
    assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
    assert f"--store {server.uri}" in out
    assert "set PGPASSWORD" in out
    assert len(results(tmp_path)) == NUM_CELLS
    refused = analyzed(tmp_path, server.uri)
    assert refused.returncode == 2
    assert "access to PostgreSQL" in refused.stderr
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    # The command that was printed, and the launch that goes on, take it from the environment.
    analysis = analyzed(tmp_path, server.uri)
    assert analysis.returncode == 0, analysis.stderr
    assert "D_T" in analysis.stdout
    code, again, err_again = finished(grid(tmp_path, "--tracking-uri", server.uri))
    assert code == 0, err_again
    assert "Nothing to train" in again
    assert "Not in MLflow yet" not in again
    password_is_nowhere(
        tmp_path,
        out,
        err,
        again,
        err_again,
        refused.stdout,
        refused.stderr,
        analysis.stdout,
        analysis.stderr,
    )


def test_a_refused_password_is_said_at_once(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "another")
    code, _, err = finished(grid(tmp_path, "--tracking-uri", server.uri))
    assert code == 2
    assert "password authentication failed" in err
    assert "another" not in err
    assert "Traceback" not in err


@contextmanager
def mlflow_server(folder: Path, database: str) -> Iterator[str]:
    port = free_port()
    process = start_server(folder, port, database)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def test_a_sweep_through_a_server(tmp_path: Path, knows_the_password: None) -> None:
    from raydt.tracking.uri import client_uri

    with postgres() as other, mlflow_server(tmp_path, client_uri(other.uri)) as uri:
        code, out, err = finished(grid(tmp_path, "--tracking-uri", uri))
        assert code == 0, err
        assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
        assert "Not in MLflow yet" not in out
        analysis = analyzed(tmp_path, uri)
        assert analysis.returncode == 0, analysis.stderr
        assert "D_T" in analysis.stdout
        password_is_nowhere(tmp_path, out, err, analysis.stdout, analysis.stderr)
