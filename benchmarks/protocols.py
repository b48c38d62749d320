"""The effect of a protocol on D_T: the same grid of languages under several protocols.

    python benchmarks/protocols.py NAME=REPORT ... [--figure FILE.svg]

NAME is the protocol's name in the tables, REPORT the folder that `raydt analyze` wrote. Prints
Markdown: the scratch ladders (bits per byte, mean over seeds), D_T of every pair with its interval,
and the finetunes of one protocol read off the ladder of another. A finetuned
loss is worth as many bytes as the scratch baseline needs, so a weak baseline alone makes D_T large.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.estimators.answer import Range
from analysis.estimators.interpolated import loglog
from analysis.ladder import Ladder, cell_means, ladders
from analysis.report.figures import SOURCE_COLOURS, SOURCE_MARKERS, STYLE
from raydt.tracking.schema import Stage
from raydt.units import approximate_bytes

NATS_TO_BITS = 1 / math.log(2)
Ladders = dict[str, dict[str, Ladder]]  # by protocol, by target


def read(argument: str) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    name, _, folder = argument.partition("=")
    cells = pd.read_csv(Path(folder) / "cells.csv")
    effective = pd.read_csv(Path(folder) / "effective.csv")
    return name, cells, effective[effective["stage"] == Stage.FINETUNE]


def amount(num_bytes: float) -> str:
    sign = "−" if num_bytes < 0 else "+"
    return sign + approximate_bytes(abs(round(num_bytes)))


def transferred(row: pd.Series) -> str:
    text = amount(row["transferred_bytes"])
    if row["range"] != "inside":
        return f"{'<' if row['range'] == 'below' else '>'} {text}"
    if np.isfinite(row["transferred_low_bytes"]):
        ends = []
        for end in ("low", "high"):
            value = amount(row[f"transferred_{end}_bytes"])
            place = row[f"{end}_range"]
            ends.append({"below": "<", "above": ">"}.get(place, "") + value)
        text += f" [{', '.join(ends)}]"
    return text


def table(heads: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def show_training(cells: dict[str, pd.DataFrame]) -> None:
    print(
        "Scratch cells, medians by size: bytes seen over bytes of data, and how many of "
        "the cells took their best checkpoint from the last evaluation.\n"
    )
    rows = []
    sizes: list[int] = sorted(
        {
            int(size)
            for frame in cells.values()
            for size in frame.loc[frame["stage"] == Stage.SCRATCH, "size_bytes"]
        }
    )
    for size in sizes:
        row = [approximate_bytes(size)]
        for frame in cells.values():
            mine = frame[(frame["stage"] == Stage.SCRATCH) & (frame["size_bytes"] == size)]
            epochs = (mine["bytes_seen"] / mine["size_bytes"]).median()
            last = (mine["best_bytes_seen"] == mine["bytes_seen"]).sum()
            row.append(f"{epochs:.1f} epochs, {last} of {len(mine)} at the end")
        rows.append(row)
    table(["size", *cells], rows)


def show_ladders(by_protocol: Ladders) -> None:
    print("Scratch ladders, bits per byte of the test split.\n")
    rows = []
    for target in next(iter(by_protocol.values())):
        for rung, size in enumerate(next(iter(by_protocol.values()))[target].num_bytes):
            losses = [
                math.exp(found[target].log_loss[rung]) * NATS_TO_BITS
                for found in by_protocol.values()
            ]
            rows.append([target, approximate_bytes(int(size)), *(f"{loss:.3f}" for loss in losses)])
    table(["target", "size", *by_protocol], rows)


def show_transfer(effective: dict[str, pd.DataFrame]) -> None:
    print("D_T, with 90 % intervals over seeds.\n")
    keys = ["source", "target", "finetune_bytes"]
    first = next(iter(effective.values())).sort_values(["target", "finetune_bytes", "source"])
    rows = []
    for key in first[keys].itertuples(index=False, name=None):
        texts = []
        for frame in effective.values():
            (mine,) = (row for _, row in frame.iterrows() if tuple(row[keys]) == key)
            texts.append(transferred(mine))
        rows.append([f"{key[0]}→{key[1]}", approximate_bytes(key[2]), *texts])
    table(["pair", "D_F", *effective], rows)


def mean_ratio(frame: pd.DataFrame, size: int, found: dict[str, Ladder]) -> str:
    """Geometric mean of D_E / D_F over pairs, as text; a bound if one of them is a bound."""
    ratios, bounds = [], set()
    for row in frame[frame["finetune_bytes"] == size].to_dict("records"):
        answer = loglog(found[row["target"]], np.log(np.array([row["loss"]])), float(size))
        ratios.append(math.log(answer.effective_bytes[0] / size))
        if answer.range[0] != Range.INSIDE:
            bounds.add(int(answer.range[0]))
    sign = {(): "", (-1,): "< ", (1,): "> "}.get(tuple(sorted(bounds)), "about ")
    return f"{sign}{math.exp(float(np.mean(ratios))):.2f}"


def show_exchange(effective: dict[str, pd.DataFrame], by_protocol: Ladders) -> None:
    print(
        "D_E / D_F, the geometric mean over pairs: the finetunes of a protocol (rows) on the "
        "scratch ladders of each (columns).\n"
    )
    sizes = sorted(next(iter(effective.values()))["finetune_bytes"].unique())
    rows = [
        [
            name,
            approximate_bytes(int(size)),
            *(mean_ratio(frame, int(size), found) for found in by_protocol.values()),
        ]
        for size in sizes
        for name, frame in effective.items()
    ]
    table(["finetunes of", "D_F", *(f"ladder of {name}" for name in by_protocol)], rows)


def few_digits(value: float, _: object) -> str:
    """Labels of a logarithmic axis that do not overlap."""
    text = f"{value:g}"
    return text if text.strip("0.") in ("2", "3", "5") else ""


def draw(path: Path, effective: dict[str, pd.DataFrame], by_protocol: Ladders) -> None:
    targets = list(next(iter(by_protocol.values())))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.1 * len(targets), 5.6), layout="constrained")
        axes = figure.subplots(2, len(targets), sharex=True, squeeze=False)
        for column, target in enumerate(targets):
            above, below = axes[0][column], axes[1][column]
            for place, (name, found) in enumerate(by_protocol.items()):
                colour, marker = SOURCE_COLOURS[place], SOURCE_MARKERS[place]
                ladder = found[target]
                above.plot(
                    ladder.num_bytes,
                    np.exp(ladder.log_loss) * NATS_TO_BITS,
                    color=colour,
                    marker=marker,
                    label=name,
                )
                frame = effective[name]
                mine = frame[frame["target"] == target]
                shift = 1.12 ** (place - (len(by_protocol) - 1) / 2)
                below.plot(
                    mine["finetune_bytes"] * shift,
                    mine["effective_bytes"] / mine["finetune_bytes"],
                    color=colour,
                    marker=marker,
                    ls="",
                    alpha=0.85,
                )
            above.set_title(f"into {target}", fontsize=10)
            below.axhline(1, color=mpl.rcParams["axes.edgecolor"], lw=0.8, ls=":")
            below.set_xlabel("bytes of the target")
            for one in (above, below):
                one.set_xscale("log")
                one.set_yscale("log")
                one.xaxis.set_major_formatter(
                    FuncFormatter(lambda value, _: approximate_bytes(value))
                )
                one.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                one.xaxis.set_minor_locator(NullLocator())
                one.yaxis.set_minor_formatter(FuncFormatter(few_digits))
        axes[0][0].set_ylabel("scratch, bits per byte")
        axes[1][0].set_ylabel("D_E / D_F, each source")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
        figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="+", metavar="NAME=REPORT")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    reports = [read(argument) for argument in arguments.reports]
    cells = {name: frame for name, frame, _ in reports}
    effective = {name: frame for name, _, frame in reports}
    by_protocol: Ladders = {
        name: {target: ladder for (_, target), ladder in ladders(cell_means(frame)).items()}
        for name, frame in cells.items()
    }
    show_training(cells)
    show_ladders(by_protocol)
    show_transfer(effective)
    show_exchange(effective, by_protocol)
    if arguments.figure is not None:
        draw(arguments.figure, effective, by_protocol)


if __name__ == "__main__":
    main()
