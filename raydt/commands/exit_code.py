"""How a command ends: its exit code, and the user's errors without their traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

from rich.console import Console

from raydt.errors import InputError, RaydtError, RunError

_EXIT_INTERRUPTED = 130
_EXIT_NO_READER = 141  # as a shell says of a program that wrote to nobody
_FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or what its user may have of it
# A path that a user named, or may change.
_PATHS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY),
)
_REMEDIES = {
    errno.EMFILE: "`ulimit -n` is too low: raise it",
    errno.ENFILE: "the machine has too many files open",
    errno.ENOMEM: "the machine has no more memory",
    errno.EIO: "the disk or the file system failed",
    errno.ESTALE: "the file system lost the file",
    errno.EROFS: "the file system may only be read",
    errno.ENOLCK: "the file system has no locks: --storage on another one",
    errno.EINVAL: "the file system or the system cannot do it: --storage on another one",
    errno.EOPNOTSUPP: "the file system cannot do it: --storage on another one",
    errno.ENOSYS: "the system cannot do it: --storage on another file system",
}
# Libraries whose errors a user can mend, and what of the user's they are about.
_LIBRARIES = {
    **dict.fromkeys(("sqlalchemy", "sqlite3", "alembic", "mlflow", "pg8000"), "the MLflow store"),
    **dict.fromkeys(("urllib3", "requests", "http", "ssl", "socket"), "a server that was asked"),
    **dict.fromkeys(("botocore", "boto3", "s3transfer", "google"), "the object store"),
    **dict.fromkeys(("huggingface_hub", "datasets", "httpx", "aiohttp", "fsspec"), "the Hub"),
    "pyarrow": "a file or an object store",
    "filelock": "a lock",
    "ray": "Ray",
}
_TRACEBACK = "RAYDT_TRACEBACK"  # set it to see where an error came from


def exit_code_of(handle: Callable[[], int]) -> int:
    """What `handle` returns, with the user's errors printed: 1 for a failed run, 2 for bad
    input."""
    _print_whatever_it_is()
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return handle()
    except InputError as error:
        for problem in error.problems:
            errors.print("[bold red]error[/] ", end="")
            errors.print(str(problem), markup=False)
        return error.exit_code
    except RaydtError as error:
        errors.print("[bold red]failed[/] ", end="")
        errors.print(str(error), markup=False)
        return error.exit_code
    except BrokenPipeError:
        # Who read the output is gone (`| head`); what is still buffered has nowhere to go.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the rest of the process
        return _EXIT_NO_READER
    except KeyboardInterrupt:
        errors.print("Interrupted. What is done is kept: the same command resumes.")
        return _EXIT_INTERRUPTED
    except Exception as error:
        said = in_words(error)
        if said is None or os.environ.get(_TRACEBACK):
            raise
        text, code = said
        errors.print(
            "[bold red]error[/] " if code == InputError.exit_code else "[bold red]failed[/] ",
            end="",
        )
        errors.print(text, markup=False)
        return code


def in_words(error: Exception) -> tuple[str, int] | None:
    """The message for an error that is not raydt's own, and the exit code; None where the error is
    a defect of raydt."""
    if isinstance(error, OSError) and error.errno is not None:
        what = f"{error.strerror or error}"
        if error.filename is not None:
            names = [str(name) for name in (error.filename, error.filename2) if name is not None]
            what = f"{' -> '.join(names)}: {what}"
        if error.errno in _FULL:
            return f"{what}. Make room; the same command resumes.", RunError.exit_code
        remedy = _REMEDIES.get(error.errno)
        code = InputError.exit_code if error.errno in _PATHS else RunError.exit_code
        return f"{what}{f' ({remedy})' if remedy else ''}", code
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        # Python's way to carry the bytes of a name that is no UTF-8.
        return f"{error.object!r}: a name in UTF-8; rename it", InputError.exit_code
    if isinstance(error, ValueError) and str(error) == "embedded null byte":
        return "a path: one without byte 0; found one with it", InputError.exit_code
    if isinstance(error, RuntimeError) and str(error) == "Could not determine home directory.":
        return "a path with ~: that of a user with a home; found none", InputError.exit_code
    if isinstance(error, MemoryError):
        return "the machine has no more memory for this", RunError.exit_code
    for kind in type(error).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _LIBRARIES:
            first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            hint = f"{_TRACEBACK}=1 shows where it came from"
            return f"{_LIBRARIES[library]}: {first[:500]} ({hint})", RunError.exit_code
    if isinstance(error, OSError):
        return f"{error} ({_TRACEBACK}=1 shows where it came from)", RunError.exit_code
    return None


def _print_whatever_it_is() -> None:
    """A terminal or a file that knows few characters gets `?` for others, and no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
