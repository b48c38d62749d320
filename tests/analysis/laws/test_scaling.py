"""Laws: planted parameters come back, and little data gives less law."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.ladder import Ladder
from analysis.laws.concerns import BoundaryWarning
from analysis.laws.ladders import fit_ladders
from analysis.laws.scaling import ScalingLaw

SIZES = 8e3 * 4.0 ** np.arange(6)


@pytest.mark.parametrize(
    ("E", "B", "beta"), [(0.9, 20.0, 0.35), (1.4, 300.0, 0.6), (0.0, 5.0, 0.12), (0.3, 3.0, 0.08)]
)
def test_planted_parameters_are_recovered(E: float, B: float, beta: float) -> None:
    law = ScalingLaw().fit(SIZES, E + B * SIZES**-beta)
    np.testing.assert_allclose(law.E_, E, atol=2e-3)
    np.testing.assert_allclose([law.B_, law.beta_], [B, beta], rtol=5e-3)
    assert law.rmse_log_ < 1e-6
    np.testing.assert_allclose(law.predict(SIZES), E + B * SIZES**-beta, rtol=1e-5)


def test_noisy_parameters_lie_in_their_intervals() -> None:
    random = np.random.default_rng(0)
    truth = 0.9 + 20.0 * SIZES**-0.35
    drawn = truth * np.exp(0.004 * random.standard_normal((300, len(SIZES))))
    law = ScalingLaw().fit(SIZES, drawn[0], resampled_loss=drawn)
    summary = law.summary
    assert list(summary.index) == ["E", "B", "beta"]
    for name, value in {"E": 0.9, "B": 20.0, "beta": 0.35}.items():
        assert summary.loc[name, "low"] < value < summary.loc[name, "high"]
    assert (summary["confidence"] == 0.90).all()


def test_without_resamples_the_summary_has_no_interval() -> None:
    summary = ScalingLaw().fit(SIZES, 0.9 + 20.0 * SIZES**-0.35).summary
    assert summary["estimate"].notna().all()
    assert summary[["low", "high", "confidence"]].isna().all().all()


def test_three_rungs_leave_e_out_and_two_give_no_law() -> None:
    law = ScalingLaw().fit(SIZES[:3], 5.0 * SIZES[:3] ** -0.12)
    assert (law.irreducible_, law.E_) == (False, 0.0)
    assert law.beta_ == pytest.approx(0.12, rel=1e-4)
    with pytest.raises(ValueError, match="at least 3 rungs"):
        ScalingLaw().fit(SIZES[:2], [2.0, 1.5])
    with pytest.raises(ValueError, match="positive"):
        ScalingLaw().fit(SIZES[:3], [2.0, 0.0, 1.5])


def test_a_ladder_that_rises_has_no_negative_b_and_says_so() -> None:
    with pytest.warns(BoundaryWarning):
        law = ScalingLaw().fit(SIZES, np.linspace(1.0, 1.5, 6))
    assert law.B_ >= 0
    assert law.E_ >= 0
    assert np.isfinite(law.predict(SIZES)).all()


def test_the_table_says_why_there_is_no_law() -> None:
    ladders = {
        ("tiny", "de"): Ladder(SIZES, np.log(0.9 + 20.0 * SIZES**-0.35), np.ones(6)),
        ("tiny", "fi"): Ladder(SIZES[:2], np.log([2.0, 1.5]), np.ones(2)),
        ("tiny", "sv"): Ladder(SIZES[:3], np.log([2.0, 1.5, 1.2]), np.ones(3)),
    }
    laws, table = fit_ladders(ladders, {}, 0.90)
    assert set(laws) == {("tiny", "de"), ("tiny", "sv")}
    notes = dict(zip(table["target"], table["note"], strict=True))
    assert notes["de"] == "one seed: no interval"
    assert notes["fi"] == "no law: 2 of at least 3 rungs"
    assert notes["sv"].startswith("without E: fewer than 4 rungs")
    assert np.isnan(table.set_index("target").loc["fi", "beta"])
