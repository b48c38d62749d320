"""A launch asks its own cells for a checkpoint, and nobody else's."""

from __future__ import annotations

from pathlib import Path

from raydt.grid.shutdown import clear_request, is_shutting_down, request_checkpoints
from raydt.storage.opening import open_folder


def test_only_the_launch_that_is_named_leaves(tmp_path: Path) -> None:
    sweep = open_folder(tmp_path / "sweep")
    assert not is_shutting_down(sweep, "1")
    request_checkpoints(sweep, "1")
    assert is_shutting_down(sweep, "1")
    assert not is_shutting_down(sweep, "2")
    clear_request(sweep)
    assert not is_shutting_down(sweep, "1")


def test_what_cannot_be_read_asks_for_nothing(tmp_path: Path) -> None:
    sweep = open_folder(tmp_path / "sweep")
    request_checkpoints(sweep, "1")
    (tmp_path / "sweep" / "leaving.json").write_text("{")
    assert not is_shutting_down(sweep, "1")
