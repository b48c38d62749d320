"""The `raydt` command and the scripts in `sweeps/`: which module implements which command.

A module is imported when its command is used, and heavy libraries when they are needed: `--help`,
`plan` and `status` import neither torch nor ray.
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
    """A command: its `module` below `raydt.commands`, and its description in `--help`."""

    module: str
    about: str


class CommandModule(Protocol):
    """The interface of a command's module."""

    def make_parser(self, prog: str, about: str) -> CommandParser:
        """Return the parser of its options."""

    def run(self, parsed: argparse.Namespace) -> int:
        """Run the command and return its exit code. Raises `InputError` or `RunError`."""


# In the order in which people need them.
GROUPS = {
    "Train a grid of sources x targets x sizes x seeds": {
        "plan": Command("plan", "show the cells of a sweep and their cost, without starting any"),
        "run": Command("run", "train the missing cells of a sweep, as sweeps/grid.py does"),
        "hparams": Command(
            "hparams", "tune hyperparameters for a corpus, as sweeps/hparams.py does"
        ),
        "refine": Command("refine", "add seeds to a sweep where they narrow its intervals most"),
        "status": Command("status", "show which cells of a sweep are done"),
    },
    "Measure transfer": {
        "analyze": Command(
            "analyze", "compute D_E and D_T from an MLflow store and write the report"
        ),
        "import": Command(
            "import_losses", "import a table of losses into an MLflow store, for `analyze`"
        ),
    },
    "Evaluate models": {
        "probe": Command("cells.probe", "score minimal pairs with the models of trained cells"),
    },
    "Prepare text": {
        "prepare": Command("prepare", "prepare languages of a corpus; run it again to resume"),
        "corpora": Command("corpora", "show the prepared languages, or preview a corpus"),
    },
    "Publish models": {
        "export": Command(
            "cells.export", "export cells as models for `transformers`, with a model card"
        ),
        "push": Command("cells.push", "upload an exported model to the Hugging Face Hub"),
    },
    "Work on a cluster": {
        "submit": Command(
            "cluster.submit", "start a sweep on a running Ray cluster: submit sweeps/grid.py -- ..."
        ),
        "jobs": Command("cluster.jobs", "show the running and finished sweeps of a cluster"),
        "logs": Command("cluster.logs", "show the output of a sweep on a cluster"),
        "stop": Command("cluster.stop", "stop a sweep on a cluster; finished cells are kept"),
        "resume": Command(
            "cluster.resume", "restart a sweep on a cluster; it trains what is missing"
        ),
    },
    "Repair a sweep": {
        "retry": Command(
            "cells.retry", "let the next launch retrain cells that failed or were cancelled"
        ),
        "cancel": Command(
            "cells.cancel", "exclude cells from training; a running cell stops at its next report"
        ),
        "rm": Command("cells.rm", "delete the journals, weights, results and MLflow runs of cells"),
        "sync": Command("sync", "update the MLflow store from the journals, or rebuild it"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
SCRIPTS = {
    "sweeps/grid.py": Command(
        "grid",
        "Train a grid of sources x targets x sizes x seeds; run it again to train what is "
        "missing. Without options it runs the demo on controlled languages.",
    ),
    "sweeps/hparams.py": Command(
        "hparams",
        "Tune learning rates, batch size, warm-up, weight decay and, if it has one, the budget of "
        "each stage: trials at a few sizes, and a rule for the other sizes. Run it again to "
        "resume. It writes a file for `sweeps/grid.py --hparams`.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `raydt` and return its exit code: 0, 1 for a failed run, 2 for bad input."""
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
    """Run a script of `sweeps/` and return its exit code, as `main` does."""
    return _run(script, SCRIPTS[script], sys.argv[1:] if arguments is None else arguments)


def _run(prog: str, command: Command, words: Sequence[str]) -> int:
    module = cast(CommandModule, import_module(f"raydt.commands.{command.module}"))
    parser = module.make_parser(prog, command.about)

    def run() -> int:
        ensure_home()
        return module.run(parser.read(words))

    return exit_code_of(run)


def _overview() -> argparse.ArgumentParser:
    """A parser used only for its help: argparse can group positional arguments, not subcommands."""
    parser = argparse.ArgumentParser(
        "raydt",
        usage="%(prog)s COMMAND [OPTIONS]",
        description=str(sys.modules["raydt"].__doc__).partition("\n\n")[0],
        epilog="`raydt COMMAND --help` shows the options of a command, `raydt --version` the "
        "version.",
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
