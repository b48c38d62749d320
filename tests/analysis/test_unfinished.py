"""Cells that would have learned more: D_T is bounded by it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.analyze import analyze
from analysis.effective import Resamples, effective_table
from analysis.ladder import cell_means
from analysis.report.terminal import print_findings, print_report
from analysis.uncertainty.noise import Noise, pooled_noise
from analysis.uncertainty.unfinished import beyond_noise, standard_errors
from analysis.wording import if_trained_on, unfinished_mark

LADDER = {8_000: 2.0, 32_000: 1.6, 128_000: 1.3}
ENDS = ["unfinished_low_bytes", "unfinished_high_bytes"]


@pytest.fixture
def answered(tidy_table: Any) -> Callable[..., pd.DataFrame]:
    """The effective table of cells, their noise taken for known."""

    def found(cells: Any, sd: float = 0.002, estimator: str = "guided") -> pd.DataFrame:
        means = cell_means(tidy_table(cells))
        none = Resamples(np.full((1, len(means)), np.nan), 0.9)
        noise = {name: Noise(name, sd, 20) for name in pooled_noise(means)}
        return effective_table(means, none, noise=noise, estimator=estimator)

    return found


@pytest.fixture
def small(make_cell: Any) -> Callable[..., list[Any]]:
    """A ladder and a finetune, each as unfinished as is said."""

    def made(ladder: float | None, tuned: float | None, lower: float = 0.0) -> list[Any]:
        scratch = [
            make_cell("scratch", None, "de", size, loss=loss * np.exp(-lower), unfinished=ladder)
            for size, loss in LADDER.items()
        ]
        return [*scratch, make_cell("finetune", "en", "de", 8_000, loss=1.7, unfinished=tuned)]

    return made


@pytest.mark.parametrize("estimator", ["loglog", "linear"])
def test_the_ends_are_what_d_t_would_be(answered: Any, small: Any, estimator: str) -> None:
    (row,) = answered(small(0.02, 0.01), estimator=estimator).to_dict("records")
    (as_it_is,) = answered(small(None, None), estimator=estimator).to_dict("records")
    (lower_ladder,) = answered(small(None, None, 0.02), estimator=estimator).to_dict("records")
    assert row["transferred_bytes"] == as_it_is["transferred_bytes"], "the estimate is left alone"
    assert row["unfinished"] == pytest.approx(0.01)
    assert row["unfinished_low_bytes"] == pytest.approx(lower_ladder["transferred_bytes"])
    assert (row["unfinished_low_range"], row["unfinished_high_range"]) == ("inside", "inside")
    assert row["unfinished_low_bytes"] < row["transferred_bytes"] < row["unfinished_high_bytes"]
    # To lower the finetune by u is to raise the ladder by u.
    (raised_ladder,) = answered(small(None, None, -0.01), estimator=estimator).to_dict("records")
    if estimator == "loglog":
        assert row["unfinished_high_bytes"] == pytest.approx(raised_ladder["transferred_bytes"])
    assert unfinished_mark(row) == "↕"
    assert " to " in if_trained_on(row)


@pytest.mark.parametrize(
    ("ladder", "tuned", "mark", "words"),
    [
        (None, None, "", ""),  # an older sweep, an imported table
        (0.0, 0.0, "", ""),
        (0.0019, 0.0019, "", ""),  # within the noise of one run, 0.002
        (0.02, 0.0, "↓", "down to "),
        (0.0, 0.02, "↑", "up to "),
    ],
)
def test_what_is_within_the_noise_is_not_spoken_of(
    ladder: float | None, tuned: float | None, mark: str, words: str, answered: Any, small: Any
) -> None:
    (row,) = answered(small(ladder, tuned)).to_dict("records")
    assert unfinished_mark(row) == mark
    assert if_trained_on(row).startswith(words)
    assert [not pd.isna(row[name]) for name in ENDS] == [mark in ("↓", "↕"), mark in ("↑", "↕")]


def test_rungs_that_the_answer_is_not_read_from_do_not_move_it(
    answered: Any, small: Any, change: Any
) -> None:
    cells = [
        change(cell, unfinished=0.05 if cell.size_bytes == 128_000 else 0.0)
        for cell in small(0.0, 0.0)
    ]
    (row,) = answered(cells).to_dict("records")
    assert row["range"] == "inside"
    assert unfinished_mark(row) == ""


def test_ends_off_the_ladder_are_bounds(answered: Any, small: Any, change: Any) -> None:
    under_the_top = [
        change(cell, loss=1.31) if cell.stage == "finetune" else cell for cell in small(0.02, 0.02)
    ]
    (row,) = answered(under_the_top).to_dict("records")
    assert row["unfinished_high_range"] == "above"
    assert row["unfinished_high_bytes"] == 128_000 - 8_000
    assert if_trained_on(row).endswith(">120k")
    # A bound may come down to a value, and has nowhere to go up to.
    off = [
        change(cell, loss=1.29) if cell.stage == "finetune" else cell for cell in small(0.02, 0.02)
    ]
    (row,) = answered(off).to_dict("records")
    assert (row["range"], row["unfinished_low_range"]) == ("above", "inside")
    assert pd.isna(row["unfinished_high_bytes"])


def test_the_authors_estimator_has_no_bounds(answered: Any, small: Any) -> None:
    (row,) = answered(small(0.02, 0.02), estimator="reference").to_dict("records")
    assert unfinished_mark(row) == ""


def test_the_noise_is_that_of_the_mean_and_one_seed_has_a_stated_one(
    tidy_table: Any, make_cell: Any
) -> None:
    cells = [make_cell("scratch", None, "de", 8_000, seed, unfinished=0.002) for seed in range(4)]
    cells.append(make_cell("finetune", "en", "de", 8_000, unfinished=0.0049))
    cells.append(make_cell("finetune", "fi", "de", 8_000, unfinished=0.0051))
    means = cell_means(tidy_table(cells))
    noise = {
        "scratch": Noise("scratch", 0.003, 3),
        "finetune": Noise("finetune", float("nan"), 0),
    }
    by_source = means.set_index("source", drop=False)["source"].fillna("scratch").tolist()
    errors = dict(zip(by_source, standard_errors(means, noise), strict=True))
    assert errors == pytest.approx({"scratch": 0.0015, "en": 0.005, "fi": 0.005})
    beyond = dict(zip(by_source, beyond_noise(means, noise), strict=True))
    assert beyond == pytest.approx({"scratch": 0.002, "en": 0.0, "fi": 0.0051})


def test_report_terminal_and_note_show_it_where_it_is_and_only_there(
    store: Any, make_planted: Any, change: Any, tmp_path: Path
) -> None:
    def shown(name: str, unfinished: float | None) -> tuple[str, str, pd.DataFrame, str]:
        cells = [
            change(c, unfinished=unfinished if c.stage == "scratch" else 0.0)
            for c in make_planted(targets=("de",)).cells()
        ]
        store.write(name, cells)
        result = analyze(store.uri, name, tmp_path / name)
        stream = io.StringIO()
        console = Console(file=stream, width=80)
        print_findings(result, console)
        print_report(result, console)
        note = store.client.get_run(result.launch_run_id).data.tags["mlflow.note.content"]
        return stream.getvalue(), result.report_path.read_text(), result.effective, note

    text, page, table, note = shown("unfinished", 0.03)
    assert "] ↓" in text
    assert "↓, ↑: D_T may be lower" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert "after a doubling</th>" in page
    assert "down to " in page
    assert "would improve by more than the noise" in page
    assert "↓, ↑: D_T may be lower" in note
    inside = table[table["range"] == "inside"]
    assert (inside["unfinished_low_bytes"] < inside["transferred_bytes"]).all()
    assert table["unfinished_high_bytes"].isna().all()
    text, page, _, note = shown("finished", 0.0001)
    for part in (text, page, note):
        assert "↓" not in part
        assert "after a doubling</th>" not in part
    assert "Seeds: sd of log loss scratch 0." in text
    assert "sd of log loss 0." in page


@pytest.mark.parametrize("estimator", ["loglog", "linear"])
def test_another_doubling_of_both_lies_between_the_ends(
    answered: Any, make_cell: Any, change: Any, estimator: str
) -> None:
    random = np.random.default_rng(8)
    order = {"below": -1, "inside": 0, "above": 1}
    for _ in range(30):
        cells = [
            make_cell(
                "scratch",
                None,
                "de",
                size,
                unfinished=random.uniform(0, 0.05),
                loss=5 * size**-0.1 * np.exp(0.02 * random.standard_normal()),
            )
            for size in (4_000, 8_000, 16_000, 32_000)
        ] + [
            make_cell(
                "finetune",
                "en",
                "de",
                6_000,
                unfinished=random.uniform(0, 0.05),
                loss=5 * 10_000**-0.1 * np.exp(0.05 * random.standard_normal()),
            )
        ]
        # Without noise every amount enters.
        (row,) = answered(cells, sd=0.0, estimator=estimator).to_dict("records")
        on = [change(c, loss=c.loss * np.exp(-c.unfinished), unfinished=None) for c in cells]
        (both,) = answered(on, sd=0.0, estimator=estimator).to_dict("records")
        now = (order[row["range"]], row["transferred_bytes"])
        low, high = (
            now
            if pd.isna(row[f"unfinished_{end}_bytes"])
            else (order[row[f"unfinished_{end}_range"]], row[f"unfinished_{end}_bytes"])
            for end in ("low", "high")
        )
        assert low <= now <= high
        assert low <= (order[both["range"]], both["transferred_bytes"]) <= high
