"""From a store to a report: the planted answer comes out, and nothing is half written."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from analysis.analyze import analyze
from analysis.effective import COLUMNS
from analysis.report.terminal import print_findings, print_report
from analysis.result import Analysis
from raydt.errors import InputError, RunError
from raydt.tracking import schema


def printed(analysis: Analysis, width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    print_findings(analysis, console)
    print_report(analysis, console)
    return stream.getvalue()


@pytest.fixture(scope="session")
def result(store: Any, planted_sweep: str, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return analyze(store.uri, planted_sweep, tmp_path_factory.mktemp("out") / "report")


def test_planted_transfer_is_found(result: Analysis, planted: Any) -> None:
    table = result.effective
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 2 * 2 * 3  # sources, targets, sizes with zeroshot
    tuned = table[table["stage"] == "finetune"]
    for row in tuned.to_dict("records"):
        # Chords of a convex ladder read high between rungs: up to a third on this one.
        assert row["transferred_bytes"] == pytest.approx(planted.worth[row["source"]], rel=0.35)
        assert row["transferred_low_bytes"] < row["transferred_bytes"]
        assert row["transferred_bytes"] < row["transferred_high_bytes"]
        assert (row["num_seeds"], row["range"], row["estimator"]) == (3, "inside", "guided")
    zeroshot = table[table["stage"] == "zeroshot"]
    assert (zeroshot["effective_bytes"] == zeroshot["transferred_bytes"]).all()
    assert (zeroshot["finetune_bytes"] == 0).all()
    # 6 kB lie under the smallest rung, 8 kB: a bound, and its interval says no more.
    far = zeroshot[zeroshot["source"] == "far"]
    assert far["range"].tolist() == ["below", "below"]
    assert far["effective_bytes"].tolist() == [8_000, 8_000]
    assert (table["leads"] == (table["source"] == "near")).all()
    assert result.answer.headline.startswith("near transfers most: ")
    assert ", near is worth another " in result.answer.headline
    laws = result.laws.set_index("target")
    assert laws.loc["de", "beta_low"] < 0.35 < laws.loc["de", "beta_high"]


def test_everything_is_written_and_logged(result: Analysis, store: Any) -> None:
    for name in ("cells", "missing", "effective", "laws", "claims", "claim_similar_1"):
        parquet = pd.read_parquet(result.out_dir / f"{name}.parquet")
        assert len(parquet) == len(pd.read_csv(result.out_dir / f"{name}.csv"))
    back = pd.read_parquet(result.out_dir / "effective.parquet")
    pd.testing.assert_frame_equal(back, result.effective)
    assert {path.suffix for path in result.figures} == {".svg", ".pdf"}
    assert len(result.figures) == 2 * (1 + 3 + 2 + 2 + 2 + 1)  # opening, maps, shares, ladders, ...
    record = json.loads((result.out_dir / "analysis.json").read_text())
    assert record["answer"]["headline"] == result.answer.headline
    assert result.logged
    logged = store.client.list_artifacts(result.launch_run_id, schema.ARTIFACT_REPORT)
    assert f"{schema.ARTIFACT_REPORT}/report.html" in {entry.path for entry in logged}
    assert [path.name for path in result.out_dir.parent.iterdir()] == ["report"]


def test_the_report_is_one_file_that_needs_nothing_else(result: Analysis) -> None:
    html = result.report_path.read_text()
    assert len(html) < 3_000_000
    # Names of XML vocabularies and of the store are no requests; nothing else may point outside.
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", html)
    assert "url(http" not in html
    assert "@import" not in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert html.index(result.answer.headline) < html.index("<svg") < html.index("<table")
    assert html.count("<svg") == 11

    ids: list[str] = []

    class Ids(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            ids.extend(value or "" for name, value in attrs if name == "id")

    Ids().feed(html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"""(?:url\(|href=")#([^")]+)""", html)) <= set(ids)


def test_claims_stand_at_the_top_in_the_files_and_in_the_terminal(result: Analysis) -> None:
    assert [one.name for one in result.claims] == [
        "similar",
        "similarity",
        "commutative",
        "specific",
        "hurt",
    ]
    html = result.report_path.read_text()
    for one in result.claims:
        assert html.index("<svg") < html.index(one.question) < html.index("<table")
        assert one.question in printed(result)
    claims = pd.read_csv(result.out_dir / "claims.csv")
    assert claims["verdict"].isin(["yes", "no", "undecided"]).all()
    assert claims["tested"].str.len().min() > 5
    tex = (result.out_dir / "effective.tex").read_text()
    for part in (r"\toprule", r"\bottomrule", r"effective\_bytes"):
        assert part in tex


def test_the_report_says_whether_one_law_holds_for_all_sources(result: Analysis) -> None:
    html = result.report_path.read_text()
    section = html[html.index("Does one law hold for all sources?") :]
    (pooled,) = result.one_law.query("level == 'pooled' and tested == 'k and alpha'").itertuples()
    assert (
        f"(p {pooled.p_value:.2g}" if pooled.p_value == pooled.p_value else "cannot be tested"
    ) in (section)


def test_the_terminal_says_it_in_eighty_columns(result: Analysis) -> None:
    text = printed(result)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert result.answer.headline in " ".join(text.split()), "over several lines"
    for part in (
        "D_T into de",
        "< +8k",
        "! 2 of 12 D_E lie under the smallest",
        "report.html",
    ):
        assert part in text
    assert re.search(r"\+\d[\d.]*k \[\d[\d.]*k, \d[\d.]*k\]", text)
    assert max(map(len, printed(result, 40).splitlines()[:-1])) <= 60


def test_the_same_store_gives_the_same_numbers(
    result: Analysis, store: Any, planted_sweep: str, tmp_path: Path
) -> None:
    again = analyze(store.uri, planted_sweep, tmp_path / "again", log_to_store=False)
    pd.testing.assert_frame_equal(again.effective, result.effective)
    assert not again.logged
    for one, other in zip(again.figures, result.figures, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_only_our_own_folder_is_replaced(
    store: Any, planted_sweep: str, make_cell: Any, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="report folder"):
        analyze(store.uri, planted_sweep, foreign, log_to_store=False)
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]

    ours = tmp_path / "ours"
    ours.mkdir()  # empty is as good as absent
    analyze(store.uri, planted_sweep, ours, log_to_store=False)
    (ours / "stale.csv").write_text("from an earlier version")
    analyze(store.uri, planted_sweep, ours, log_to_store=False)
    assert not (ours / "stale.csv").exists()
    store.write("another", [make_cell("scratch", None, "de", 8_000)])
    with pytest.raises(InputError, match="'another'"):
        analyze(store.uri, "another", ours, log_to_store=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "ours"]


def test_a_failure_while_writing_leaves_the_earlier_report(
    store: Any, planted_sweep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report"
    analyze(store.uri, planted_sweep, out, log_to_store=False)
    before = (out / "report.html").read_bytes()

    def broken(*_: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr("analysis.report.outputs.render", broken)
    with pytest.raises(OSError, match="disk full"):
        analyze(store.uri, planted_sweep, out, log_to_store=False)
    assert (out / "report.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_no_cell_done_is_said_and_writes_nothing(
    store: Any, make_cell: Any, tmp_path: Path
) -> None:
    store.write("fresh", [make_cell("scratch", None, "de", 8_000, status="running")])
    with pytest.raises(RunError, match="1 running"):
        analyze(store.uri, "fresh", tmp_path / "report")
    assert not list(tmp_path.iterdir())


def test_one_seed_holes_and_bumps_are_said_plainly(
    store: Any, make_planted: Any, make_cell: Any, change: Any, tmp_path: Path
) -> None:
    cells = [
        change(cell, loss=1.6)
        if cell.stage == "scratch" and cell.target == "de" and cell.size_bytes == 128_000
        else change(cell, stopped="budget")
        if cell.stage == "scratch" and cell.size_bytes == 512_000
        else cell
        for cell in make_planted(seeds=(0,)).cells()
    ]
    cells.append(make_cell("scratch", None, "sv", 8_000, loss=1.8))
    cells.append(make_cell("finetune", "near", "sv", 8_000, loss=1.5))
    cells.append(make_cell("finetune", "near", "no<b>", 8_000, loss=1.5))
    cells.append(make_cell("finetune", "far", "sv", 8_000, status="failed", reason="out of memory"))
    store.write("troubled", cells)
    result = analyze(store.uri, "troubled", tmp_path / "report", log_to_store=False)
    said = "\n".join(result.alarms)
    for part in (
        "far-sv/8k/s0 failed: out of memory",
        "no<b> has 1 finetuned cell but no finished scratch cell",
        "The ladder of sv has one rung",
        "The scratch ladder of de is not monotone: its loss rises from 1.4",
        "pooled the rungs 32k, 128k of de",
        "One seed: no interval",
        "2 of 21 trained cells stopped at the budget",
        "beyond the largest rung",
    ):
        assert part in said
    assert result.effective["transferred_low_bytes"].isna().all()
    sv = result.effective[result.effective["target"] == "sv"]
    assert (sv["range"].tolist(), sv["effective_bytes"].tolist()) == (["above"], [8_000])
    assert "no<b>" not in set(result.effective["target"])
    html = result.report_path.read_text()
    assert "no&lt;b&gt;" in html
    assert "no<b>" not in html
    assert "One seed: no interval" in printed(result)
    notes = dict(zip(result.laws["target"], result.laws["note"], strict=True))
    assert notes["sv"] == "no law: 1 of at least 3 rungs"


def test_ladders_alone_give_laws_and_no_transfer(
    store: Any, make_planted: Any, tmp_path: Path
) -> None:
    store.write("ladders", [cell for cell in make_planted().cells() if cell.stage == "scratch"])
    result = analyze(store.uri, "ladders", tmp_path / "report", log_to_store=False)
    assert result.effective.empty
    assert result.answer.headline.startswith("No D_T yet")
    assert result.laws["beta"].notna().all()
    assert "No D_T yet" in result.report_path.read_text()
    assert "No D_T yet" in printed(result)


def test_seeds_that_disagree_are_named(
    store: Any, make_planted: Any, change: Any, tmp_path: Path
) -> None:
    cells = [
        change(cell, loss=cell.loss * 1.2) if cell.cell_id == "scratch/fi/32k/s1" else cell
        for cell in make_planted().cells()
    ]
    store.write("disagreeing", cells)
    result = analyze(store.uri, "disagreeing", tmp_path / "report", log_to_store=False)
    strong = [text for text in result.alarms if "disagree strongly" in text]
    assert len(strong) == 1
    assert strong[0].startswith("The seeds of scratch→fi 32k")


@pytest.mark.parametrize(
    "wrong", [{"estimator": "magic"}, {"confidence": 1.5}, {"num_resamples": 3}]
)
def test_wrong_options_are_refused(
    wrong: dict[str, Any], store: Any, planted_sweep: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError):
        analyze(store.uri, planted_sweep, tmp_path / "report", **wrong)


def test_the_command_shows_a_view_that_an_older_store_did_not_have(
    store: Any, planted_sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from raydt.cli import main

    assert main(["analyze", planted_sweep, "--store", store.uri, "--out", str(tmp_path / "r")]) == 0
    assert f"viewStateShareKey={schema.TRANSFER_VIEW}" in capsys.readouterr().out
    tags = store.client.get_experiment_by_name(planted_sweep).tags
    assert f"mlflow.sharedViewState.{schema.TRANSFER_VIEW}" in tags
