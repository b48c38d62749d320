"""An analysis with a second process is the same analysis, and so is one that is drawn in part."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.analyze import analyze
from analysis.report.chosen import MOST_TARGETS, chosen
from analysis.second_process import InlineExecutor, second_process
from raydt.cpus import num_cpus
from raydt.errors import InputError, Problem, RunError


def files_of(folder: Path) -> dict[str, bytes]:
    wanted = ("*.csv", "*.tex", "figures/*")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for pattern in wanted
        for path in sorted(folder.glob(pattern))
    }


@pytest.mark.skipif(num_cpus() < 2, reason="a single core has no second process")
def test_a_second_process_leaves_the_same_files(
    store: Any, planted_sweep: str, tmp_path: Path
) -> None:
    steps: list[str] = []
    analyze(store.uri, planted_sweep, tmp_path / "one", log_to_store=False)
    with second_process(("analysis.report.figures",)) as executor:
        assert executor.submit(os.getpid).result() != os.getpid()
        analyze(
            store.uri,
            planted_sweep,
            tmp_path / "two",
            log_to_store=False,
            executor=executor,
            on_step=steps.append,
        )
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert any(name.endswith(".pdf") for name in one)
    assert one == two
    # What a person is told goes on to the last figure.
    assert steps[0].endswith("runs: means and resamples")
    last = steps[-1].removeprefix("drawing figure ").split(" of ")
    assert int(last[0]) <= int(last[1])
    assert int(last[0]) == len(list((tmp_path / "two").glob("figures/*.svg")))


def refuse() -> None:
    raise InputError([Problem("store", "one that is there", "none")])


def test_an_error_of_the_second_process_is_an_error_here() -> None:
    with pytest.raises(InputError, match="one that is there"):
        InlineExecutor().submit(refuse).result()
    with second_process(()) as executor, pytest.raises(InputError, match="one that is there"):
        executor.submit(refuse).result()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(num_cpus() < 2, reason="a single core has no second process")
def test_a_second_process_that_is_killed_is_one_line() -> None:
    killed = pytest.raises(RunError, match="killed, perhaps because memory ran out")
    with killed, second_process(()) as executor:
        executor.submit(die).result()


def effective_of(num_targets: int) -> pd.DataFrame:
    """Targets t00, t01, ... of one model, each of which transfer is worth less for."""
    return pd.DataFrame(
        {
            "model": "tiny",
            "target": [f"t{number:02d}" for number in range(num_targets)],
            "finetune_bytes": 8_000,
            "effective_bytes": 8_000 * np.exp(-np.arange(num_targets)),
        }
    )


def test_of_many_targets_those_from_the_most_to_the_least_are_drawn() -> None:
    effective = effective_of(41)
    ladders = [("tiny", target) for target in reversed(effective["target"].tolist())]
    found = chosen(effective, ladders)
    assert found.targets == {"tiny": ["t00", "t08", "t16", "t24", "t32", "t40"]}
    assert f"{MOST_TARGETS} of 41 targets" in found.note
    few = effective_of(MOST_TARGETS)
    found = chosen(few, [("tiny", target) for target in few["target"]])
    assert (len(found.targets["tiny"]), found.note) == (MOST_TARGETS, "")
