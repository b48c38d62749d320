"""`raydt probe`: minimal pairs, by weights that are there."""

from __future__ import annotations

import argparse
from pathlib import Path

from raydt.commands.cells.selection import add_selection
from raydt.commands.parser import CommandParser
from raydt.errors import bad


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument(
        "--pairs",
        required=True,
        metavar="FILE",
        help="good TAB bad, a pair a line; or .jsonl, as of BLiMP and MultiBLiMP",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="new CSV of error rates, from which `raydt import` makes D_E"
    )
    add_selection(parser)
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.grid.grids import every_cell
    from raydt.orchestration.cells import matching_cells
    from raydt.probes.cells import probe_cells, write_table
    from raydt.probes.pairs import read_pairs
    from raydt.terminal.status import find_sweep

    pairs = read_pairs(Path(parsed.pairs).expanduser())
    sweep = find_sweep(parsed.storage, parsed.name)
    cells = matching_cells(sweep, parsed.patterns)
    out = None if parsed.out is None else Path(parsed.out).expanduser()
    if out is not None and out.exists():
        raise bad(f"--out {out}", "a new file", "one that is there")
    if out is not None and not out.parent.is_dir():
        raise bad(f"--out {out}", "a new file in a folder that is there", f"no folder {out.parent}")
    every = {cell.cell_id: cell for cell in every_cell(sweep)}
    rows = []
    for cell, measured in probe_cells(sweep, cells, every, pairs):
        print(f"{measured.share:.3f} ± {measured.stderr:.3f}  {cell.cell_id}", flush=True)
        rows.append((cell, measured))
    print(f"right of {len(pairs)} pairs")
    if out is not None:
        write_table(out, rows)
    return 0
