"""A sweep as options, one for each of its fields."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from raydt.commands.parser import CommandParser, listed, options_meant_by
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

_MOST_NAMES = 16  # of a hint: a longer list is no help


class SweepParser(CommandParser):
    """The parser of a command that takes a sweep. What is wrong with its words is a problem beside
    those of files and fields."""

    def __init__(self, prog: str, about: str) -> None:
        # Of a hundred options a list is no help to a person who mistyped one.
        super().__init__(prog, about, usage="%(prog)s [OPTIONS]", add_help=False)
        self.show_all = False
        self._field_options: dict[SweepField, argparse.Action] = {}

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
                nargs="+" if field.several else "?" if field.is_switch else None,
                const="true" if field.is_switch else None,
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )
        for name, about in (
            ("--sweep", "a TOML file with any of these; what is typed wins"),
            ("--hparams", "hyperparameters as sweeps/hparams.py found them; win over --sweep"),
        ):
            files.add_argument(name, metavar="FILE", help=about)
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
        parsed = self.collect(words)
        said = vars(parsed)
        fields = {field.dotted: said[field.dotted] for field in FIELDS if field.dotted in said}
        parsed.typed = Typed(parsed.sweep, parsed.hparams, fields, tuple(self.problems))
        parsed.words = list(words)
        return parsed

    def format_help(self) -> str:
        """The options that most people want; with `show_all`, all of them."""
        prepare_help(self._field_options, self.show_all)
        return super().format_help()

    def unknown_option(self, option: str) -> Problem:
        """With the fields that it may mean."""
        # `--help-all` writes STAGE for the name of a stage.
        meant = fields_meant_by(option.replace("--STAGE.", "--"))
        if len(meant) > 1:
            choice = ", ".join(field.spellings[0] for field in meant)
            return Problem(option, f"one of {choice}", "a name that all of them have")
        known = list(dict.fromkeys([*self._option_string_actions, *OPTIONS]))
        if "." not in option:
            known = [name for name in known if "." not in name]
        close = options_meant_by(option, known)
        names = _names_of(close)
        if not close or len(names) > _MOST_NAMES:
            return Problem(option, "a field of a sweep (--help-all lists them)", "no such option")
        kind = "a field of a sweep" if all(map(fields_meant_by, close)) else "an option"
        return Problem(option, f"{kind} (did you mean {listed(names)}?)", "no such option")


def _names_of(options: Sequence[str]) -> list[str]:
    """What each stage has is one name where there are others, else one for each stage."""
    names = []
    for option in options:
        meant = fields_meant_by(option)
        if len(meant) > 1 and len(options) > 1:
            names.append("--STAGE." + option.removeprefix("--"))
        else:
            names += [field.spellings[0] for field in meant] if len(meant) > 1 else [option]
    return names


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
