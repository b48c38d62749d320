"""Bytes that a source never had, and zeroshots that are worse than knowing nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.alarms.alarm import Alarm, Kind
from analysis.analyze import analyze
from analysis.ladder import UNIFORM_LOSS_NATS, above_uniform, cell_means, interpreted
from analysis.unseen import unseen_shares
from raydt.losses.table import read_losses

Raise = Callable[..., list[Alarm]]


def of_kind(found: list[Alarm], kind: Kind) -> list[Alarm]:
    return [alarm for alarm in found if alarm.kind is kind]


def test_shares_are_by_pair_the_largest_first(tidy_table: Any, make_cell: Any) -> None:
    cells = [
        make_cell("finetune", "en", "fi", 8_000, unseen_share=0.02),
        make_cell("finetune", "en", "ru", 8_000, unseen_share=0.4),
        make_cell("zeroshot", "en", "ru", 0, unseen_share=0.5),
        make_cell("finetune", "ru", "en", 8_000),
        make_cell("finetune", "zh", "en", 8_000, status="failed", unseen_share=0.9),
        make_cell("scratch", None, "ru", 8_000),
    ]
    shares = unseen_shares(tidy_table(cells))
    assert shares.to_numpy().tolist() == [["en", "ru", 0.5], ["en", "fi", 0.02]]


def test_many_unseen_bytes_are_one_alarm_with_three_names(
    raised: Raise, make_planted: Any, change: Any
) -> None:
    def with_share(share: float, targets: tuple[str, ...]) -> list[Alarm]:
        cells = make_planted(targets=targets).cells()
        found = raised(
            change(c, unseen_share=share if c.stage != "scratch" else None) for c in cells
        )
        return of_kind(found, Kind.UNSEEN_BYTES)

    (alarm,) = with_share(0.8, ("de", "fi", "ru"))
    assert alarm.message.startswith("In 6 pairs more than 5%")
    assert "far→de 80%" in alarm.message
    assert alarm.message.count("→") == 3
    assert "and 3 more" in alarm.message
    assert with_share(0.05, ("de",)) == []


@pytest.fixture
def foreign(make_planted: Any, change: Any) -> list[Any]:
    """A planted sweep into which one source goes above 8 bits a byte with one of its seeds."""
    return [
        change(cell, loss=UNIFORM_LOSS_NATS * 1.1)
        if (cell.stage, cell.source, cell.target, cell.seed) == ("zeroshot", "far", "de", 1)
        else cell
        for cell in make_planted().cells()
    ]


def test_a_group_with_a_zeroshot_above_uniform_is_left_out_whole(
    tidy_table: Any, foreign: list[Any], make_planted: Any
) -> None:
    cells = tidy_table(foreign)
    assert cells.loc[above_uniform(cells), "cell_id"].tolist() == ["zeroshot/far-de/0/s1"]
    gone = set(cells["cell_id"]) - set(interpreted(cells)["cell_id"])
    assert {name for name in gone if not name.startswith("pretrain")} == {
        f"zeroshot/far-de/0/s{seed}" for seed in (0, 1, 2)
    }
    whole = cell_means(tidy_table(make_planted().cells()))
    assert len(cell_means(cells)) == len(whole) - 1


def test_only_zeroshots_and_only_above_eight_bits(tidy_table: Any, make_cell: Any) -> None:
    bits = math.log(2)
    cells = [
        make_cell("zeroshot", "en", "de", 0, loss=7.99 * bits),
        make_cell("zeroshot", "en", "fi", 0, loss=8.01 * bits),
        make_cell("zeroshot", "en", "ru", 0, loss=8.01 * bits, status="failed"),
        make_cell("scratch", None, "de", 8_000, loss=9 * bits),
    ]
    assert above_uniform(tidy_table(cells)).tolist() == [False, True, False, False]
    assert len(cell_means(tidy_table(cells))) == 2


def test_it_is_flagged_in_the_table_named_once_and_read_nowhere(
    store: Any, foreign: list[Any], tmp_path: Path
) -> None:
    store.write("foreign", foreign)
    result = analyze(store.uri, "foreign", tmp_path / "report", log_to_store=False)
    for table in (result.effective, result.estimates):
        pairs = table.loc[table["stage"] == "zeroshot", ["source", "target"]].drop_duplicates()
        assert sorted(map(tuple, pairs.to_numpy())) == [
            ("far", "fi"),
            ("near", "de"),
            ("near", "fi"),
        ]
    (alarm,) = of_kind(result.raised, Kind.ZEROSHOT_ABOVE_UNIFORM)
    assert alarm.message.startswith("1 zeroshot has a loss above 8 bits per byte")
    assert "far→de 8.8" in alarm.message
    cells = pd.read_csv(result.out_dir / "cells.csv")
    assert cells.loc[cells["above_uniform"], "cell_id"].tolist() == ["zeroshot/far-de/0/s1"]
    # What was left out is not in the noise of the others either.
    assert result.methods.noise["zeroshot"].sd_log_loss < 0.01
    assert of_kind(result.raised, Kind.SEEDS_DISAGREE) == []
    # And the table can be imported as it was written.
    assert len(read_losses(result.out_dir / "cells.csv").rows) == len(cells)


def test_the_report_has_a_table_of_pairs_where_any_share_is_worth_it(
    store: Any, make_planted: Any, change: Any, tmp_path: Path
) -> None:
    def page(name: str, share: float) -> str:
        cells = [
            change(c, unseen_share=share if c.source == "far" else 0.0)
            if c.stage in ("finetune", "zeroshot")
            else c
            for c in make_planted(targets=("de",)).cells()
        ]
        store.write(name, cells)
        result = analyze(store.uri, name, tmp_path / name, log_to_store=False)
        table = pd.read_csv(result.out_dir / "unseen.csv")
        np.testing.assert_allclose(table["unseen_share"], [share, 0.0])
        return result.report_path.read_text()

    head = "Bytes that the source never had"
    shown = page("unseen", 0.3)
    assert head in shown
    assert "30%" in shown[shown.index(head) :]
    assert head not in page("seen", 0.009)


def test_a_trained_loss_that_no_model_of_bytes_has_is_one_alarm(
    raised: Raise, make_planted: Any, change: Any
) -> None:
    cells = make_planted().cells()
    assert of_kind(raised(cells), Kind.TRAINED_ABOVE_UNIFORM) == []
    found = raised(change(cell, loss=13.09 if cell.stage == "scratch" else 2.0) for cell in cells)
    (alarm,) = of_kind(found, Kind.TRAINED_ABOVE_UNIFORM)
    assert "up to 13.09" in alarm.message
    assert "--unit" in alarm.message
