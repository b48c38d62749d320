"""Mean D_T of groups of sources, for docs/study.md: within a script, across scripts, and controls.

    python sweeps/study/groups.py runs/study/report

Each target has the mean of its sources in a group, and a row of the table is the mean over targets
with Student's 90 % interval of their scatter. Bounds enter at their value, and are counted.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pandas as pd
from scipy.special import stdtrit

from analysis.wording import signed_bytes
from raydt.tracking.schema import Stage

SCRIPTS = dict.fromkeys(("de", "en", "es", "fi", "pt"), "Latin") | {
    "ar": "Arabic", "ja": "Japanese", "ko": "Hangul", "ru": "Cyrillic", "zh": "Han",
}  # fmt: skip
CONFIDENCE = 0.9


def group_of(source: str, target: str) -> str:
    """Only Latin is the script of several of the ten languages."""
    if source not in SCRIPTS:
        return source
    if SCRIPTS[source] == SCRIPTS[target]:
        return "the same script"
    return f"another script, into {'Latin' if SCRIPTS[target] == 'Latin' else 'others'}"


def groups(effective: pd.DataFrame) -> pd.DataFrame:
    """One row per D_F and group, from the rows of `effective.csv`."""
    rows = effective[effective["stage"] == Stage.FINETUNE].copy()
    pairs = zip(rows["source"], rows["target"], strict=True)
    rows["group"] = [group_of(source, target) for source, target in pairs]
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
    table = parser.parse_args().report / "effective.csv"
    if not table.exists():
        parser.error(f"report: expected a folder that `raydt analyze` wrote, got no {table}")
    found = groups(pd.read_csv(table))
    print("| D_F | sources | pairs | D_T, mean over targets | bounds |\n|---|---|---|---|---|")
    for row in found.to_dict("records"):
        mean, low, high = (signed_bytes(row[name]) for name in ("mean", "low", "high"))
        said = f"{mean} [{low}, {high}]"
        print(f"| {row['size']} | {row['group']} | {row['pairs']} | {said} | {row['bounds']} |")


if __name__ == "__main__":
    main()
