"""Do tests hold their level, and verdicts and intervals what they claim?

python -m analysis.simulate --trials 200 --languages 4 6 10 --seeds 2 3 --keep trials.csv
"""

from __future__ import annotations

import argparse
import csv
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

from analysis.simulate.characteristics import shares, trials
from analysis.simulate.study import BANDS, WORLDS, Kind

DECIMALS = 3
ROUND = 10  # trials of every world and design per round
ASKED = ["world", "asked", "kind"]
DESIGN = ["languages", "seeds"]


def main() -> None:
    """Print one table: one row per check of a world, one column per design."""
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
        help="a CSV of the results of every trial: those in it are not run again, so that a long "
        "study can be stopped and resumed",
    )
    parser.add_argument("--show", action="store_true", help="run nothing, print the kept results")
    options = parser.parse_args()
    found = run(options)
    print(markdown(found[found["trial"] < options.trials]))


def run(options: argparse.Namespace) -> pd.DataFrame:
    """Runs the trials that are not kept, in rounds over all worlds and designs; returns
    all trials."""
    names = [one.name for one in WORLDS if any(fnmatch(one.name, like) for like in options.worlds)]
    same = {"resamples": options.resamples, "random_seed": options.random_seed}
    found = pd.DataFrame(columns=[*ASKED, *DESIGN, "trial", "value", *same])
    if options.keep and options.keep.exists():
        found = pd.read_csv(options.keep)
        found = found[found["world"].isin(names) & found["languages"].isin(options.languages)]
        found = found[found["seeds"].isin(options.seeds)]
        found = found[(found[list(same)] == list(same.values())).all(axis=1)]
    designs = [(number, seeds) for number in options.languages for seeds in options.seeds]
    done = set(found[["world", *DESIGN, "trial"]].itertuples(index=False, name=None))
    parts = [found]
    for first in range(0, 0 if options.show else options.trials, ROUND):
        numbers = range(first, min(first + ROUND, options.trials))
        for number, seeds in designs:
            for name in names:
                left = [one for one in numbers if (name, number, seeds, one) not in done]
                if not left:
                    continue
                part = trials(
                    name,
                    num_languages=number,
                    num_seeds=seeds,
                    numbers=left,
                    num_resamples=options.resamples,
                    random_seed=options.random_seed,
                    num_processes=options.processes,
                ).assign(world=name, languages=number, seeds=seeds, **same)[found.columns]
                if options.keep:
                    new = not options.keep.exists()
                    part.to_csv(options.keep, mode="a", header=new, index=False)
                parts.append(part)
    return pd.concat([part for part in parts if len(part)])


def markdown(found: pd.DataFrame) -> str:
    """One row per check of a world, one column per design, and one for all designs."""
    names = {
        (number, seeds): f"{number}x{number}, {seeds}"
        for number, seeds in sorted(set(zip(found["languages"], found["seeds"], strict=True)))
    }
    columns = {}
    for design, name in names.items():
        mine = found[(found["languages"] == design[0]) & (found["seeds"] == design[1])]
        columns[name] = shares(mine, ASKED).set_index(ASKED)["share"]
    whole = shares(found, ASKED).set_index(ASKED)
    if len(names) > 1:
        columns["all"] = whole["share"]
    table = pd.DataFrame({**columns, "error": whole["error"], "grids": whole["trials"]})
    order = {one.name: place for place, one in enumerate(WORLDS)}
    table = table.loc[whole.index].sort_index(
        level="world", key=lambda level: level.map(order), sort_remaining=False, kind="stable"
    )
    table = table.reset_index()
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
