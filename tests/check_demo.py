"""Does the demo's result make sense? Run by `.ci/run` after `make demo`, on what that wrote.

What is true of its languages is known: `related` is the parent of `alba` and `brio`, `lusa` and
`hispa` are sisters, `unrelated` is nobody's relative, and all speak of the same world.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

REPORT = Path(__file__).parent.parent / "runs" / "demo" / "report"
FAMILIES = {"related": 0, "alba": 0, "brio": 0, "lusa": 1, "hispa": 1, "unrelated": 2}


@pytest.fixture(scope="module")
def finetuned() -> pd.DataFrame:
    effective = pd.read_parquet(REPORT / "effective.parquet")
    rows = effective[effective["finetune_bytes"] > 0]
    return rows.assign(kin=rows["source"].map(FAMILIES) == rows["target"].map(FAMILIES))


def test_losses_fall_along_the_ladder() -> None:
    cells = pd.read_parquet(REPORT / "cells.parquet")
    assert (cells["status"] == "done").all()
    scratch = cells[cells["stage"] == "scratch"]
    for _, ladder in scratch.groupby("target"):
        means = ladder.groupby("size_bytes")["test_loss"].mean().sort_index()
        assert len(means) == 3
        assert (np.diff(means) < 0).all()


def test_kin_is_worth_more_than_anybody_else_beyond_the_noise(finetuned: pd.DataFrame) -> None:
    assert len(finetuned) == 30
    for target, rows in finetuned.groupby("target"):
        kin, others = rows[rows["kin"]], rows[~rows["kin"]]
        if len(kin):
            least, most = kin["transferred_low_bytes"].min(), others["transferred_high_bytes"].max()
            assert least > most, target
            assert least > 2 * 2_000, "worth several times what it was finetuned on"


def test_all_claims_are_answered_and_rightly() -> None:
    """By the plant: kin gives more than a stranger, both ways, by its distance; nothing hurts."""
    verdicts = pd.read_csv(REPORT / "claims.csv").set_index("claim")["verdict"]
    assert verdicts["similar"] == "no"
    assert verdicts["similarity"] == "yes"
    assert verdicts["commutative"] == "yes"
    assert verdicts["specific"] == "no"
    assert verdicts["hurt"] == "no"


def test_the_protocol_raises_no_alarm_about_itself() -> None:
    alarms = pd.read_csv(REPORT / "alarms.csv")
    about_training = {"at_budget", "last_checkpoint", "step_limited", "seeds_disagree"}
    assert not about_training & set(alarms["kind"]), alarms.to_string()


def test_the_report_is_one_file() -> None:
    page = (REPORT / "report.html").read_text()
    assert len(page) < 3_000_000
    assert "<link" not in page
    assert 'src="http' not in page
