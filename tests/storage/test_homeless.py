"""A user id without an entry among the users, and without HOME, as containers have them."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from analysis.reuse import _cache_folder
from raydt.config.sweep import local_folder
from raydt.storage.disks import cache_folder, ensure_home, temporary_folder


def test_caches_are_among_the_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError("uid not found")

    for name in ("HOME", "XDG_CACHE_HOME", "RAYDT_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert cache_folder() == temporary_folder()
    assert local_folder("s3://bucket/runs").is_relative_to(temporary_folder())
    assert local_folder("runs").is_absolute()
    assert _cache_folder().is_relative_to(temporary_folder())


def test_who_has_no_home_gets_one_and_who_has_keeps_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ensure_home()
    assert Path.home() == tmp_path

    def nobody(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(RuntimeError):
        Path.home()
    ensure_home()
    assert Path.home() == temporary_folder()
    assert Path.home().is_dir()
