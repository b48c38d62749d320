"""How a command ends: its exit code, and the user's errors without their traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable

from rich.console import Console

from raydt.errors import InputError, RaydtError, RunError

_EXIT_INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or what its user may have of it


def exit_code_of(handle: Callable[[], int]) -> int:
    """What `handle` returns, with the user's errors printed: 1 for a failed run, 2 for bad
    input."""
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
    except OSError as error:
        if error.errno not in _FULL:
            raise
        errors.print("[bold red]failed[/] ", end="")
        errors.print(f"{error}. Make room; the same command goes on.", markup=False)
        return RunError.exit_code
    except KeyboardInterrupt:
        errors.print("Interrupted. What is done is kept: the same command goes on from here.")
        return _EXIT_INTERRUPTED
