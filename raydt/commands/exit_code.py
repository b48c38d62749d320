"""Exit codes of commands, and users' errors without a traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

from rich.console import Console

from raydt.errors import InputError, RaydtError, RunError

_EXIT_INTERRUPTED = 130
_EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, as in a shell
_FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or the user's quota
# Errors about a path that the user gave or can change.
_PATHS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY),
)
_REMEDIES = {
    errno.EMFILE: "`ulimit -n` is too low: raise it",
    errno.ENFILE: "the machine has too many open files",
    errno.ENOMEM: "the machine is out of memory",
    errno.EIO: "the disk or the file system failed",
    errno.ESTALE: "the file system lost the file",
    errno.EROFS: "the file system is read-only",
    errno.ENOLCK: "the file system has no locks: put --storage on another one",
    errno.EINVAL: "the file system does not support this: put --storage on another one",
    errno.EOPNOTSUPP: "the file system does not support this: put --storage on another one",
    errno.ENOSYS: "the file system does not support this: put --storage on another one",
}
# Libraries whose errors a user can fix, and the subject of these errors.
_LIBRARIES = {
    **dict.fromkeys(("sqlalchemy", "sqlite3", "alembic", "mlflow", "pg8000"), "the MLflow store"),
    **dict.fromkeys(("urllib3", "requests", "http", "ssl", "socket"), "a server"),
    **dict.fromkeys(("botocore", "boto3", "s3transfer", "google"), "the object store"),
    **dict.fromkeys(("huggingface_hub", "datasets", "httpx", "aiohttp", "fsspec"), "the Hub"),
    "pyarrow": "a file or an object store",
    "filelock": "a lock",
    "ray": "Ray",
}
_TRACEBACK = "RAYDT_TRACEBACK"  # an environment variable that shows tracebacks


def exit_code_of(handle: Callable[[], int]) -> int:
    """Return what `handle` returns. Print a user's error and return 1 for a failed run, 2 for bad
    input."""
    _replace_unprintable()
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
        # The reader is gone (`| head`): discard what is still buffered.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the rest of the process
        return _EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        errors.print("Interrupted. Finished work is kept; run the same command to resume.")
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
    """The message and exit code for an error of another library; None if the error is a bug in
    raydt."""
    if isinstance(error, OSError) and error.errno is not None:
        what = f"{error.strerror or error}"
        if error.filename is not None:
            names = [str(name) for name in (error.filename, error.filename2) if name is not None]
            what = f"{' -> '.join(names)}: {what}"
        if error.errno in _FULL:
            hint = "Free some space, then run the same command to resume."
            return f"{what}. {hint}", RunError.exit_code
        remedy = _REMEDIES.get(error.errno)
        code = InputError.exit_code if error.errno in _PATHS else RunError.exit_code
        return f"{what}{f' ({remedy})' if remedy else ''}", code
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        # Python represents bytes of a name that are not UTF-8 as surrogates.
        return f"{error.object!r}: expected a name in UTF-8; rename it", InputError.exit_code
    if isinstance(error, ValueError) and str(error) == "embedded null byte":
        return "path: expected no NUL byte, got one", InputError.exit_code
    if isinstance(error, RuntimeError) and str(error) == "Could not determine home directory.":
        return "path with ~: expected a user with a home directory, got none", InputError.exit_code
    if isinstance(error, MemoryError):
        return "out of memory", RunError.exit_code
    for kind in type(error).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _LIBRARIES:
            first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            hint = f"{_TRACEBACK}=1 shows the traceback"
            return f"{_LIBRARIES[library]}: {first[:500]} ({hint})", RunError.exit_code
    if isinstance(error, OSError):
        return f"{error} ({_TRACEBACK}=1 shows the traceback)", RunError.exit_code
    return None


def _replace_unprintable() -> None:
    """Print `?` for characters that the output's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
