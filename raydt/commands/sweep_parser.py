"""A sweep as options, one for each of its fields."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence

from raydt.commands.parser import CommandParser
from raydt.commands.sweep_help import (
    FIELDS_AS_SHOWN,
    GROUPS,
    HIDDEN_GROUPS,
    group_of,
    prepare_help,
)
from raydt.config.fields import FIELDS, OPTIONS, SweepField, fields_meant_by
from raydt.config.read import Typed
from raydt.errors import Problem

_NO_VALUE = object()  # of an option that another one follows, or nothing


class SweepParser(CommandParser):
    """The parser of a command that takes a sweep. What is wrong with the words of the sweep does
    not end the program: it is a problem beside those of files and fields."""

    def __init__(self, prog: str, about: str) -> None:
        # Of a hundred options a list is no help to a person who mistyped one.
        super().__init__(prog, about, usage="%(prog)s [OPTIONS]", add_help=False)
        self.show_all = False
        self._field_options: dict[SweepField, argparse.Action] = {}
        self._file_options: list[argparse.Action] = []

    def add_sweep_options(self) -> None:
        """Add what a sweep has, and `--help`. What a command has of its own is added before."""
        groups = {title: self.add_argument_group(title) for title in GROUPS}
        files = self.add_argument_group("From files")
        groups |= {title: self.add_argument_group(title) for title in HIDDEN_GROUPS}
        for field in FIELDS_AS_SHOWN:
            self._field_options[field] = groups[group_of(field)].add_argument(
                *field.spellings,
                dest=field.dotted,
                metavar=field.value,
                # An option without a value is a problem among others, and not argparse's error.
                nargs="*" if field.several else "?",
                const=None if field.several else _NO_VALUE,
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )
        for name, about in (
            ("--sweep", "a TOML file with any of these; what is typed wins"),
            ("--hparams", "hyperparameters as sweeps/hparams.py found them; win over --sweep"),
        ):
            action = files.add_argument(
                name, metavar="FILE", nargs="?", const=_NO_VALUE, help=about
            )
            self._file_options.append(action)
        helping = self.add_argument_group("Help")
        helping.add_argument("-h", "--help", action="help", help="show this help")
        helping.add_argument(
            "--help-all",
            action=_HelpAll,
            help="show also how cells are trained and evaluated, such as --tolerance 0.001, "
            "--test-bytes 64k or --scratch.learning-rate 0.01",
        )

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The words as values: what is said of the sweep as `typed`, a `Typed`, and the words
        themselves as `words`."""
        parsed, unknown = self.parse_known_args(words)
        problems = self._unknown_options(unknown)
        files: dict[str, str | None] = {}
        for action in self._file_options:
            value = getattr(parsed, action.dest)
            files[action.dest] = None if value is _NO_VALUE else value
            if value is _NO_VALUE:
                problems.append(Problem(action.option_strings[0], "a file", "nothing"))
        fields: dict[str, str | list[str]] = {}
        for field in FIELDS:
            value = getattr(parsed, field.dotted, None)
            if value is _NO_VALUE or value == []:
                needed = "at least one value" if field.several else "a value"
                problems.append(Problem(field.spellings[0], needed, "nothing"))
            elif value is not None:
                fields[field.dotted] = value
        parsed.typed = Typed(files["sweep"], files["hparams"], fields, tuple(problems))
        parsed.words = list(words)
        return parsed

    def format_help(self) -> str:
        """The options that most people want; with `show_all`, all of them."""
        prepare_help(self._field_options, self.show_all)
        return super().format_help()

    def _unknown_options(self, words: Sequence[str]) -> list[Problem]:
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        if words and not options:
            return [Problem("command line", "options only", " ".join(words))]
        return [self._unknown_option(option) for option in options]

    def _unknown_option(self, option: str) -> Problem:
        # `--help-all` writes STAGE for the name of a stage.
        meant = fields_meant_by(option.replace("--STAGE.", "--"))
        if len(meant) > 1:
            choice = ", ".join(field.spellings[0] for field in meant)
            return Problem(option, f"one of {choice}", "a name that all of them have")
        close = difflib.get_close_matches(option, {*self._option_string_actions, *OPTIONS}, n=1)
        if not close:
            return Problem(option, "a field of a sweep (--help-all lists them)", "no such option")
        meant = fields_meant_by(close[0])
        kind = "a field of a sweep" if meant else "an option"
        names = [field.spellings[0] for field in meant] if len(meant) > 1 else close
        hint = f"did you mean {' or '.join(names)}?"
        return Problem(option, f"{kind} ({hint})", "no such option")


class _HelpAll(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(
            option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help
        )

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        assert isinstance(parser, SweepParser)
        parser.show_all = True
        parser.print_help()
        parser.exit()
