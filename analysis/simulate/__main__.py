"""Do tests hold their level, verdicts what they say, and intervals the truth?

python -m analysis.simulate --trials 200 --languages 4 6 10 --seeds 2 3
"""

from __future__ import annotations

import argparse
import csv
from fnmatch import fnmatch

import pandas as pd

from analysis.simulate.study import BANDS, WORLDS, Kind, operating_characteristics

DECIMALS = 3


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
    options = parser.parse_args()
    names = [one.name for one in WORLDS if any(fnmatch(one.name, like) for like in options.worlds)]
    columns = {}
    for number in options.languages:
        for seeds in options.seeds:
            found = operating_characteristics(
                worlds=names,
                num_languages=number,
                num_seeds=seeds,
                num_trials=options.trials,
                num_resamples=options.resamples,
                random_seed=options.random_seed,
                num_processes=options.processes,
            )
            columns[f"{number}x{number}, {seeds}"] = found.set_index(["world", "asked", "kind"])[
                "share"
            ]
    table = pd.DataFrame(columns).reset_index()
    table.insert(3, "band", [_band(kind) for kind in table["kind"]])
    shown = table.to_csv(
        sep="|", index=False, float_format=f"%.{DECIMALS}f", na_rep="", quoting=csv.QUOTE_NONE
    )
    header, *rows = shown.splitlines()
    print(f"| {header.replace('|', ' | ')} |")
    print("|" + "---|" * len(table.columns))
    for row in rows:
        print(f"| {row.replace('|', ' | ')} |")


def _band(kind: str) -> str:
    if Kind(kind) not in BANDS:
        return ""
    low, high = BANDS[Kind(kind)]
    return f"{low:.0%}-{high:.0%}"


if __name__ == "__main__":
    main()
