"""`raydt run`: train the missing cells of a sweep."""

from __future__ import annotations

import argparse

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.commands.sweep_parser import SweepParser
from raydt.config.read import read_sweep
from raydt.config.sweep import Sweep
from raydt.errors import RunError, bad
from raydt.grid.refining import Refining


def make_parser(prog: str, about: str) -> CommandParser:
    parser = SweepParser(prog, about)
    recorded = parser.add_argument_group("Run a recorded sweep, without other options")
    recorded.add_argument(
        "--recorded",
        metavar="FOLDER",
        help="folder of a sweep, to run it as recorded in its sweep.json",
    )
    parser.add_sweep_options()
    return parser


def run(parsed: argparse.Namespace) -> int:
    if parsed.recorded is None:
        return train(read_sweep(parsed.typed))
    return train(_recorded(parsed.recorded, parsed.words))


def train(sweep: Sweep, refining: Refining | None = None) -> int:
    """Train the missing cells of a sweep, then those that refine it, and print the outcome."""
    from raydt.orchestration.launch import launch
    from raydt.terminal.outcome import show_outcome, show_ui
    from raydt.terminal.progress import Progress
    from raydt.terminal.refined import show_refined
    from raydt.tracking.schema import CELLS_VIEW

    outcome = launch(sweep, Progress(), refining)
    console = Console(highlight=False, soft_wrap=True)
    show_outcome(sweep, outcome.statuses, outcome.num_trained, outcome.not_recorded, console)
    if refining is not None and outcome.refined is not None:
        show_refined(refining, outcome.refined, console)
    if outcome.experiment_id is not None:
        show_ui(sweep.store_uri, outcome.experiment_id, console, CELLS_VIEW)
    if not outcome.whole:
        raise RunError("some cells are not done; `raydt status` shows which and why")
    return 0


def _recorded(folder: str, words: list[str]) -> Sweep:
    from raydt.grid.ledger import recorded_sweep

    given = {"--recorded", folder, f"--recorded={folder}"}
    others = [word for word in words if word not in given]
    if others:
        raise bad("--recorded", "no other options, as the record has them all", " ".join(others))
    storage, _, name = folder.rstrip("/").rpartition("/")
    return recorded_sweep(storage or ".", name)
