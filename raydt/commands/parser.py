"""The argument parser of a command."""

from __future__ import annotations

import argparse
import difflib
import shutil
from collections.abc import Callable, Sequence

from rich_argparse import RichHelpFormatter

from raydt.errors import InputError, Problem, UnknownName

_NO_VALUE = object()  # an option is the last word, or followed by another option
_KINDS: dict[object, str] = {float: "a number", int: "an integer"}


class CommandParser(argparse.ArgumentParser):
    """A parser that collects all problems of the words in `problems`, where argparse stops at the
    first. `about` is the description in `--help`."""

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
            exit_on_error=False,
        )
        self.problems: list[Problem] = []
        for name in (None, "store"):
            self.register("action", name, _Store)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words; `InputError` with all of their problems."""
        parsed = self.collect(words)
        if self.problems:
            raise InputError(self.problems)
        return parsed

    def collect(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words; their problems are added to `problems`."""
        try:
            parsed, unknown = self.parse_known_args(words)
        except argparse.ArgumentError as error:
            # Argparse stopped here: the rest of the words is not parsed.
            self.problems.append(_no_value_taken(error))
            raise InputError(self.problems) from None
        stray = _stray_words(words, unknown)
        if stray:
            self.problems.append(self._no_place_for(stray))
        options = (word.partition("=")[0] for word in unknown if _is_option(word))
        self.problems += [self.unknown_option(option) for option in dict.fromkeys(options)]
        mentioned = {problem.what for problem in self.problems}
        self.problems += [
            Problem(action.shown, action.value, "nothing")
            for action in self._actions
            if isinstance(action, _Store)
            and action.needed
            and getattr(parsed, action.dest) is None
            and action.shown not in mentioned
        ]
        return parsed

    def _no_place_for(self, stray: Sequence[str]) -> Problem:
        positional = " ".join(
            action.shown
            for action in self._actions
            if isinstance(action, _Store) and not action.option_strings
        )
        needed = f"options, and no more than {positional}" if positional else "options only"
        return Problem("command line", needed, " ".join(stray))

    def unknown_option(self, option: str) -> Problem:
        """The problem of an option that the command does not have."""
        known = [name for name in self._option_string_actions if name.startswith("--")]
        meant = options_meant_by(option, known)
        hint = f"did you mean {listed(meant)}?" if meant else f"`{self.prog} --help` lists them"
        return UnknownName(option, hint, "option")

    def format_help(self) -> str:
        """Show `--sizes SIZE ...` instead of `--sizes SIZE [SIZE ...]`. Call it after parsing: it
        changes the actions."""
        for action in self._actions:
            if isinstance(action, _Store):
                action.required = action.needed
            if isinstance(action, _Store) and action.is_single:
                action.nargs = None
            if action.option_strings and action.nargs in ("?", "*", "+"):
                several = "" if action.nargs == "?" else " ..."
                action.metavar = f"{action.metavar or action.dest.upper()}{several}"
                action.nargs = None
        return super().format_help()

    def add_storage(self) -> None:
        """Add `--storage`, for a command that reads existing sweeps."""
        self.add_argument(
            "--storage",
            default="runs",
            help="storage of the sweeps: a folder, s3:// or gs:// [runs]",
        )

    def add_sweep_name(self) -> None:
        """Add `--name` and `--storage`, for a command about one sweep."""
        self.add_argument("--name", help="name of the sweep [the only one in the storage]")
        self.add_storage()


class _Store(argparse.Action):
    """Argparse's default action for one or several values, except that a missing value, or one of
    the wrong type, becomes one of the parser's problems."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        nargs: int | str | None = None,
        const: object = None,
        default: object = None,
        type: Callable[[str], object] | None = None,
        required: bool = False,
        help: str | None = None,
        metavar: str | None = None,
    ) -> None:
        self.needed = required and nargs != "*"  # argparse requires even an empty list
        self.is_single = bool(option_strings) and nargs is None
        self._convert = type
        if option_strings:
            # A missing value is one problem among others, not an error that stops argparse.
            if nargs is None:
                nargs, const = "?", _NO_VALUE
            elif nargs == "+":
                nargs = "*"
        super().__init__(
            option_strings, dest, nargs, const, default, help=help, metavar=metavar, required=False
        )

    @property
    def shown(self) -> str:
        """The name of the option in problems."""
        if self.option_strings:
            return self.option_strings[0]
        return str(self.metavar or self.dest.upper())

    @property
    def value(self) -> str:
        """The value that it takes, for problems."""
        return "a file" if "FILE" in (self.metavar, self.shown) else "a value"

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        assert isinstance(parser, CommandParser)
        if option_string is not None and (values is _NO_VALUE or values == []):
            needed = self.value if values is _NO_VALUE else "at least one value"
            parser.problems.append(Problem(self.shown, needed, "nothing"))
            return
        if self._convert is not None and isinstance(values, str):
            try:
                values = self._convert(values)
            except ValueError:
                needed = _KINDS.get(self._convert, "a valid value")
                parser.problems.append(Problem(self.shown, needed, repr(values)))
                return
        setattr(namespace, self.dest, values)


def _no_value_taken(error: argparse.ArgumentError) -> Problem:
    """Argparse's remaining errors: a value for an option that takes none, or no value for an option
    that appends."""
    name = error.argument_name or "command line"
    explicit = error.message.removeprefix("ignored explicit argument ")
    if explicit != error.message:
        return Problem(name, "no value", explicit)
    return Problem(name, "a value", "nothing")


def _stray_words(words: Sequence[str], unknown: Sequence[str]) -> list[str]:
    """The unknown words that do not follow an unknown option, and so cannot be its values."""
    stray: list[str] = []
    remaining = list(unknown)
    follows_option = False
    for word in words:
        if not remaining or word != remaining[0]:
            follows_option = False
            continue
        remaining.pop(0)
        if _is_option(word):
            follows_option = True
        elif not follows_option:
            stray.append(word)
    return stray


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word.strip("-")) > 0 and not word[1].isdigit()


def options_meant_by(option: str, known: Sequence[str]) -> list[str]:
    """All known options that start with `option`; if there are none, the most similar one."""
    begun = [name for name in known if name.startswith(option)] if len(option) > 2 else []
    return begun or difflib.get_close_matches(option, known, n=1)


def listed(names: Sequence[str]) -> str:
    """Join names as in "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _capitalised(title: str) -> str:
    return title[:1].upper() + title[1:]


class HelpFormatter(RichHelpFormatter):
    """Help without markup, because defaults are in brackets. Its text column is wide enough for
    most options, and wider on a wide terminal."""

    group_name_formatter = _capitalised
    help_markup = False
    text_markup = False

    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size().columns
        super().__init__(prog, max_help_position=max(24, columns // 3), width=min(columns, 120) - 2)
