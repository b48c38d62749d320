"""The ladder law's forms: E or not, repeated epochs, the cross-check, the warnings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from analysis.ladder import Ladder
from analysis.laws.concerns import BoundaryWarning, ConvergenceWarning
from analysis.laws.epochs import effective_unique_bytes
from analysis.laws.ladders import fit_ladders
from analysis.laws.scaling import ScalingLaw

SIZES = 8e3 * 4.0 ** np.arange(6)
WITH_E = 0.9 + 20.0 * SIZES**-0.35
WITHOUT_E = 5.0 * SIZES**-0.12


@pytest.mark.parametrize(("loss", "irreducible"), [(WITH_E, True), (WITHOUT_E, False)])
def test_the_held_out_rung_chooses_the_planted_form(loss: np.ndarray, irreducible: bool) -> None:
    noise = 0.001 * np.array([1, -1, 0.5, -0.5, 1, -1])
    law = ScalingLaw().fit(SIZES, loss * np.exp(noise))
    assert (law.irreducible_, law.chosen_by_) == (irreducible, "held-out rung")
    chosen = law.selection_.index[law.selection_["chosen"]]
    assert list(chosen) == ["with E" if irreducible else "without E"]
    assert law.selection_["held_out_log_error"].idxmin() == chosen[0]
    asked = ScalingLaw(irreducible=not irreducible).fit(SIZES, loss)
    assert (asked.irreducible_, asked.chosen_by_) == (not irreducible, "asked")
    assert asked.selection_["held_out_log_error"].notna().all()


def test_resamples_say_how_sure_the_choice_is() -> None:
    random = np.random.default_rng(0)
    drawn = WITH_E * np.exp(0.002 * random.standard_normal((200, 6)))
    law = ScalingLaw().fit(SIZES, WITH_E, resampled_loss=drawn)
    assert law.selection_share_ > 0.95
    low, high = law.predict_interval(SIZES)
    assert ((low < WITH_E) & (high > WITH_E)).all()


def test_residuals_stand_by_rung() -> None:
    law = ScalingLaw().fit(SIZES, WITH_E * np.exp([0, 0, 0.05, 0, 0, 0]))
    assert law.rungs_["residual_log"].abs().idxmax() == 2
    np.testing.assert_allclose(law.rmse_log_, np.sqrt((law.rungs_["residual_log"] ** 2).mean()))


def test_the_cross_check_finds_the_same_law_from_most_starts() -> None:
    law = ScalingLaw().fit(SIZES, WITH_E)
    assert law.huber_.beta == pytest.approx(law.beta_, rel=1e-2)
    np.testing.assert_allclose(law.huber_.E, law.E_, rtol=1e-2)
    assert law.huber_.num_starts == 70
    assert law.huber_.num_reached > 35


def test_one_rung_that_is_off_moves_least_squares_and_not_huber() -> None:
    off = WITH_E * np.exp([0, 0, 0, 0, 0, 0.15])
    with pytest.warns(ConvergenceWarning, match="single rungs"):
        law = ScalingLaw(irreducible=True).fit(SIZES, off)
    assert abs(law.huber_.beta - 0.35) < abs(law.beta_ - 0.35)


def test_the_huber_optimum_is_that_of_a_general_optimiser() -> None:
    from scipy.optimize import minimize
    from scipy.special import huber

    random = np.random.default_rng(1)
    loss = WITH_E * np.exp(0.003 * random.standard_normal(6))
    law = ScalingLaw(irreducible=True).fit(SIZES, loss)

    def objective(parameters: np.ndarray) -> float:
        e, b, beta = parameters
        fitted = np.logaddexp(e, b - beta * np.log(SIZES))
        return float(huber(1e-3, fitted - np.log(loss)).sum())

    best = min(
        minimize(objective, [e, b, beta], method="Nelder-Mead", options={"maxiter": 4000}).fun
        for e in (-1.0, -0.1)
        for b in (1.0, 3.0)
        for beta in (0.2, 0.5)
    )
    assert law.huber_.objective <= best * 1.01


def test_a_ladder_without_a_power_law_warns() -> None:
    with pytest.warns(BoundaryWarning, match="end of its search range"):
        ScalingLaw().fit(SIZES, np.linspace(1.0, 1.5, 6))


def test_the_table_warns_in_its_notes_only() -> None:
    flat = Ladder(SIZES, np.log(np.linspace(1.0, 1.5, 6)), np.ones(6))
    fine = Ladder(np.array([0.0, *SIZES]), np.log([5.5, *WITHOUT_E]), np.ones(7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, table = fit_ladders({("tiny", "de"): flat, ("tiny", "fi"): fine}, {}, 0.90)
    notes = dict(zip(table["target"], table["note"], strict=True))
    assert "end of its search range" in notes["de"]
    assert notes["fi"].startswith("the rung of 0 bytes is left out; without E: it predicts")
    row = table.set_index("target").loc["fi"]
    assert row["num_rungs"] == 6
    assert row["huber_beta"] == pytest.approx(0.12, rel=0.01)
    assert row["held_out_log_error_without_E"] < 1e-6


def test_effective_data_of_repeated_epochs() -> None:
    # One epoch is worth itself; four are worth 3.73 (U(1 + R*(1 - exp(-3/R*))), R* = 15.39).
    assert effective_unique_bytes(100.0, 100.0) == 100.0
    assert effective_unique_bytes(100.0, 400.0) == pytest.approx(372.57, abs=0.01)
    assert effective_unique_bytes(100.0, 1e9) == pytest.approx(1639.0)
    # A rung that was not read to its end counts for what was read.
    assert effective_unique_bytes(100.0, 40.0) == 40.0
    with pytest.raises(ValueError, match="positive bytes"):
        effective_unique_bytes(0.0, 10.0)


def test_a_law_in_effective_data_undoes_unequal_epochs() -> None:
    seen = SIZES * [40, 30, 20, 10, 6, 3]
    data = effective_unique_bytes(SIZES, seen)
    loss = 0.9 + 20.0 * data**-0.35
    law = ScalingLaw(irreducible=True).fit(SIZES, loss, bytes_seen=seen)
    assert law.beta_ == pytest.approx(0.35, rel=1e-3)
    np.testing.assert_allclose(law.predict(SIZES, bytes_seen=seen), loss, rtol=1e-5)
    assert abs(ScalingLaw(irreducible=True).fit(SIZES, loss).beta_ - 0.35) > 0.01


def test_plot_draws_rungs_law_and_band() -> None:
    axes = ScalingLaw().fit(SIZES, WITH_E, resampled_loss=np.tile(WITH_E, (50, 1))).plot()
    assert [line.get_label() for line in axes.lines] == ["law", "scratch"]
    assert len(axes.collections) == 1


def test_the_example_of_the_docstring_holds() -> None:
    law = ScalingLaw().fit([1e4, 1e5, 1e6, 1e7, 1e8], [2.1, 1.6, 1.3, 1.12, 1.02])
    assert (law.irreducible_, round(law.beta_, 2)) == (True, 0.23)
