"""The address at which a person opens the MLflow UI."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from raydt.terminal.outcome import show_ui


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("http://host:5000", "UI:     http://host:5000/#/experiments/3/runs?"),
        ("https://host/mlflow/", "UI:     https://host/mlflow/#/experiments/3/runs?"),
        ("https://me:s3cret@host/mlflow", "UI:     https://me@host/mlflow/#/experiments/3/runs?"),
        ("sqlite:////a b/mlflow.db", "--backend-store-uri 'sqlite:////a b/mlflow.db'"),
        ("postgresql://me:s3cret@h/db", "--backend-store-uri postgresql://me@h/db"),
    ],
)
def test_it_has_the_prefix_and_no_password(store: str, said: str) -> None:
    shown = io.StringIO()
    show_ui(store, "3", Console(file=shown))
    assert said in shown.getvalue()
    assert "s3cret" not in shown.getvalue()
