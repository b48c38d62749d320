"""The `raydt` command and the scripts in `sweeps/`: which module does what.

A module is imported when its command is typed, and what is heavy when it is needed: `--help`,
`plan` and `status` start neither torch nor ray.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from raydt import __version__
from raydt.commands.exit_code import exit_code_of
from raydt.commands.parser import CommandParser, HelpFormatter
from raydt.errors import InputError, bad
from raydt.storage.disks import ensure_home


@dataclass(frozen=True)
class Command:
    """`module` is below `raydt.commands`; `about` is what `--help` says of it."""

    module: str
    about: str


class CommandModule(Protocol):
    """What a module of a command has."""

    def make_parser(self, prog: str, about: str) -> CommandParser:
        """The parser of its options."""

    def run(self, parsed: argparse.Namespace) -> int:
        """Do what is asked for; the exit code. Raises `InputError` or `RunError`."""


# By what a person does, in the order in which they do it.
GROUPS = {
    "Train a grid of sources x targets x sizes x seeds": {
        "plan": Command("plan", "show the cells of a sweep and what they cost, and start nothing"),
        "run": Command("run", "train what is missing of a sweep, as sweeps/grid.py does"),
        "hparams": Command(
            "hparams", "search for hyperparameters for a corpus, as sweeps/hparams.py does"
        ),
        "refine": Command("refine", "add seeds to a sweep where they narrow its intervals most"),
        "status": Command("status", "show which cells of a sweep are done"),
    },
    "Compute what was transferred": {
        "analyze": Command(
            "analyze", "compute D_E and D_T from an MLflow store and write the report"
        ),
        "import": Command(
            "import_losses", "import a table of losses into an MLflow store, for `analyze`"
        ),
    },
    "Look at what models know": {
        "probe": Command("cells.probe", "score minimal pairs by the weights of cells"),
    },
    "Prepare text": {
        "prepare": Command("prepare", "prepare languages of a corpus; run it again to resume"),
        "corpora": Command("corpora", "show the languages that are prepared"),
    },
    "Give models away": {
        "export": Command(
            "cells.export", "write cells as models that `transformers` loads, with a model card"
        ),
        "push": Command("cells.push", "upload an exported model to the Hugging Face Hub"),
    },
    "Work on a cluster": {
        "submit": Command(
            "cluster.submit", "start a sweep on a running Ray cluster: submit sweeps/grid.py -- ..."
        ),
        "jobs": Command("cluster.jobs", "show the sweeps that a cluster runs or ran"),
        "logs": Command("cluster.logs", "show what a sweep on a cluster has printed"),
        "stop": Command("cluster.stop", "stop a sweep on a cluster; what is done is kept"),
        "resume": Command(
            "cluster.resume", "restart a sweep on a cluster and resume what is missing"
        ),
    },
    "Repair a sweep": {
        "retry": Command(
            "cells.retry", "let the next launch train cells again that failed or were cancelled"
        ),
        "cancel": Command(
            "cells.cancel", "exclude cells from training; a running cell stops at its next report"
        ),
        "rm": Command(
            "cells.rm", "remove what cells left: journals, weights, results and their MLflow runs"
        ),
        "sync": Command(
            "sync", "bring the MLflow store up to what the journals say, or rebuild it"
        ),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
SCRIPTS = {
    "sweeps/grid.py": Command(
        "grid",
        "Train a grid of sources x targets x sizes x seeds; run it again to resume with what "
        "is missing. Without options: the demo on controlled languages.",
    ),
    "sweeps/hparams.py": Command(
        "hparams",
        "Find learning rates, batch, warm-up, weight decay and, where there is one, the budget of "
        "each stage, by trials at a few sizes and a rule for the others; run it again to resume. "
        "The file it writes is for `sweeps/grid.py --hparams`.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `raydt`; the exit code: 0, 1 for a failed run, 2 for bad input."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help"):
        _overview().print_help(None if words else sys.stderr)
        return 0 if words else InputError.exit_code
    name = words[0]
    if name in ("-V", "--version", "version"):
        print(f"raydt {__version__}")
        return 0
    if name not in COMMANDS:
        return exit_code_of(lambda: _refuse(name))
    return _run(f"raydt {name}", COMMANDS[name], words[1:])


def script_main(script: str, arguments: Sequence[str] | None = None) -> int:
    """Run a script of `sweeps/`; the exit code as of `main`."""
    return _run(script, SCRIPTS[script], sys.argv[1:] if arguments is None else arguments)


def _run(prog: str, command: Command, words: Sequence[str]) -> int:
    module = cast(CommandModule, import_module(f"raydt.commands.{command.module}"))
    parser = module.make_parser(prog, command.about)

    def run() -> int:
        ensure_home()
        return module.run(parser.read(words))

    return exit_code_of(run)


def _overview() -> argparse.ArgumentParser:
    """A parser for its help alone: argparse can show commands in groups as positional arguments."""
    parser = argparse.ArgumentParser(
        "raydt",
        usage="%(prog)s COMMAND [OPTIONS]",
        description=sys.modules["raydt"].__doc__,
        epilog="`raydt COMMAND --help` shows the options of a command, `raydt --version` which "
        "raydt this is.",
        formatter_class=HelpFormatter,
        add_help=False,
    )
    for title, commands in GROUPS.items():
        group = parser.add_argument_group(title)
        for name, command in commands.items():
            group.add_argument(name, help=command.about)
    return parser


def _refuse(name: str) -> int:
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise bad("COMMAND", f"one of {', '.join(COMMANDS)}{hint}", repr(name))
