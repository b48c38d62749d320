"""The options of a sweep, one for each of its fields."""

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
from raydt.errors import Problem, UnknownName

_MAX_NAMES = 16  # in a hint; a longer list does not help


class SweepParser(CommandParser):
    """The parser of a command that takes a sweep. Problems of its words are reported together with
    those of files and fields."""

    def __init__(self, prog: str, about: str) -> None:
        # A usage line with a hundred options does not help somebody who mistyped one.
        super().__init__(prog, about, usage="%(prog)s [OPTIONS]", add_help=False)
        self.show_all = False
        self._field_options: dict[SweepField, argparse.Action] = {}

    def add_sweep_options(self) -> None:
        """Add the options of a sweep, and `--help`. Call it after adding options of the command."""
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
            ("--sweep", "TOML file with fields of the sweep; options override it"),
            (
                "--hparams",
                "hyperparameters that sweeps/hparams.py found; they override --sweep",
            ),
        ):
            files.add_argument(name, metavar="FILE", help=about)
        helping = self.add_argument_group("Help")
        helping.add_argument("-h", "--help", action="help", help="show this help")
        helping.add_argument(
            "--help-all",
            action=_HelpAll,
            help="also show the options for training and evaluating cells, such as --tolerance "
            "0.001, --test-bytes 64k or --scratch.learning-rate 0.01",
        )

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words. The result has the sweep as `typed` (a `Typed`), and the words as
        `words`."""
        parsed = self.collect(words)
        said = vars(parsed)
        fields = {field.dotted: said[field.dotted] for field in FIELDS if field.dotted in said}
        parsed.typed = Typed(parsed.sweep, parsed.hparams, fields, tuple(self.problems))
        parsed.words = list(words)
        return parsed

    def format_help(self) -> str:
        """The common options, or all of them with `show_all`."""
        prepare_help(self._field_options, self.show_all)
        return super().format_help()

    def unknown_option(self, option: str) -> Problem:
        """The problem of an unknown option, with the fields that it may mean."""
        # `--help-all` has STAGE in place of the name of a stage.
        meant = fields_meant_by(option.replace("--STAGE.", "--"))
        if len(meant) > 1:
            choice = ", ".join(field.spellings[0] for field in meant)
            return Problem(option, f"one of {choice}", "an ambiguous name")
        known = list(dict.fromkeys([*self._option_string_actions, *OPTIONS]))
        if "." not in option:
            known = [name for name in known if "." not in name]
        close = options_meant_by(option, known)
        names = _names_of(close)
        if not close or len(names) > _MAX_NAMES:
            return UnknownName(option, "--help-all lists the options", "option")
        return UnknownName(option, f"did you mean {listed(names)}?", "option")


def _names_of(options: Sequence[str]) -> list[str]:
    """Options to suggest. An option that every stage has is shown once, as --STAGE.x, if there are
    other options, else once per stage."""
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
