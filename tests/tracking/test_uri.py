from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.grid.ledger import record_sweep, recorded_sweep
from raydt.tracking.store import check_store_uri, open_store
from raydt.tracking.uri import (
    client_uri,
    postgres_refusal,
    sqlite_path,
    sqlite_uri,
    without_password,
    without_user,
)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me@host/db"),
        ("postgresql+pg8000://me:pw@host:1/db?x=a@b", "postgresql+pg8000://me@host:1/db?x=a@b"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://host/db?user=me&password=pw", "postgresql://host/db?user=me"),
        ("postgresql://host/db?password=pw&user=me", "postgresql://host/db?user=me"),
        ("postgresql://me:p/w@host/db", "postgresql://me@host/db"),
        ("postgresql://me:p@w@host/db", "postgresql://me@host/db"),
        ("https://me:pw@host:5000/mlflow", "https://me@host:5000/mlflow"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:////a/me:pw@b.db", "sqlite:////a/me:pw@b.db"),
        ("runs", "runs"),
    ],
)
def test_a_password_is_left_out(uri: str, shown: str) -> None:
    assert without_password(uri) == shown
    assert "me@" not in without_user(uri).partition("?")[0] or uri.startswith("sqlite")


def test_a_sweep_is_recorded_without_the_password(tmp_path: Path) -> None:
    sweep = Sweep(tracking_uri="postgresql://me:s3cret@127.0.0.1/db", storage=tmp_path, name="a")
    record_sweep(sweep)
    assert sweep.store_uri == "postgresql://me:s3cret@127.0.0.1/db"
    assert "s3cret" not in (tmp_path / "a" / "sweep.json").read_text()
    assert "s3cret" not in json.dumps(sweep.model_dump(mode="json")) + repr(sweep)
    assert recorded_sweep(str(tmp_path), "a").tracking_uri == "postgresql://me@127.0.0.1/db"


def test_postgres_takes_its_password_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert client_uri("postgresql+pg8000://me@host/db") == "postgresql+pg8000://me@host/db"
    monkeypatch.setenv("PGPASSWORD", "a/b@c")
    assert (
        client_uri("postgresql+pg8000://me@host/db") == "postgresql+pg8000://me:a%2Fb%40c@host/db"
    )
    assert client_uri("postgresql+pg8000://me:x@host/db") == "postgresql+pg8000://me:x@host/db"


def test_a_server_is_told_apart_from_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)
    import os

    assert client_uri("http://me:a%40b@host:5000") == "http://host:5000"
    assert os.environ.pop("MLFLOW_TRACKING_USERNAME") == "me"
    assert os.environ.pop("MLFLOW_TRACKING_PASSWORD") == "a@b"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:s3cret[@127.0.0.1:1/db",
        "ftp://me:s3cret@host",
        "http://me:s3cret/@127.0.0.1:1",
        "postgresql://me:s3cret@127.0.0.1:port/db",
        "http://me:s3cret@[::1",
    ],
)
def test_no_problem_repeats_a_password(uri: str) -> None:
    (problem,) = check_store_uri(uri)
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize("name", ["a b", "100%", "a%20b", "why?", "[x]", "#1", "ü"])
def test_a_store_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name / "mlflow.db"
    uri = sqlite_uri(path)
    assert sqlite_path(uri) == path
    open_store(uri)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert path.exists()
    assert Sweep(storage=tmp_path / name).store_uri == uri


def test_an_option_of_another_driver_is_named() -> None:
    uri = "postgresql+pg8000://me:s3cret@127.0.0.1:1/db?sslmode=require"
    wanted, found = postgres_refusal(uri) or ("", "")
    assert "psycopg2" in wanted
    assert "'sslmode'" in found
    assert "s3cret" not in found
