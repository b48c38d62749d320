"""Do tests hold their level, verdicts what they say, and intervals the truth?

python -m analysis.simulate --trials 200 --languages 4 6 10 --seeds 2 3
"""

from __future__ import annotations

import argparse
import csv
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

from analysis.simulate.study import BANDS, WORLDS, Kind, operating_characteristics

DECIMALS = 3
PIECE = ["world", "languages", "seeds", "trials_asked", "resamples", "random_seed"]


def main() -> None:
    """Print one table: a row for what is asked of a world, a column for each design."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--languages", type=int, nargs="+", default=[6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--worlds", nargs="+", default=["*"], help="names or patterns of worlds")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument(
        "--keep",
        type=Path,
        help="a CSV that every world and design is added to as it is done; those in it are not run "
        "again",
    )
    options = parser.parse_args()
    names = [one.name for one in WORLDS if any(fnmatch(one.name, like) for like in options.worlds)]
    kept = pd.DataFrame(columns=PIECE)
    if options.keep and options.keep.exists():
        kept = pd.read_csv(options.keep)
    parts = []
    for number in options.languages:
        for seeds in options.seeds:
            for name in names:
                piece = (
                    name,
                    number,
                    seeds,
                    options.trials,
                    options.resamples,
                    options.random_seed,
                )
                found = kept[(kept[PIECE] == list(piece)).all(axis=1)]
                if found.empty:
                    found = operating_characteristics(
                        worlds=[name],
                        num_languages=number,
                        num_seeds=seeds,
                        num_trials=options.trials,
                        num_resamples=options.resamples,
                        random_seed=options.random_seed,
                        num_processes=options.processes,
                    ).assign(**dict(zip(PIECE, piece, strict=True)))
                    if options.keep:
                        new = not options.keep.exists()
                        found.to_csv(options.keep, mode="a", header=new, index=False)
                parts.append(found.assign(design=f"{number}x{number}, {seeds}"))
    print(markdown(pd.concat(parts)))


def markdown(found: pd.DataFrame) -> str:
    """A row for what is asked of a world, a column for each design."""
    designs = list(dict.fromkeys(found["design"]))
    keys = ["world", "asked", "kind"]
    columns = {
        design: found[found["design"] == design].set_index(keys)["share"] for design in designs
    }
    table = pd.DataFrame(columns)
    table = table.loc[pd.MultiIndex.from_frame(found[keys].drop_duplicates())].reset_index()
    table.insert(3, "band", [_band(kind) for kind in table["kind"]])
    shown = table.to_csv(
        sep="|", index=False, float_format=f"%.{DECIMALS}f", na_rep="", quoting=csv.QUOTE_NONE
    )
    header, *rows = shown.splitlines()
    lines = [f"| {header.replace('|', ' | ')} |", "|" + "---|" * len(table.columns)]
    return "\n".join([*lines, *(f"| {row.replace('|', ' | ')} |" for row in rows)])


def _band(kind: str) -> str:
    if Kind(kind) not in BANDS:
        return ""
    low, high = BANDS[Kind(kind)]
    return f"{low:.0%}-{high:.0%}"


if __name__ == "__main__":
    main()
