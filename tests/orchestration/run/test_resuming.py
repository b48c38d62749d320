"""A new attempt takes over the checkpoints of its own cell, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raydt.orchestration.run.resuming import AttemptCheckpoints
from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from raydt.training.checkpoints.folder import Checkpoint

FACTS = {"size_bytes": 4_000, "seed": 0}


@pytest.fixture(params=["disk", "s3"])
def cell(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "disk":
        return open_folder(tmp_path / "cell")
    return open_folder(request.getfixturevalue("s3_storage")) / "cell"


def checkpoints(cell: Folder, attempt: str, cache: Path, fingerprint: str) -> AttemptCheckpoints:
    return AttemptCheckpoints(cell / "attempts" / attempt, cache / attempt, fingerprint, 0.0)


def write(cell: Folder, attempt: str, cache: Path, fingerprint: str, step: int) -> None:
    weights = {"w": torch.full((4,), float(step))}
    here = checkpoints(cell, attempt, cache, fingerprint)
    here.write(Checkpoint(step, weights, {}), FACTS)


def test_checkpoints_of_other_data_are_left_alone(cell: Folder, tmp_path: Path) -> None:
    write(cell, "1", tmp_path, "before", step=500)
    edited = checkpoints(cell, "2", tmp_path, "edited")
    edited.take_over(cell, "2", FACTS)
    assert edited.newest(FACTS) is None
    assert edited.damaged == []
    write(cell, "2", tmp_path, "edited", step=20)
    # The text is as it was: the cell resumes from what it had then, past a newer attempt.
    again = checkpoints(cell, "3", tmp_path, "before")
    again.take_over(cell, "3", FACTS)
    found = again.newest(FACTS)
    assert found is not None
    assert found.step == 500
    # And the edited one from its own, though that is of an earlier step.
    other = checkpoints(cell, "4", tmp_path, "edited")
    other.take_over(cell, "4", FACTS)
    found = other.newest(FACTS)
    assert found is not None
    assert found.step == 20


def test_checkpoints_of_another_version_are_left_alone(cell: Folder, tmp_path: Path) -> None:
    write(cell, "1", tmp_path, "same", step=500)
    facts = {**FACTS, "patience": 4}  # what an earlier raydt did not write down
    newer = checkpoints(cell, "2", tmp_path, "same")
    newer.take_over(cell, "2", facts)
    assert newer.newest(facts) is None


def test_a_damaged_manifest_is_taken_over_and_named(cell: Folder, tmp_path: Path) -> None:
    write(cell, "1", tmp_path, "same", step=500)
    place = cell / "attempts" / "1" / "checkpoints"
    (name,) = [name for name in place.names() if name.endswith(".json")]
    place.write(name, place.read(name)[:-9])
    newer = checkpoints(cell, "2", tmp_path, "same")
    newer.take_over(cell, "2", FACTS)
    assert newer.newest(FACTS) is None
    assert len(newer.damaged) == 1


def test_a_launch_that_leaves_asks_for_one_more(
    cell: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    announced = False
    here = AttemptCheckpoints(
        cell / "attempts" / "1", tmp_path / "1", "same", 1e9, lambda: announced
    )
    now[0] += 60
    assert not here.due(1)
    announced = True
    assert not here.due(2), "between two looks"
    now[0] += 60
    assert here.due(3)
    assert here.due(4), "until it is written"
    here.write(Checkpoint(4, {"w": torch.zeros(4)}, {}), FACTS)
    now[0] += 60
    assert not here.due(5)
