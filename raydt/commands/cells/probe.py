"""`raydt probe`: score minimal pairs with the models of trained cells."""

from __future__ import annotations

import argparse
import shlex

from raydt.commands.cells.selection import add_selection
from raydt.commands.parser import CommandParser
from raydt.errors import InputError, Problem, with_problems


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument(
        "--pairs",
        action="append",
        default=[],
        metavar="LANGUAGE=FILE",
        help="file of minimal pairs, one option per language: a pair per line (good TAB bad), or "
        ".jsonl as in BLiMP and MultiBLiMP [controlled languages have their own]",
    )
    add_selection(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.grid.grids import every_cell
    from raydt.orchestration.cells import matching_cells
    from raydt.probes.cells import scorable_cells, score
    from raydt.probes.declared import declared_pairs, language_of
    from raydt.probes.pairs import digest
    from raydt.probes.score import overall
    from raydt.terminal.status import find_sweep
    from raydt.tracking.probed import log_probes
    from raydt.tracking.store import open_store

    sweep = find_sweep(parsed.storage, parsed.name)
    cells = matching_cells(sweep, parsed.patterns)
    problems: tuple[Problem, ...] = ()
    pairs = {}
    try:
        pairs = declared_pairs(parsed.pairs, sweep.corpus, cells)
    except InputError as error:
        problems = error.problems
    every = {cell.cell_id: cell for cell in every_cell(sweep)}
    scorable = with_problems(problems, lambda: scorable_cells(sweep, cells, every))
    client = open_store(sweep.store_uri)
    digests = {language: digest(mine) for language, mine in pairs.items()}
    for one in scorable:
        language = language_of(one.cell)
        found = score(one, pairs[language])
        right_of = {kind: (each.num_right, each.num_pairs) for kind, each in found.items()}
        log_probes(client, one.run_id, digests[language], right_of)
        whole = overall(found)
        kinds = [f"{kind} {each.share:.3f}" for kind, each in found.items() if kind]
        of_kinds = f"  ({', '.join(kinds)})" if len(kinds) > 1 else ""
        print(f"{whole.share:.3f} ± {whole.stderr:.3f}  {one.cell.cell_id}{of_kinds}", flush=True)
    counts = ", ".join(f"{len(mine)} of {language}" for language, mine in pairs.items())
    print(f"Accuracy on minimal pairs: {counts}")
    where = "" if parsed.storage == "runs" else f" --storage {shlex.quote(parsed.storage)}"
    print(f"Next:  raydt analyze {sweep.name}{where}")
    return 0
