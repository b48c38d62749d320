"""The tidy table: nothing dropped silently, duplicates by rule, missing cells listed."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.store.read import read_sweep
from analysis.table import COLUMNS, CellTable, tidy
from raydt.tracking import schema


def table_of(store: Any, sweep: str) -> CellTable:
    return tidy(read_sweep(store.uri, sweep))


def test_a_complete_sweep_has_one_typed_row_a_cell(
    store: Any, planted: Any, planted_sweep: str
) -> None:
    table = table_of(store, planted_sweep)
    expected = {cell.cell_id: cell for cell in planted.cells()}
    assert list(table.cells.columns) == list(COLUMNS)
    assert set(table.cells["cell_id"]) == set(expected)
    assert len(table.cells) == table.num_expected == len(expected)
    assert table.not_done.empty
    assert (table.problems, table.resolved, table.inferred) == ([], [], False)
    row = table.cells.set_index("cell_id").loc["finetune/near-de/8k/s1"]
    assert row["test_loss"] == expected["finetune/near-de/8k/s1"].loss
    assert (row["source"], row["target"], row["size"]) == ("near", "de", "8k")
    assert (row["size_bytes"], row["seed"], row["stopped"]) == (8_000, 1, "converged")
    assert table.cells["precision"].isna().all(), "the planted cells do not say"
    assert table.cells.set_index("cell_id").loc["scratch/de/8k/s0", "source"] is not row["source"]
    assert table.cells["source"].isna().sum() == (table.cells["stage"] == "scratch").sum()


def test_how_finished_and_how_foreign_a_cell_is_comes_from_the_store(
    store: Any, make_cell: Any, change: Any
) -> None:
    said = make_cell("finetune", "en", "ru", 8_000, unfinished=0.004, unseen_share=0.8)
    silent = change(said, seed=1, unfinished=None, unseen_share=None)
    store.write("ends", [said, silent])
    cells = table_of(store, "ends").cells.set_index("seed")
    assert cells.loc[0, ["unfinished", "unseen_share"]].tolist() == [0.004, 0.8]
    assert cells.loc[1, ["unfinished", "unseen_share"]].isna().all()


def test_of_several_runs_done_beats_not_done_then_the_last_end_counts(
    store: Any, make_cell: Any, change: Any
) -> None:
    cell = make_cell("scratch", None, "de", 8_000, loss=2.0)
    store.launch("duplicates", [cell])
    store.cell("duplicates", cell)
    later = store.cell("duplicates", change(cell, loss=1.9))
    store.cell("duplicates", change(cell, status="failed", reason="late and lost"))
    store.cell("duplicates", change(cell, status="running"))
    table = table_of(store, "duplicates")
    assert table.cells["run_id"].tolist() == [later]
    assert table.cells["test_loss"].tolist() == [1.9]
    assert table.resolved == [f"scratch/de/8k/s0 has 4 runs; taken: {later} (done)."]


def test_what_is_not_done_is_listed_with_status_and_reason(
    store: Any, make_cell: Any, change: Any
) -> None:
    pretrain = make_cell("pretrain", "en", None, 500_000)
    tuned = make_cell("finetune", "en", "de", 8_000)
    scratch = make_cell("scratch", None, "de", 8_000)
    waiting, running, lossless = (change(scratch, seed=seed) for seed in (1, 2, 3))
    store.launch("holes", [pretrain, tuned, scratch, waiting, running, lossless])
    store.cell("holes", change(pretrain, status="diverged", reason="loss is nan"))
    store.cell("holes", scratch)
    store.cell("holes", change(running, status="running"))
    store.cell("holes", change(lossless, loss=None))
    table = table_of(store, "holes")
    found = {
        row["cell_id"]: (row["status"], row["reason"]) for row in table.not_done.to_dict("records")
    }
    assert found["pretrain/en/500k/s0"] == ("diverged", "loss is nan")
    assert found["finetune/en-de/8k/s0"] == ("blocked", "pretrain/en/500k/s0 is not done")
    assert found["scratch/de/8k/s1"] == ("waiting", "no run in the store")
    assert found["scratch/de/8k/s2"][0] == "running"
    assert found["scratch/de/8k/s3"] == ("failed", "is tagged done but test/loss is none")
    assert len(found) == 5
    assert [problem.what.split(" (")[0] for problem in table.problems] == ["cell scratch/de/8k/s3"]


def test_without_a_plan_the_cross_product_of_what_was_seen_is_expected(
    store: Any, make_cell: Any
) -> None:
    seen = [
        make_cell("scratch", None, "de", 8_000),
        make_cell("scratch", None, "de", 32_000),
        make_cell("scratch", None, "fi", 8_000),
        make_cell("finetune", "en", "de", 8_000),
        make_cell("finetune", "de", "fi", 8_000),
    ]
    store.write("planless", seen, plan=False)
    read = read_sweep(store.uri, "planless")
    assert "inferred" in read.notes[0]
    table = tidy(read)
    assert table.inferred
    # en→fi is missing; de→de is not: no source was finetuned on itself.
    missing = sorted(table.not_done["cell_id"])
    assert missing == ["finetune/en-fi/8k/s0", "scratch/fi/32k/s0"]


def test_runs_that_cannot_be_read_are_left_out_and_named(store: Any, make_cell: Any) -> None:
    good = make_cell("scratch", None, "de", 8_000)
    store.launch("broken", [good])
    store.cell("broken", good)
    run = store.client.create_run(
        store.experiment("broken"),
        tags={schema.TAG_KIND: schema.KIND_CELL, schema.TAG_CELL_ID: "x", schema.TAG_STATUS: "odd"},
    )
    store.client.log_param(run.info.run_id, schema.PARAM_STAGE, "scratch")
    store.client.log_param(run.info.run_id, schema.PARAM_SIZE_BYTES, "many")
    table = table_of(store, "broken")
    assert table.cells["cell_id"].tolist() == [good.cell_id]
    text = "\n".join(str(problem) for problem in table.problems)
    for part in ("'odd'", "'many'", "a value of seed", "a param target", run.info.run_id):
        assert part in text


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan"), float("inf")])
def test_a_loss_that_is_none_is_a_problem_and_not_a_number(
    loss: float, make_cell: Any, store: Any
) -> None:
    sweep = f"loss-{loss}"
    store.write(sweep, [make_cell("scratch", None, "de", 8_000, loss=loss)])
    table = table_of(store, sweep)
    assert table.cells["status"].tolist() == ["failed"]
    assert len(table.problems) == 1


def test_only_runs_with_the_fingerprint_of_the_plan_count(store: Any, make_cell: Any) -> None:
    # A sweep's folder was deleted, its name used again: another protocol, other sizes.
    old = [
        make_cell("scratch", None, "de", size, loss=9.0, fingerprint="old")
        for size in (8_000, 32_000, 64_000)
    ]
    new = [
        make_cell("scratch", None, "de", size, loss=2.0, fingerprint="new")
        for size in (8_000, 32_000)
    ]
    store.write("reused", old)
    store.launch("reused", new)
    store.cell("reused", new[0])
    table = table_of(store, "reused")
    assert table.cells["cell_id"].tolist() == ["scratch/de/8k/s0"]
    assert table.cells["test_loss"].tolist() == [2.0]
    assert table.resolved == []
    assert table.not_done["cell_id"].tolist() == ["scratch/de/32k/s0"]
    assert table.not_done["status"].tolist() == ["waiting"]
    assert [problem.what for problem in table.problems] == ["cells with a run", "runs of this name"]
    assert "1 run: scratch/de/64k/s0" in str(table.problems[0])
    assert "2 runs: scratch/de/32k/s0, scratch/de/8k/s0" in str(table.problems[1])


def test_a_plan_without_fingerprints_takes_all_runs(
    store: Any, make_cell: Any, change: Any
) -> None:
    cell = make_cell("scratch", None, "de", 8_000)
    more = make_cell("scratch", None, "de", 32_000)
    store.launch("older", [cell])
    store.cell("older", change(cell, fingerprint="any"))
    store.cell("older", more)
    table = table_of(store, "older")
    assert len(table.cells) == 2
    assert "it is used all the same" in str(table.problems[0])


def test_two_labels_of_equal_bytes_are_one_cell_and_not_two_seeds(
    store: Any, make_cell: Any
) -> None:
    plain = make_cell("scratch", None, "de", 6_815_744, loss=2.0, fingerprint="same")
    named = make_cell("scratch", None, "de", 6_815_744, loss=1.9, label="6M", fingerprint="same")
    store.launch("labels", [named])
    store.cell("labels", plain)
    store.cell("labels", named)
    store.cell("labels", plain)
    table = table_of(store, "labels")
    assert table.cells["cell_id"].tolist() == ["scratch/de/6M/s0"]
    assert table.not_done.empty
    assert table.resolved[0].startswith("scratch/de/6M/s0 has 3 runs; taken: ")
    # Also where there is no plan to say which label is meant.
    store.write("labels-planless", [plain, named], plan=False)
    assert len(table_of(store, "labels-planless").cells) == 1
