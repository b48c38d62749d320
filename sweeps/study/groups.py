"""Mean D_T of groups of sources, for docs/study.md: within a script, across scripts, and controls.

    python sweeps/study/groups.py runs/study/report

Each target has the mean of its sources in a group, and a row of the table is the mean over targets
with Student's 90 % interval of their scatter. Two languages share a script if half of their letters
are of both, by the report's table of pairs. Bounds enter at their value, and are counted.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pandas as pd
from scipy.special import stdtrit

from analysis.claims.joint import ONE_SCRIPT
from analysis.claims.specific import CONTENTLESS
from analysis.wording import signed_bytes
from raydt.tracking.schema import Stage

PAIRS = "claim_similarity_2.csv"  # one row per pair, with all predictors
SCRIPT = "script (letters not in common)"
CONFIDENCE = 0.9


def groups(effective: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per D_F and group, from the rows of `effective.csv` and of `PAIRS`."""
    spoken = pairs[~pairs["source"].isin(CONTENTLESS)]
    same = spoken[spoken[SCRIPT] <= 1 - ONE_SCRIPT]
    alike, company = set(zip(same["source"], same["target"], strict=True)), set(same["target"])

    def group_of(source: str, target: str) -> str:
        if source in CONTENTLESS:
            return source
        if (source, target) in alike:
            return "the same script"
        return f"another script, into a {'shared' if target in company else 'unique'} one"

    rows = effective[effective["stage"] == Stage.FINETUNE].copy()
    rows["group"] = list(map(group_of, rows["source"], rows["target"]))
    rows["bound"] = rows["range"] != "inside"
    keys = ["finetune_bytes", "size", "group"]
    means = rows.groupby([*keys, "target"])["transferred_bytes"].mean().groupby(keys)
    table = means.agg(["mean", "std", "count"]).join(
        rows.groupby(keys).agg(pairs=("bound", "size"), bounds=("bound", "sum"))
    )
    reach = [
        float(stdtrit(number - 1, (1 + CONFIDENCE) / 2)) * std / math.sqrt(number)
        for number, std in zip(table["count"], table["std"], strict=True)
    ]
    return table.assign(low=table["mean"] - reach, high=table["mean"] + reach).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="folder that `raydt analyze` wrote")
    tables = [parser.parse_args().report / name for name in ("effective.csv", PAIRS)]
    for table in tables:
        if not table.exists():
            parser.error(f"report: expected a folder that `raydt analyze` wrote, got no {table}")
    found = groups(*map(pd.read_csv, tables))
    print("| D_F | sources | pairs | D_T, mean over targets | bounds |\n|---|---|---|---|---|")
    for row in found.to_dict("records"):
        mean, low, high = (signed_bytes(row[name]) for name in ("mean", "low", "high"))
        said = f"{mean} [{low}, {high}]"
        print(f"| {row['size']} | {row['group']} | {row['pairs']} | {said} | {row['bounds']} |")


if __name__ == "__main__":
    main()
