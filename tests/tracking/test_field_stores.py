"""Stores as people have them: moved, read-only, older, newer, behind a login."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from analysis.store.read import read_sweep
from raydt.cli import main
from raydt.errors import InputError
from raydt.tracking.server import found_instead
from raydt.tracking.store import open_store
from raydt.tracking.uri import sqlite_uri
from tests.tracking.conftest import LOSSES


def copied(made: Path, folder: Path) -> Path:
    shutil.copytree(made, folder / "runs")
    return folder / "runs"


def set_version(store: Path, version: str) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


# Row 21.


@pytest.mark.parametrize(
    ("version", "said"),
    [("97727af70f4d", "mlflow db upgrade"), ("ffffffffffff", "pip install --upgrade mlflow")],
)
def test_a_store_of_another_mlflow(
    made: Path, tmp_path: Path, version: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = copied(made, tmp_path)
    set_version(storage / "mlflow.db", version)
    before = (storage / "mlflow.db").read_bytes()
    with pytest.raises(InputError) as caught:
        open_store(sqlite_uri(storage / "mlflow.db"))
    (problem,) = caught.value.problems
    assert said in problem.expected
    assert version in problem.got
    table = tmp_path / "losses.csv"
    table.write_text(LOSSES)
    capsys.readouterr()
    assert main(["import", str(table), "--storage", str(storage), "--name", "again"]) == 2
    assert said in capsys.readouterr().err
    assert (storage / "mlflow.db").read_bytes() == before
    # Its tables are as they were, so that they can be read.
    assert main(["analyze", "--storage", str(storage), "--out", str(tmp_path / "out")]) == 0


# Row 22.


def without_rights(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """As a user who may write where the mode says so, and nowhere else, as root may."""
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("setpriv is not there, and root may write anywhere")
    less = "setpriv --bounding-set -all --inh-caps -all".split() if os.getuid() == 0 else []
    return subprocess.run(
        [*less, sys.executable, "-m", "raydt", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("has_wal", [False, True])
def test_a_store_that_may_only_be_read(made: Path, tmp_path: Path, has_wal: bool) -> None:
    storage = copied(made, tmp_path)
    writer = sqlite3.connect(storage / "mlflow.db")
    if has_wal:
        # A writer is at work: part of the store is in the WAL alone.
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE more (x)")
        writer.commit()
        assert (storage / "mlflow.db-wal").stat().st_size
        (storage / "mlflow.db-shm").unlink()
    for path in (storage, *storage.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    out = tmp_path / "out"
    out.mkdir()
    words = ["analyze", "--storage", str(storage), "--out", str(out / "report")]
    done = without_rights(words, out)
    writer.close()
    assert done.returncode == 0, done.stderr
    assert (out / "report" / "report.html").exists()


# Row 23.


def test_a_folder_that_was_moved_is_followed(made: Path, tmp_path: Path) -> None:
    storage = copied(made, tmp_path)
    moved = tmp_path / "elsewhere" / "mine"
    moved.parent.mkdir()
    storage.rename(moved)
    uri = sqlite_uri(moved / "mlflow.db")
    runs = read_sweep(uri)
    assert runs.plan is not None
    assert len(runs.plan) == 4
    # The next that writes has its artifacts there, too.
    table = tmp_path / "losses.csv"
    table.write_text(LOSSES.replace("1.6", "1.65"))
    assert main(["import", str(table), "--storage", str(moved)]) == 0
    client = open_store(uri)
    experiment = client.get_experiment_by_name("losses")
    here = (moved / "mlflow-artifacts" / "losses").as_uri()
    assert experiment.artifact_location == here
    runs_there = client.search_runs([experiment.experiment_id])
    assert all(run.info.artifact_uri.startswith(here) for run in runs_there)
    assert not storage.exists()


# Row 24.


@contextmanager
def answering(
    routes: dict[str, bytes], login: str | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """A server that asks for a login, and answers nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if login is not None and self.headers.get("Authorization") != login:
                self.send_response(401)
                self.end_headers()
            elif path in routes:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(routes[path])
            else:
                self.send_response(404)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


BASIC = f"Basic {base64.b64encode(b'me:secret').decode()}"


def test_a_server_behind_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}")
    with answering({"/health": b"OK"}, BASIC) as uri:
        assert found_instead(uri, 5) is None  # it asks who is there: MLflow's client says
        assert found_instead(uri.replace("//", "//me:secret@"), 5) is None
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    with answering({"/health": b"no"}, "Bearer abc") as uri:
        assert found_instead(uri, 5) is not None  # let in, it is no MLflow


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of one's own for 127.0.0.1, and its key."""
    certificate, key = folder / "own.pem", folder / "own.key"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    words += f" -addext subjectAltName=IP:127.0.0.1 -out {certificate} -keyout {key}"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make a certificate")
    subprocess.run(words.split(), check=True, capture_output=True)
    return certificate, key


def test_a_server_with_a_certificate_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SERVER_CERT_PATH", "INSECURE_TLS"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    certificate, key = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering({"/health": b"OK"}, tls=context) as uri:
        said = found_instead(uri, 5) or ""
        assert "certificate" in said
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in said
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        assert found_instead(uri, 5) is None
        monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
        assert found_instead(uri, 5) is None


def test_a_server_behind_a_prefix() -> None:
    api = {"/api/2.0/mlflow/experiments/search": json.dumps({}).encode()}
    with answering(api) as uri:
        assert found_instead(uri, 5) is None
    prefixed = {f"/mlflow{path}": answer for path, answer in api.items()}
    with answering(prefixed) as uri:
        assert found_instead(f"{uri}/mlflow/", 5) is None
        assert "404" in (found_instead(uri, 5) or "")
