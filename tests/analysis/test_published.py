"""The published grid: imported, analysed, and the authors' own numbers reproduced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.alarms.alarm import Kind
from analysis.analyze import analyze
from analysis.completion.completed import ALL_SIZES
from analysis.effective import ESTIMATES_COLUMNS
from analysis.report.tables import estimator_spread
from analysis.result import Analysis
from raydt.losses.imported import import_losses
from raydt.losses.table import read_losses

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="../shared/reference is not part of the product"
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    folder = tmp_path_factory.mktemp("published")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    table = read_losses(REFERENCE / "results.csv")
    import_losses(table, uri, "published", "results.csv")
    return analyze(uri, None, folder / "report", log_to_store=False)


def test_nothing_is_lost_on_the_way(published: Analysis) -> None:
    losses = pd.read_csv(REFERENCE / "results.csv")
    trained = losses[(losses["init_language"] != "scratch") | (losses["data_size"] != "0M")]
    assert published.num_done == len(published.cells) == len(trained) == 123
    assert sorted(published.cells["test_loss"]) == sorted(trained["loss"])
    assert set(published.cells["size_bytes"]) == {
        0,
        6_815_744,
        19_398_656,
        60_817_408,
        189_267_968,
        600_834_048,
        6_001_000_448,
    }
    assert (published.table.problems, published.table.resolved) == ([], [])


def test_reference_reproduces_the_published_numbers(published: Analysis) -> None:
    expected = pd.read_csv(REFERENCE / "effective_data.csv")
    mine = published.estimates[published.estimates["estimator"] == "reference"]
    joined = expected.merge(
        mine,
        left_on=["init", "target", "size_bytes"],
        right_on=["source", "target", "finetune_bytes"],
    )
    assert len(joined) == len(expected) == 69
    np.testing.assert_allclose(joined["effective_bytes"], joined["de_published"], rtol=1e-6)
    np.testing.assert_allclose(joined["transferred_bytes"], joined["dt_published"], rtol=1e-6)
    assert mine["caution"].str.contains("do not use it").all()


def test_all_others_agree_with_the_comparison_at_equal_size(published: Analysis) -> None:
    estimates = published.estimates
    assert list(estimates.columns) == list(ESTIMATES_COLUMNS)
    assert list(estimates.columns)[:7] == [
        "source",
        "target",
        "finetune_bytes",
        "estimator",
        "effective_bytes",
        "transferred_bytes",
        "range",
    ]
    cells = published.cells
    scratch = cells[cells["stage"] == "scratch"].set_index(["target", "size"])["test_loss"]
    for name in ("loglog", "linear", "law"):
        rows = estimates[(estimates["estimator"] == name) & (estimates["stage"] == "finetune")]
        assert len(rows) == 74  # the authors computed none from pt
        for row in rows.to_dict("records"):
            gap = scratch[row["target"], row["size"]] - row["loss"]
            if row["range"] == "inside":
                assert np.sign(row["transferred_bytes"]) == np.sign(gap)
            elif row["range"] == "above":
                assert gap > 0
                assert row["transferred_bytes"] >= 0
            else:
                assert gap < 0
                assert row["transferred_bytes"] <= 0
        assert rows["caution"].isna().all()
    # What the tables of the paper rest on does not.
    wrong = estimates[(estimates["estimator"] == "reference") & (estimates["stage"] == "finetune")]
    gaps = wrong["scratch_loss"] - wrong["loss"]
    assert (np.sign(gaps) != np.sign(wrong["transferred_bytes"])).sum() >= 5


def test_an_analysis_by_reference_goes_through_and_says_what_it_is(
    published: Analysis, tmp_path: Path
) -> None:
    uri = published.store_uri
    result = analyze(uri, None, tmp_path / "report", estimator="reference", log_to_store=False)
    assert set(result.effective["finetune_bytes"]) == set(published.effective["finetune_bytes"])
    expected = pd.read_csv(REFERENCE / "effective_data.csv")
    tuned = result.effective[result.effective["finetune_bytes"] > 0]
    found = tuned[tuned["source"] != "pt"].sort_values(["source", "target", "finetune_bytes"])
    published_order = expected.sort_values(["init", "target", "size_bytes"])
    np.testing.assert_allclose(
        found["transferred_bytes"], published_order["dt_published"], rtol=1e-6
    )
    assert "do not use it" in result.report_path.read_text()


def test_the_steps_that_the_small_rungs_lacked_are_one_alarm(published: Analysis) -> None:
    (alarm,) = [alarm for alarm in published.raised if alarm.kind is Kind.STEP_LIMITED]
    assert alarm.where == "ar, de, es, fi, id, ru"
    assert "6.82M, 19.4M" in alarm.message


def test_estimators_stand_side_by_side(published: Analysis) -> None:
    wide = estimator_spread(published.estimates)
    assert len(wide) == len(published.effective) == 83
    assert {"loglog", "linear", "law", "reference"} <= set(wide.columns)
    assert (wide["reference"] != "–").all()


def test_the_spread_over_estimators_stands_beside_each_answer(published: Analysis) -> None:
    table = published.effective
    order = {"below": -1, "inside": 0, "above": 1}
    for row in table.to_dict("records"):
        low = (order[row["estimators_low_range"]], row["estimators_low_bytes"])
        high = (order[row["estimators_high_range"]], row["estimators_high_bytes"])
        assert low <= (order[row["range"]], row["transferred_bytes"]) <= high
    finite = table[table["estimators_high_range"] == "inside"]
    assert (finite["estimators_low_bytes"] < finite["estimators_high_bytes"]).any()


def test_pairs_that_the_authors_did_not_train_are_predicted_and_marked(
    published: Analysis,
) -> None:
    found = published.completed
    whole = found.left_out.set_index("size").loc[ALL_SIZES]
    assert whole["num_pairs"] == 74
    assert whole["r2"] > whole[["r2_sources", "r2_targets", "r2_two_way"]].max()
    assert 0.8 <= whole["held"] <= 1
    assert {("pt", "ar"), ("pt", "de")} <= set(
        zip(found.predicted["source"], found.predicted["target"], strict=True)
    )
    measured = published.effective.set_index(["source", "target", "finetune_bytes"]).index
    keys = found.predicted.set_index(["source", "target", "finetune_bytes"]).index
    assert not keys.isin(measured).any()
    folder = published.out_dir
    assert pd.read_csv(folder / "predicted.csv")["predicted"].all()
    assert len(pd.read_csv(folder / "predicted_r2.csv")) == 7
    assert "Pairs that were not measured, predicted" in published.report_path.read_text()
