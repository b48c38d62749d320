from __future__ import annotations

import os
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from raydt.storage import disks
from raydt.storage.disks import is_on_network, local_disk

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the kernel lists as mounted: NFS at `tmp_path`/shared, with a disk of its own within."""
    file = tmp_path / "mounts"
    file.write_text(
        "/dev/nvme0n1 / ext4 rw 0 0\n"
        f"10.0.0.1:/mnt/sweeps {tmp_path}/shared nfs4 rw 0 0\n"
        f"/dev/nvme1n1 {tmp_path}/shared/own\\040disk ext4 rw 0 0\n"
        f"tmpfs {tmp_path}/memory tmpfs rw 0 0\n"
    )
    monkeypatch.setattr(disks, "_MOUNTS", file)
    return file


def test_a_path_is_on_the_innermost_mount(mounts: Path, tmp_path: Path) -> None:
    assert is_on_network(tmp_path / "shared" / "corpora" / "de")
    assert not is_on_network(tmp_path / "shared" / "own disk" / "de")
    assert not is_on_network(tmp_path / "shared-not")
    # A later mount lies on top of an earlier one.
    with mounts.open("a") as file:
        file.write(f"fs-1:/ {tmp_path}/memory lustre rw 0 0\n")
    assert is_on_network(tmp_path / "memory")


def test_own_disk_is_neither_on_a_network_nor_in_memory(
    mounts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert local_disk(1_000) == tmp_path / "cache" / "raydt"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared" / "home"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "scratch"))
    assert local_disk(1_000) == tmp_path / "scratch" / f"raydt-{os.getuid()}"
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "memory"))
    assert local_disk(1_000) is None


def test_own_disk_has_room(mounts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "scratch"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total=1000, used=500, free=500))
    assert local_disk(300) is not None
    assert local_disk(450) is None, "a tenth stays free"
