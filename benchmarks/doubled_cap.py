"""Does D_T depend on the cap and the tolerance? The same grid with twice the cap and half of it.

    python benchmarks/doubled_cap.py REPORT OTHER_REPORT

Both are folders that `raydt analyze` wrote; pairs and sizes that both have are compared. The D_T of
the other counts as the same if it lies within the interval of the first. If that interval is open,
everything beyond the ladder on that side is within. docs/protocols.md has the commands.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from benchmarks.protocols import amount, read, table, transferred
from raydt.units import approximate_bytes

KEYS = ["source", "target", "finetune_bytes"]


def is_within(row: pd.Series) -> bool:
    """Whether the other's D_E lies in the interval; False where there is no interval."""
    low, high = row["effective_low_bytes"], row["effective_high_bytes"]
    if not (np.isfinite(low) and np.isfinite(high)):
        return False
    other = row["effective_bytes_other"]
    above_low = other >= low or row["low_range"] == "below"
    below_high = other <= high or row["high_range"] == "above"
    return bool(above_low and below_high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs=2, metavar="REPORT")
    (_, cells, first), (_, other_cells, other) = (
        read(f"={folder}") for folder in parser.parse_args().reports
    )
    both = first.merge(other, on=KEYS, suffixes=("", "_other"), validate="one_to_one")
    both["within"] = [is_within(row) for _, row in both.iterrows()]
    table(
        ["pair", "D_F", "D_T", "D_T of the other", "within the interval"],
        [
            [
                f"{row['source']}→{row['target']}",
                approximate_bytes(row["finetune_bytes"]),
                transferred(row),
                amount(row["transferred_bytes_other"]),
                "yes" if row["within"] else "no",
            ]
            for _, row in both.sort_values(["target", "finetune_bytes", "source"]).iterrows()
        ],
    )
    print(f"{both['within'].sum()} of {len(both)} within the interval.\n")
    for stage in ("pretrain", "scratch", "finetune"):
        seen = [
            (frame["bytes_seen"] / frame["size_bytes"])[frame["stage"] == stage].median()
            for frame in (cells, other_cells)
        ]
        print(f"{stage}: {seen[0]:.0f} and {seen[1]:.0f} epochs (median)")


if __name__ == "__main__":
    main()
