"""The parser of a command."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence

from rich_argparse import RichHelpFormatter


class CommandParser(argparse.ArgumentParser):
    """Of the command `prog`; `about` is what `--help` says of it first."""

    def __init__(
        self, prog: str, about: str, *, usage: str | None = None, add_help: bool = True
    ) -> None:
        super().__init__(
            prog,
            description=about,
            usage=usage,
            add_help=add_help,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The words as values. Words that cannot be parsed end the program with exit code 2."""
        return self.parse_args(words)

    def format_help(self) -> str:
        """`--sizes SIZE ...` in place of `--sizes SIZE [SIZE ...]`. Parsing is over by then."""
        for action in self._actions:
            if action.option_strings and action.nargs in ("?", "*", "+"):
                several = "" if action.nargs == "?" else " ..."
                action.metavar = f"{action.metavar or action.dest.upper()}{several}"
                action.nargs = None
        return super().format_help()

    def add_storage(self) -> None:
        """`--storage`, for a command that reads what others have put there."""
        self.add_argument("--storage", default="runs", help="folder of the sweeps [runs]")

    def add_sweep_name(self) -> None:
        """`--name` and `--storage`, for a command that is about one sweep."""
        self.add_argument("--name", help="name of the sweep [the only one there is]")
        self.add_storage()


def _capitalised(title: str) -> str:
    return title[:1].upper() + title[1:]


class HelpFormatter(RichHelpFormatter):
    """Texts are shown as they are: a default in brackets is no markup. They begin where most of
    the options have ended, on a wide terminal further to the right."""

    group_name_formatter = _capitalised
    help_markup = False
    text_markup = False

    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size().columns
        super().__init__(prog, max_help_position=max(24, columns // 3), width=min(columns, 120) - 2)
