"""What a source forgets, from runs to the table, the terminal and the page."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.analyze import analyze
from analysis.forgetting import FORGETTING_COLUMNS, forgetting
from analysis.report.forgetting_table import (
    forgetting_table,
    print_forgetting,
    rise_with_interval,
)
from raydt.losses.table import read_losses


@pytest.fixture
def cells(make_cell: Any) -> list[Any]:
    """Before: 1 and 1.1 nats. By 8k of `de` 10 % and 20 % of it are lost, by 32k 30 % and 44 %."""

    def one(source: str, size: int, seed: int, before: float, factor: float) -> Any:
        after = before * factor
        return make_cell(
            "finetune", source, "de", size, seed, source_loss=after, source_loss_rise=after - before
        )

    return [
        one("en", 8_000, 0, 1.0, 1.1),
        one("en", 8_000, 1, 1.1, 1.2),
        one("en", 32_000, 0, 1.0, 1.3),
        one("en", 32_000, 1, 1.1, 1.44),
        one("zh", 8_000, 0, 1.0, 3.0),
        make_cell("finetune", "ru", "de", 8_000),
        make_cell("finetune", "ru", "de", 8_000, 1, status="failed"),
        make_cell("scratch", None, "de", 8_000),
    ]


def test_the_rise_is_paired_by_seed_and_its_noise_is_of_the_pair(
    tidy_table: Any, cells: list[Any]
) -> None:
    table = forgetting(tidy_table(cells), 0.9)
    assert list(table.columns) == list(FORGETTING_COLUMNS)
    assert list(zip(table["source"], table["finetune_bytes"], table["num_seeds"], strict=True)) == [
        ("en", 8_000, 2),
        ("en", 32_000, 2),
        ("zh", 8_000, 1),
    ]
    before = math.sqrt(1.0 * 1.1)
    factors = np.array([math.sqrt(1.1 * 1.2), math.sqrt(1.3 * 1.44)])
    np.testing.assert_allclose(table["before_loss"][:2], before)
    np.testing.assert_allclose(table["loss"][:2], before * factors)
    np.testing.assert_allclose(table["rise"][:2], before * (factors - 1))
    # Two seeds at two sizes are two degrees of freedom: the quantile of a t is 2.92.
    halves = [math.log(1.2 / 1.1) / 2, math.log(1.44 / 1.3) / 2]
    sd = math.sqrt(sum(2 * half**2 for half in halves) / 2)
    reach = 2.919986 * sd / math.sqrt(2)
    np.testing.assert_allclose(table["low"][:2], before * (factors * np.exp(-reach) - 1), atol=1e-6)
    np.testing.assert_allclose(table["high"][:2], before * (factors * np.exp(reach) - 1), atol=1e-6)
    assert table.loc[2, ["low", "high"]].isna().all(), "one seed"
    np.testing.assert_allclose(table.loc[2, "rise"], 2.0)


def test_a_grid_in_which_nothing_was_measured_has_no_table(tidy_table: Any, make_cell: Any) -> None:
    table = forgetting(tidy_table([make_cell("finetune", "en", "de", 8_000)]), 0.9)
    assert table.empty
    assert list(table.columns) == list(FORGETTING_COLUMNS)
    assert forgetting_table(table, False) is None
    said = io.StringIO()
    print_forgetting(table, Console(file=said, width=80))
    assert said.getvalue() == ""


def test_it_reads_well_in_wide_and_in_narrow_terminals(tidy_table: Any, cells: list[Any]) -> None:
    table = forgetting(tidy_table(cells), 0.9)
    texts = {}
    for width in (60, 80):
        said = io.StringIO()
        print_forgetting(table, Console(file=said, width=width))
        texts[width] = [line.split() for line in said.getvalue().splitlines()]
        assert all(len(line) <= width for line in said.getvalue().splitlines())
    (en,) = [line for line in texts[80] if line[:1] == ["en"]]
    assert [*en[:3], en[3], en[6]] == ["en", "1.0488", "de", "+0.156", "+0.386"]
    (zh,) = [line for line in texts[80] if line[:1] == ["zh"]]
    assert zh[3:] == ["+2.000", "-"], "of one seed no interval, of no cell nothing"
    assert len([line for line in texts[60] if line[:1] == ["en"]]) == 2
    assert rise_with_interval({"rise": -0.0001, "low": math.nan}) == "0.000"


def test_a_store_gives_the_table_the_page_and_a_file_that_can_be_imported(
    store: Any, make_planted: Any, change: Any, tmp_path: Path
) -> None:
    cells = [
        change(c, source_loss=1.5 + c.seed / 100, source_loss_rise=0.25)
        if c.stage == "finetune" and c.source == "near"
        else c
        for c in make_planted(targets=("de",)).cells()
    ]
    store.write("forgets", cells)
    result = analyze(store.uri, "forgets", tmp_path / "report", log_to_store=False)
    written = pd.read_csv(result.out_dir / "forgetting.csv")
    assert written["source"].tolist() == ["near", "near"], "what was not measured is not nought"
    np.testing.assert_allclose(written["rise"], 0.25, rtol=1e-3)
    assert (written["low"] < 0.25).all()
    assert (written["high"] > 0.25).all()
    page = result.report_path.read_text()
    section = page[page.index("<h2>What the source forgets") :]
    assert "+0.250" in section[: section.index("</table>")]
    table = pd.read_csv(result.out_dir / "cells.csv")
    assert table["source_loss_rise"].notna().sum() == 6
    assert len(read_losses(result.out_dir / "cells.csv").rows) == len(table)


def test_a_page_without_it_says_nothing_of_it(
    store: Any, make_planted: Any, tmp_path: Path
) -> None:
    store.write("forgets nothing", make_planted(targets=("de",), seeds=(0,)).cells())
    result = analyze(store.uri, "forgets nothing", tmp_path / "report", log_to_store=False)
    assert "What the source forgets" not in result.report_path.read_text()
    assert not (result.out_dir / "forgetting.csv").exists()
