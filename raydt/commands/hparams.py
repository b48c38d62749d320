"""`raydt hparams` and `sweeps/hparams.py`: the search for hyperparameters."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.commands.sweep_parser import SweepParser
from raydt.config.protocol import RECIPES
from raydt.config.read import read_sweep
from raydt.errors import InputError, Problem, with_problems
from raydt.tracking.schema import Stage
from raydt.tracking.uri import without_password
from raydt.units import Size, parse_bytes, parse_size

_TRIALS = 16


def make_parser(prog: str, about: str) -> CommandParser:
    parser = SweepParser(prog, about)
    search = parser.add_argument_group("What to search for")
    search.add_argument(
        "--dry-run", action="store_true", help="show the trials and their cost, start nothing"
    )
    search.add_argument(
        "--stages",
        nargs="+",
        default=list(RECIPES),
        metavar="STAGE",
        help=f"stages to search for [{' '.join(RECIPES)}]",
    )
    search.add_argument(
        "--at",
        nargs="+",
        metavar="SIZE",
        help="sizes to search at; the rule covers the others [the smallest, middle and largest]",
    )
    search.add_argument(
        "--trials", default=str(_TRIALS), metavar="N", help=f"trials per stage and size [{_TRIALS}]"
    )
    search.add_argument(
        "--budget",
        metavar="BYTES",
        help="bytes trained on at most, by all trials together [what all runs may take]",
    )
    search.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write [STORAGE/SWEEP/hparams.toml]"
    )
    parser.add_sweep_options()
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.orchestration.launch_search import check_search, launch_search
    from raydt.terminal.search_outcome import show_found
    from raydt.terminal.search_plan import show_search_plan
    from raydt.terminal.search_progress import SearchProgress
    from raydt.tuning.plan import SearchPlan

    problems: list[Problem] = []
    stages = _stages(parsed.stages, problems)
    at = [_size(word, problems) for word in parsed.at or ()]
    num_trials = _whole("--trials", parsed.trials, problems)
    budget = None
    if parsed.budget is not None:
        try:
            budget = parse_bytes(parsed.budget)
        except InputError as error:
            problems += [Problem("--budget", p.requirement, p.found) for p in error.problems]
    sweep = with_problems(problems, lambda: read_sweep(parsed.typed))
    chosen = tuple(sorted({size for size in at if size is not None}))
    plan = SearchPlan(sweep, stages, chosen, num_trials, budget)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a file or a pipe has no width, and the tables are wider than 80
    corpus = check_search(plan, parsed.out)
    show_search_plan(plan, console)
    if parsed.dry_run:
        return 0
    found = launch_search(plan, corpus, parsed.out, _command(parsed.words), SearchProgress())
    show_found(plan, found.stages, found.bytes_trained, found.file, found.not_recorded, console)
    return 0


def _command(words: Sequence[str]) -> str:
    """As it is written down: a store's address may hold a password."""
    shown = [without_password(word) if "://" in word else word for word in words]
    return shlex.join(["raydt", "hparams", *shown])


def _stages(words: Sequence[str], problems: list[Problem]) -> tuple[Stage, ...]:
    from raydt.tuning.plan import STAGES

    known = {str(stage) for stage in STAGES}
    problems += [
        Problem("--stages", "of pretrain, scratch and finetune", word)
        for word in words
        if word not in known
    ]
    return tuple(stage for stage in STAGES if stage in words)


def _size(word: str, problems: list[Problem]) -> Size | None:
    try:
        return parse_size(word)
    except InputError as error:
        problems += [Problem("--at", p.requirement, p.found) for p in error.problems]
        return None


def _whole(option: str, word: str, problems: list[Problem]) -> int:
    if word.isdecimal():
        return int(word)
    problems.append(Problem(option, "a whole number", repr(word)))
    return 0
