from __future__ import annotations

import pytest

from raydt.errors import InputError
from raydt.tracking.system_metrics import sampling_seconds

ON, EVERY = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"


@pytest.mark.parametrize(
    ("on", "every", "seconds"),
    [(None, None, None), ("false", "5", None), ("true", None, 10.0), ("True", "0.5", 0.5)],
)
def test_mlflows_own_variables_decide(
    monkeypatch: pytest.MonkeyPatch, on: str | None, every: str | None, seconds: float | None
) -> None:
    for name, value in ((ON, on), (EVERY, every)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert sampling_seconds() == seconds


@pytest.mark.parametrize(("name", "value"), [(ON, "perhaps"), (EVERY, "0"), (EVERY, "often")])
def test_what_they_may_not_say(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(ON, "true")
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name):
        sampling_seconds()
