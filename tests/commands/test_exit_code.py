"""No exception of the system or of a library reaches a user as a traceback."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import alembic.util.exc
import mlflow.exceptions
import pyarrow as pa
import pytest
import sqlalchemy.exc

from raydt.cli import main
from raydt.commands.exit_code import exit_code_of
from raydt.errors import Problem


def ends(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    def handle() -> int:
        raise error

    code = exit_code_of(handle)
    shown = capsys.readouterr()
    assert shown.out == ""
    return code, shown.err


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.EACCES, 2, "Permission denied"),
        (errno.ENOENT, 2, "No such file"),
        (errno.EROFS, 2, "read-only"),
        (errno.EISDIR, 2, "Is a directory"),
        (errno.ENAMETOOLONG, 2, "too long"),
        (errno.ENOSPC, 1, "Free some space"),
        (errno.EDQUOT, 1, "Free some space"),
        (errno.EIO, 1, "the disk or the file system failed"),
        (errno.EMFILE, 1, "ulimit -n"),
        (errno.ENOLCK, 1, "no locks"),
        (errno.ENOSYS, 1, "does not support this"),
        (errno.ECONNREFUSED, 1, "refused"),
        (errno.ENOMEM, 1, "memory"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_the_path(
    number: int, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, shown = ends(OSError(number, os.strerror(number), "/data/x.txt"), capsys)
    assert found == code
    assert said in shown
    assert "/data/x.txt" in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("storage", ["~nobody-is-called-so/x", "s3://", "gs:///", "ftp://x"])
def test_a_storage_that_can_be_none_is_one_message(
    storage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("plan", "status"):
        assert main([command, "--storage", storage]) == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error storage: ")
        assert len(shown.splitlines()) == 1


def test_a_link_to_itself_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for command in ("plan", "status", "corpora", "analyze"):
        assert main([command, "--storage", str(tmp_path / "loop" / "runs")]) == 2
        shown = capsys.readouterr().err
        assert "the path of a folder" in shown
        assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("field", ["storage", "corpus", "name", "sources"])
def test_a_nul_in_a_file_of_a_sweep_is_one_message(
    field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = 'files:/x\\u0000y"' if field == "corpus" else 'x\\u0000y"'
    path = tmp_path / "sweep.toml"
    path.write_text(f'{field} = ["{value}]\n' if field == "sources" else f'{field} = "{value}\n')
    assert main(["plan", "--sweep", str(path)]) == 2
    assert capsys.readouterr().err.startswith("error ")


def test_a_home_that_nobody_has_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", "~nobody-is-called-so/x", "--to", "a/b"]) == 2
    shown = capsys.readouterr().err
    assert "path with ~" in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("command", ["status", "sync", "refine", "cancel", "export"])
def test_a_storage_that_is_none_is_named_as_what_it_is(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("text")
    more = {"refine": ["--until", "1.5"], "cancel": ["x"], "export": ["x", "--to", "y"]}
    for name, found in (("file", "a file"), ("absent", "no folder")):
        words = [command, *more.get(command, []), "--storage", str(tmp_path / name)]
        assert main(words) == 2
        shown = capsys.readouterr().err
        assert shown.startswith(f"error storage {tmp_path / name}: ")
        assert shown.endswith(f"got {found}\n")


def test_a_whole_file_in_a_message_is_cut() -> None:
    shown = str(Problem("field", "a word", "x" * 10_000 + "end"))
    assert len(shown) < 2_000
    assert shown.endswith("xend")


def test_a_name_that_is_no_utf_8_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "x\udce9".encode()
    code, shown = ends(caught.value, capsys)
    assert code == 2
    assert "a name in UTF-8; rename it" in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlalchemy.exc.OperationalError("SELECT", {}, Exception("database is locked")), "store"),
        (alembic.util.exc.CommandError("Can't locate revision"), "the MLflow store: Can't locate"),
        (mlflow.exceptions.MlflowException("a message\nof two lines"), "store: a message"),
        (sqlite3.DatabaseError("file is not a database"), "store: file is not a database"),
        (pa.ArrowInvalid("Not a Parquet file"), "Not a Parquet file"),
        (TimeoutError("timed out"), "timed out"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_a_library_refuses_is_one_line(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown = ends(error, capsys)
    assert code == 1
    assert said in shown
    assert len(shown.splitlines()) == 1
    monkeypatch.setenv("RAYDT_TRACEBACK", "1")
    with pytest.raises(type(error)):
        ends(error, capsys)


def test_a_defect_of_raydt_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (KeyError("x"), TypeError("y"), AssertionError()):
        with pytest.raises(type(error)):
            ends(error, capsys)


def test_the_version_and_the_nearest_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("raydt 0.")
    assert main(["analyse"]) == 2
    assert "did you mean analyze?" in capsys.readouterr().err


def test_a_folder_that_has_an_analysis_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("raise SystemExit('not raydt')")
    words = [sys.executable, "-m", "raydt", "analyze", "--storage", "nothing"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not raydt" not in done.stderr
    assert done.stderr.startswith("error ")


def test_who_reads_no_further_ends_it_quietly(tmp_path: Path) -> None:
    words = f"{sys.executable} -m raydt --help | head -1"
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_terminal_that_knows_few_characters(tmp_path: Path) -> None:
    (tmp_path / "ru.txt").write_text("Привет\n" * 50)
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "raydt", "corpora", "--look", str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "??????" in done.stdout
