"""D_E by minimal pairs: planted worths come back, beside those of loss; what cannot is named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.effective import Resamples, effective_table
from analysis.ladder import cell_means
from analysis.probes import Probes, probe_table, scored_cells
from analysis.report.terminal import print_findings
from analysis.reuse import analyzed
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.tracking import schema
from raydt.tracking.probed import log_probes
from tests.analysis.planted import Cell, Planted

NUM_PAIRS = 100_000  # of a kind: so many that a share is as good as exact
# By pairs: agreement is worth as much as loss says, facts are worth nothing.
WORTH = {"agreement": {"near": 40_000, "far": 6_000}, "facts": {"near": 0, "far": 0}}
Table = Callable[[list[Cell]], pd.DataFrame]


def share_wrong(num_bytes: float) -> float:
    return 12 * num_bytes**-0.4


def tag_of(row: Mapping[Any, Any], pairs: str = "d", num_pairs: int = NUM_PAIRS) -> str:
    """What `raydt probe` would leave in the run of a cell."""
    kinds = {}
    for kind, worth in WORTH.items():
        size = row["size_bytes"] + (0 if pd.isna(row["source"]) else worth[row["source"]])
        # Seeds differ a little.
        wrong = min(0.5, share_wrong(max(size, 500)) * (1 + 0.004 * (row["seed"] - 1)))
        kinds[kind] = [round(num_pairs * (1 - wrong)), num_pairs]
    return json.dumps({"pairs": pairs, "kinds": kinds})


@pytest.fixture
def cells(planted: Planted, tidy_table: Table) -> pd.DataFrame:
    table = tidy_table(planted.cells())
    return table.assign(run_id=[f"run{number}" for number in range(len(table))])


@pytest.fixture
def tags(cells: pd.DataFrame) -> dict[str, str]:
    return {
        row["run_id"]: tag_of(row) for row in cells.to_dict("records") if pd.notna(row["target"])
    }


def table_of(cells: pd.DataFrame, tags: Mapping[str, str], estimator: str = "guided") -> Probes:
    means = cell_means(cells)
    noise = pooled_noise(means, cells)
    drawn = draw_means(means, noise, num_resamples=200, random=np.random.default_rng(0))
    effective = effective_table(means, Resamples(drawn, 0.9), estimator=estimator, noise=noise)
    return probe_table(
        cells,
        tags,
        effective,
        estimator=estimator,
        confidence=0.9,
        num_resamples=200,
        random_seed=0,
    )


@pytest.mark.parametrize("estimator", ["guided", "reference"])
def test_planted_worths_come_back(
    estimator: str, cells: pd.DataFrame, tags: dict[str, str]
) -> None:
    found = table_of(cells, tags, estimator)
    assert not found.notes
    table = found.table[found.table["stage"] == "finetune"]
    assert len(table) == 3 * 2 * 2 * 2  # kinds (and all), targets, sizes, sources
    for row in table[table["kind"] != "all"].to_dict("records"):
        expected = row["finetune_bytes"] + WORTH[row["kind"]][row["source"]]
        assert row["effective_bytes"] == pytest.approx(expected, rel=0.03)
        assert row["transferred_bytes"] == row["effective_bytes"] - row["finetune_bytes"]
        assert row["effective_low_bytes"] <= row["effective_bytes"] <= row["effective_high_bytes"]
        wrong = share_wrong(row["finetune_bytes"])
        assert row["scratch_accuracy"] == pytest.approx(1 - wrong, abs=1e-3)
        assert row["num_pairs"] == NUM_PAIRS
        if estimator == "guided":
            # Loss says that both sources are worth something: pairs about facts say otherwise.
            assert row["apart"] == (row["kind"] == "facts")


def test_of_all_kinds_the_pairs_are_pooled(cells: pd.DataFrame, tags: dict[str, str]) -> None:
    found = table_of(cells, tags)
    assert list(dict.fromkeys(found.scores["kind"])) == ["all", *WORTH]
    for _, mine in found.scores.groupby("cell_id"):
        every, *kinds = mine.to_dict("records")
        assert every["num_right"] == sum(row["num_right"] for row in kinds)
        assert every["num_pairs"] == len(WORTH) * NUM_PAIRS


def test_what_is_off_the_ladder_is_a_bound(cells: pd.DataFrame, tags: dict[str, str]) -> None:
    best = cells[(cells["source"] == "near") & (cells["stage"] == "finetune")]["run_id"]
    perfect = json.dumps({"pairs": "d", "kinds": {"agreement": [500, 500], "facts": [0, 500]}})
    found = table_of(cells, {**tags, **dict.fromkeys(best, perfect)})
    table = found.table[(found.table["source"] == "near") & (found.table["stage"] == "finetune")]
    ranges = table.groupby("kind")["range"].unique().map(list).to_dict()
    assert ranges["agreement"] == ["above"]
    assert ranges["facts"] == ["below"]
    assert set(table[table["kind"] == "agreement"]["effective_bytes"]) == {512_000.0}


def test_one_seed_has_no_interval_and_is_never_apart(
    cells: pd.DataFrame, tags: dict[str, str]
) -> None:
    found = table_of(cells[cells["seed"] == 0].reset_index(drop=True), tags)
    assert found.table["effective_low_bytes"].isna().all()
    assert not found.table["apart"].any()
    assert (found.table["num_seeds"] == 1).all()


def test_pairs_of_two_kinds_make_no_ladder(cells: pd.DataFrame, tags: dict[str, str]) -> None:
    one = cells[(cells["target"] == "de") & (cells["stage"] == "scratch")].iloc[0]
    found = table_of(cells, {**tags, one["run_id"]: tag_of(one, pairs="other")})
    assert set(found.table["target"]) == {"fi"}
    assert ["scored on 2 sets of minimal pairs" in note for note in found.notes] == [True]


def test_what_was_not_scored_or_cannot_be_read_is_named(
    cells: pd.DataFrame, tags: dict[str, str]
) -> None:
    rung = cells[(cells["target"] == "de") & (cells["size_bytes"] == 128_000)]
    scratch = rung[rung["stage"] == "scratch"]["run_id"].tolist()
    without = {run: text for run, text in tags.items() if run not in scratch[:2]}
    found = table_of(cells, {**without, scratch[2]: "no JSON"})
    [unreadable, unscored] = found.notes
    assert "cannot be read: no JSON" in unreadable
    assert unscored.startswith("3 cells of these targets have no score on minimal pairs")
    rungs = found.table.groupby("target")["ladder_rungs"].unique().map(list).to_dict()
    assert rungs == {"de": [3], "fi": [4]}
    for damaged in ("[]", "{}", "3", '{"pairs": "d", "kinds": {"a": [3, 2]}}'):
        notes: list[str] = []
        assert scored_cells(cells, {scratch[0]: damaged}, notes).empty
        assert [f"cannot be read: {damaged}" in note for note in notes] == [True]


def test_without_probes_there_is_nothing(cells: pd.DataFrame) -> None:
    found = table_of(cells, {})
    assert found.table.empty
    assert found.scores.empty
    assert not found.notes


def test_report_tables_and_store_have_both(store: Any, make_cell: Any, tmp_path: Path) -> None:
    ladder = ((8_000, 2.0), (32_000, 1.5), (128_000, 1.2))
    cells = [make_cell("scratch", None, "de", size, loss=loss) for size, loss in ladder]
    cells.append(make_cell("finetune", "en", "de", 8_000, loss=1.7))
    cells.append(make_cell("finetune", "zh", "de", 8_000, loss=1.0))
    store.write("probed", cells)
    shares = {8_000: 0.6, 32_000: 0.7, 128_000: 0.8}
    experiment = store.experiment("probed")
    where = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}'"
    for run in store.client.search_runs([experiment], where):
        source = run.data.params.get("source")
        share = {None: shares[int(run.data.params["size_bytes"])], "en": 0.75, "zh": 0.9}[source]
        right_of = {"SV-#": (100 * share, 100), "facts": (50.0, 100)}
        log_probes(store.client, run.info.run_id, "d", right_of)
    analysis, _ = analyzed(store.uri, "probed", tmp_path / "report")
    assert analysis.logged, analysis.notes

    row = analysis.probes.table.query("source == 'en' and kind == 'SV-#'").iloc[0]
    assert 32_000 < row["effective_bytes"] < 128_000
    assert row["loss_range"] == "inside"
    written = pd.read_csv(tmp_path / "report" / "probes.csv")
    assert written["kind"].tolist() == ["all", "SV-#", "facts"] * 2
    assert set(pd.read_csv(tmp_path / "report" / "probe_cells.csv")["accuracy"]) >= {0.6, 0.9}
    assert (tmp_path / "report" / "probes.tex").exists()
    page = (tmp_path / "report" / "report.html").read_text()
    for said in ("By minimal pairs", "D_T by accuracy", "by kind of pair", "SV-#", "Minimal pairs"):
        assert said in page

    every = analysis.probes.table.query("kind == 'all'").set_index("source")
    runs = {
        run.data.params.get("source"): run.data.metrics
        for run in store.client.search_runs([experiment], "params.stage = 'finetune'")
    }
    assert runs["en"][schema.METRIC_PROBE_ACCURACY] == pytest.approx((75 + 50) / 200)
    assert runs["en"]["probe/accuracy_SV-_"] == 0.75
    by_pairs, by_loss = every.loc["en", "effective_bytes"], analysis.effective.set_index("source")
    assert runs["en"][schema.METRIC_EFFECTIVE_BY_ACCURACY] == round(by_pairs)
    assert runs["en"][schema.METRIC_TRANSFERRED_BY_ACCURACY] == round(by_pairs - 8_000)
    assert runs["en"][schema.METRIC_EFFECTIVE_BYTES] == round(by_loss["effective_bytes"]["en"])
    assert not set(runs["zh"]) & {schema.METRIC_EFFECTIVE_BY_ACCURACY, "D_E/bytes"}, "bounds"
    launch = store.client.get_run(analysis.launch_run_id)
    assert "| D_T by accuracy | D_T by loss |" in launch.data.tags[schema.TAG_NOTE]

    out = StringIO()
    print_findings(analysis, Console(file=out, width=100))
    assert "By 200 minimal pairs, into de" in out.getvalue()
    # Other answers to the pairs are another analysis; the same are not.
    assert analyzed(store.uri, "probed", tmp_path / "report")[1]
    run = store.client.search_runs([experiment], "params.source = 'en'")[0]
    log_probes(store.client, run.info.run_id, "d", {"SV-#": (66.0, 100), "facts": (50.0, 100)})
    again, unchanged = analyzed(store.uri, "probed", tmp_path / "report")
    assert not unchanged
    assert again.probes.table.query("source == 'en' and kind == 'SV-#'")["accuracy"].item() == 0.66
    assert not math.isnan(again.effective["effective_bytes"].iloc[0])
