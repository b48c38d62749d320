"""README's second picture: a sweep's map of D_T, source by target, at one size of D_F.

    python docs/pictures/map.py runs/study/report --size 8k --order en de es pt fi ru ar ja ko zh

The folder is one that `raydt analyze` wrote. Languages that `--order` does not name come last.
Writes map-light.svg and map-dark.svg beside this script.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from transfer import HERE, INKS, save

from analysis.completion.completed import PREDICTED_COLUMNS
from analysis.report.inline_svg import INK
from analysis.report.maps import transfer_heatmap
from raydt.tracking.schema import Stage
from raydt.units import parse_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="folder that `raydt analyze` wrote")
    parser.add_argument("--size", required=True, help="D_F")
    parser.add_argument("--order", nargs="+", default=[], help="of the languages")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the pictures")
    given = parser.parse_args()
    table = given.report / "effective.csv"
    if not table.exists():
        parser.error(f"report: expected a folder that `raydt analyze` wrote, got no {table}")
    effective = pd.read_csv(table)
    rows = effective[
        (effective["stage"] == Stage.FINETUNE)
        & (effective["finetune_bytes"] == parse_bytes(given.size))
    ]
    if rows.empty or rows["model"].nunique() > 1:
        parser.error(f"expected finetunes of one model on {given.size} in {given.report}")
    figure = transfer_heatmap(rows, pd.DataFrame(columns=list(PREDICTED_COLUMNS)), given.order)
    for theme, (ink, *_) in INKS.items():
        path = given.into / f"map-{theme}.svg"
        save(figure, path)
        path.write_text(path.read_text().replace(INK, ink))


if __name__ == "__main__":
    main()
