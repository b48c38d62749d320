from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.errors import InputError, RunError
from raydt.orchestration.preflight import check_environment
from raydt.storage.folder import Folder, walk
from raydt.storage.opening import open_folder
from tests.storage.careless_store import careless


@pytest.fixture(params=["disk", "s3", "gcs"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """An empty folder of each kind."""
    if request.param == "disk":
        return open_folder(tmp_path / "storage")
    found: Folder = request.getfixturevalue(f"{request.param}_folder")
    return found


def test_a_file_is_written_read_replaced_and_removed(folder: Folder) -> None:
    cell = folder / "cells" / "finetune/en-de/6M"
    assert not cell.exists("result.json")
    assert cell.read_json("result.json") is None
    with pytest.raises(FileNotFoundError):
        cell.read("result.json")
    cell.write_json("result.json", {"loss": 1.5})
    assert cell.exists("result.json")
    assert folder.exists("cells/finetune/en-de/6M/result.json")
    cell.write_json("result.json", {"loss": 2.5})
    assert cell.read_json("result.json") == {"loss": 2.5}
    cell.remove("result.json")
    cell.remove("result.json")
    assert not cell.exists("result.json")


def test_a_swap_is_done_only_on_what_is_expected(folder: Folder) -> None:
    assert not folder.swap("a/lease", b"nobody's", b"1")
    assert folder.swap("a/lease", None, b"1")
    assert folder.swap("a/lease", None, b"1"), "as again after an answer that was lost"
    assert not folder.swap("a/lease", None, b"2")
    assert not folder.swap("a/lease", b"2", b"3")
    assert folder.swap("a/lease", b"1", b"2")
    assert folder.swap("a/lease", b"1", b"2")
    assert not folder.swap("a/lease", b"1", b"3")
    assert folder.read("a/lease") == b"2"
    assert (folder / "a").names() == ["lease"]


def test_of_swaps_at_once_one_succeeds(folder: Folder) -> None:
    def swap(expected: bytes | None, number: int) -> bool:
        barrier.wait()
        return folder.swap("lease", expected, b"by %d" % number)

    there: bytes | None = None
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(10):
            barrier = threading.Barrier(8)
            numbers = range(8 * round_, 8 * round_ + 8)
            done = list(pool.map(swap, [there] * 8, numbers))
            assert sum(done) == 1
            there = folder.read("lease")
            assert there == b"by %d" % numbers[done.index(True)]


def test_a_store_that_keeps_conditions_is_known(folder: Folder) -> None:
    assert folder.supports_swap("probe")
    assert folder.names() == []


def test_a_store_that_drops_conditions_is_refused(s3: str, tmp_path: Path) -> None:
    with careless(s3) as address:
        place = f"s3://raydt/{tmp_path.name}?endpoint_override={address}&scheme=http"
        sweep = Sweep(sources=("a",), targets=("b",), sizes=("2k",), storage=f"{place}&region=x")
        (problem,) = check_environment(sweep)
    assert "two launches could train and write" in str(problem)
    assert sweep.storage_folder.names() == []


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://key:secret@bucket/x", "read from the environment"),
        ("gs://user@bucket/x", "read from the environment"),
        ("s3://", "a bucket"),
        ("s3://bucket/x?regoin=eu", "regoin"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_and_shows_no_secret(uri: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        open_folder(uri)
    assert "secret" not in str(raised.value)


def test_names_are_those_directly_inside(folder: Folder) -> None:
    assert folder.names() == []
    folder.write("a/b/one", b"1")
    folder.write("a/two", b"2")
    assert folder.names() == ["a"]
    assert (folder / "a").names() == ["b", "two"]
    assert sorted(walk(folder)) == ["a/b/one", "a/two"]
    folder.remove("a")
    assert (folder / "a").names() == []


def test_a_journal_grows(folder: Folder) -> None:
    for number in range(3):
        folder.append("journal.jsonl", f"{number}\n".encode())
    assert folder.read("journal.jsonl") == b"0\n1\n2\n"


def test_files_travel_both_ways(folder: Folder, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    data = os.urandom(1_000_003)
    weights.write_bytes(data)
    folder.upload(weights, "attempts/1/weights.safetensors")
    here = (folder / "attempts/1").fetch("weights.safetensors", tmp_path / "cache" / "w")
    assert here.read_bytes() == data
    with pytest.raises(FileNotFoundError):
        folder.fetch("absent", tmp_path / "cache" / "absent")


def test_a_folder_is_found_again_by_its_uri(folder: Folder) -> None:
    (folder / "cells").write("x", b"1")
    assert open_folder((folder / "cells").uri).read("x") == b"1"


def test_damaged_json_is_named(folder: Folder) -> None:
    folder.write("result.json", b'{"loss": 1.')
    with pytest.raises(RunError, match=r"result\.json: expected JSON, got a damaged file"):
        folder.read_json("result.json")


@pytest.mark.parametrize("location", ["ftp://host/x", "hdfs://x"])
def test_other_stores_are_refused(location: str) -> None:
    with pytest.raises(InputError, match="s3://"):
        open_folder(location)


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    folder.write("result.json", b'"old"')
    program = (
        "import os, signal, sys\n"
        "from raydt.storage.opening import open_folder\n"
        "real = os.fsync\n"
        "os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)\n"
        "open_folder(sys.argv[1]).write('result.json', b'\"new\"' * 100_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert folder.read_json("result.json") == "old"


def test_a_full_disk_stays_without_halves(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from raydt.storage.opening import open_folder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: open_folder(sys.argv[1]).write('weights', b'x' * 5000)\n"
        "except OSError as error: sys.exit(str(error.errno))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert list(tmp_path.iterdir()) == []
