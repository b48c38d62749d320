"""A user id without an entry among the users, and without HOME, as containers have them."""

from __future__ import annotations

import pwd

import pytest

from analysis.reuse import _cache_folder
from raydt.config.sweep import local_folder
from raydt.storage.disks import cache_folder, temporary_folder


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
