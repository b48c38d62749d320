"""Laws of transfer: planted k, alpha and beta come back, and bounds count as bounds."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from analysis.laws.additive import Points, _descend, _least_misfit, fitted
from analysis.laws.draws import TransferDraws
from analysis.laws.one_law import one_law_tests
from analysis.laws.transfer import TransferLaw
from analysis.laws.transfer_table import transfer_laws
from raydt.errors import InputError

SIZES = 8e3 * 4.0 ** np.arange(5)
K, ALPHA, BETA = 400.0, 0.45, 0.3
PARAMETERS = {"nano": 1_000_000, "tiny": 8_000_000, "small": 60_000_000}


def table(
    *,
    sources: tuple[str, ...] = ("en", "fi", "ja", "ru"),
    targets: tuple[str, ...] = ("ar", "de", "es"),
    models: tuple[str, ...] = ("tiny",),
    noise: float = 0.0,
    worth: dict[str, float] | None = None,
    alpha: dict[str, float] | None = None,
    beta: float = 0.0,
    random_seed: int = 0,
) -> pd.DataFrame:
    """A table of effective data that follows the law, with the columns that the laws read."""
    random = np.random.default_rng(random_seed)
    rows = []
    for model in models:
        for source in sources:
            for target in targets:
                for size in SIZES:
                    law = K * size ** (alpha or {}).get(source, ALPHA)
                    law *= PARAMETERS[model] ** beta * (worth or {}).get(source, 1.0)
                    transferred = law * np.exp(noise * random.standard_normal())
                    rows.append(
                        {
                            "model": model,
                            "source": source,
                            "target": target,
                            "finetune_bytes": int(size),
                            "estimator": "guided",
                            "transferred_bytes": transferred,
                            "range": "inside",
                            "low_range": "inside",
                            "high_range": "inside",
                            "confidence": np.nan,
                            "transferred_low_bytes": np.nan,
                            "transferred_high_bytes": np.nan,
                        }
                    )
    return pd.DataFrame(rows)


def test_planted_parameters_are_recovered() -> None:
    law = TransferLaw().fit(SIZES, K * SIZES**ALPHA)
    np.testing.assert_allclose([law.k_, law.alpha_], [K, ALPHA], rtol=1e-9)
    assert np.isnan(law.beta_)
    assert law.rmse_log_ < 1e-9
    np.testing.assert_allclose(law.predict(1e5), K * 1e5**ALPHA)
    assert list(law.summary.index) == ["k", "alpha"]


def test_planted_exponent_of_model_size_is_recovered() -> None:
    size, number = (axis.ravel() for axis in np.meshgrid(SIZES, [1e6, 8e6, 6e7]))
    law = TransferLaw().fit(size, K * size**ALPHA * number**BETA, number)
    np.testing.assert_allclose([law.k_, law.alpha_, law.beta_], [K, ALPHA, BETA], rtol=1e-8)
    np.testing.assert_allclose(law.predict(1e5, 1e7), K * 1e5**ALPHA * 1e7**BETA)
    with pytest.raises(ValueError, match="give parameters"):
        law.predict(1e5)


def test_intervals_of_the_scatter_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = []
    for _ in range(200):
        effective = (SIZES + K * SIZES**ALPHA) * np.exp(0.05 * random.standard_normal(len(SIZES)))
        noisy = effective - SIZES
        summary = TransferLaw().fit(SIZES, noisy).summary
        held.append(summary.loc["alpha", "low"] < ALPHA < summary.loc["alpha", "high"])
    assert 0.85 <= np.mean(held) <= 0.95


def test_bounds_are_not_dropped() -> None:
    """D_E above the ladder is at least its end: without that the slope is too small."""
    random = np.random.default_rng(1)
    size = np.tile(SIZES, 30)
    effective = (size + 10 * K * size**ALPHA) * np.exp(0.2 * random.standard_normal(len(size)))
    limit = np.quantile(effective, 0.5)
    true, seen = effective - size, np.minimum(effective, limit) - size
    words = ["above" if above else "inside" for above in effective > limit]
    law = TransferLaw().fit(size, seen, range=words)
    assert law.num_censored_ == words.count("above")
    assert law.num_points_ == len(size)
    assert law.alpha_ == pytest.approx(ALPHA, abs=0.06)
    assert law.sigma_ == pytest.approx(0.2, rel=0.2)
    inside = effective <= limit
    assert TransferLaw().fit(size[inside], true[inside]).alpha_ < ALPHA - 0.06


def test_the_fit_agrees_with_a_general_optimiser() -> None:
    from scipy.optimize import minimize
    from scipy.stats import norm

    random = np.random.default_rng(2)
    log_size = np.log(np.tile(SIZES, 8))
    design = np.stack([np.ones(40), log_size - log_size.mean()], axis=-1)
    true = np.array([log_size.mean() - 0.3, 0.45])
    y = np.log1p(np.exp(design @ true - log_size)) + 0.1 * random.standard_normal(40)
    place = np.where(y > 0.8, 1, 0).astype(np.int8)
    y = np.minimum(y, 0.8)
    error, weights = np.full(40, 0.1), random.integers(1, 4, 40).astype(float)
    fit = fitted(Points(design, log_size, y[None], place[None], error, weights[None]))

    def minus_likelihood(parameters: np.ndarray) -> float:
        mean = np.log1p(np.exp(design @ parameters - log_size))
        z = (y - mean) / error
        terms = np.where(place == 0, norm.logpdf(z), norm.logcdf(-place * z))
        return -float((weights * terms).sum())

    best = minimize(minus_likelihood, true, method="BFGS")
    np.testing.assert_allclose(fit.coefficients[0], best.x, atol=1e-4)
    assert fit.sign[0] == 1


def test_a_bound_that_the_line_respects_changes_nothing() -> None:
    law = TransferLaw().fit(
        [*SIZES, 1e8], [*(K * SIZES**ALPHA), 10.0], range=[*["inside"] * 5, "above"]
    )
    assert (law.num_censored_, law.alpha_) == (1, pytest.approx(ALPHA, abs=1e-3))


def test_negative_transfer_is_a_point_like_any_other() -> None:
    transferred = K * SIZES**ALPHA
    transferred[0] = -3_000.0
    law = TransferLaw().fit(SIZES, transferred)
    assert (law.num_negative_, law.num_points_) == (1, 5)
    assert law.points_["used"].all()
    harm = TransferLaw().fit(SIZES, -0.2 * SIZES**0.9)
    assert (harm.k_, harm.alpha_) == (pytest.approx(-0.2, rel=1e-3), pytest.approx(0.9, abs=1e-3))


def test_weak_transfer_is_not_selected_by_its_outcome() -> None:
    """A D_T of a few per cent of D_F under noise as large: the median law is the planted one."""
    random = np.random.default_rng(7)
    size = np.tile(SIZES, 4)
    share = np.log1p(20 * size**-0.5)
    found = []
    for _ in range(60):
        noisy = share + 0.05 * random.standard_normal(len(size))
        law = TransferLaw().fit(size, size * np.expm1(noisy), error_log=np.full(len(size), 0.05))
        found.append(law.alpha_)
    assert np.median(found) == pytest.approx(0.5, abs=0.1)


def test_zeroshot_is_counted() -> None:
    law = TransferLaw().fit([0.0, *SIZES], [5e4, *(K * SIZES**ALPHA)])
    assert (law.num_zeroshot_, law.num_points_) == (1, 5)


def test_too_few_points_are_an_error_that_says_what_was_found() -> None:
    with pytest.raises(ValueError, match=r"at least 2 D_T inside.*found 1 of 2 points \(1 bound"):
        TransferLaw().fit([1e4, 1e5], [2e4, 5e4], range=["inside", "above"])
    with pytest.raises(ValueError, match="as many"):
        TransferLaw().fit([1e4, 1e5], [2e4])


def test_resamples_give_the_interval() -> None:
    random = np.random.default_rng(4)
    drawn = K * SIZES**ALPHA * np.exp(0.1 * random.standard_normal((400, 5)))
    law = TransferLaw().fit(
        SIZES,
        drawn[0],
        error_log=0.1 * (K * SIZES**ALPHA) / (SIZES + K * SIZES**ALPHA),
        resampled=TransferDraws(drawn, np.zeros((400, 5), dtype=np.int8)),
    )
    assert law.intervals_ == "resamples"
    assert law.summary.loc["alpha", "low"] < ALPHA < law.summary.loc["alpha", "high"]
    width = law.summary.loc["alpha", "high"] - law.summary.loc["alpha", "low"]
    spread = np.log(SIZES).std() * np.sqrt(len(SIZES))
    assert width == pytest.approx(2 * 1.645 * 0.1 / spread, rel=0.25)


def test_the_table_holds_every_level() -> None:
    found = transfer_laws(
        table(models=("nano", "tiny", "small"), noise=0.05, beta=BETA), parameters=PARAMETERS
    )
    counts = found.groupby(["model", "level"]).size()
    assert counts["tiny"].to_dict() == {"pair": 12, "pooled": 1, "target": 3}
    assert counts["all"].to_dict() == {"pair": 12, "pooled": 1, "target": 3}
    pooled = found[(found["level"] == "pooled") & (found["model"] == "all")].iloc[0]
    assert pooled["num_points"] == 180
    assert pooled["alpha"] == pytest.approx(ALPHA, abs=0.03)
    assert pooled["beta_low"] < BETA < pooled["beta_high"]
    assert pooled["intervals"] == "sources and targets resampled"
    assert found.loc[found["model"] != "all", "beta"].isna().all()
    assert (found.loc[found["level"] == "pair", "intervals"] == "Student's t about the law").all()


def test_few_sources_give_no_interval_to_a_law_of_a_target() -> None:
    found = transfer_laws(table(sources=("en", "fi"), noise=0.1)).set_index("level")
    assert found.loc["target", "k_low"].isna().all()
    assert found.loc["target", "note"].str.contains("only 2 sources").all()
    assert found.loc["pooled", "intervals"] == "targets resampled"


def test_the_table_says_what_is_missing() -> None:
    effective = table(sources=("en",), targets=("de",))
    effective.loc[:3, "range"] = "above"
    found = transfer_laws(effective).set_index("level")
    assert found.loc["pair", "note"].startswith("no law: a law of transfer needs at least 2")
    assert np.isnan(found.loc["pair", "alpha"])
    assert (found["num_censored"] == 4).all()
    with pytest.raises(InputError, match="one estimator"):
        transfer_laws(pd.concat([effective, effective.assign(estimator="law")]))
    with pytest.raises(InputError, match="a number for every model"):
        transfer_laws(table(models=("nano", "tiny")), parameters={"nano": 1})


def test_one_law_for_all_sources_is_rejected_where_sources_differ() -> None:
    differ = table(noise=0.1, worth={"en": 3.0, "ja": 0.5})
    found = one_law_tests(differ, num_permutations=500).set_index(["level", "tested"])["p_value"]
    assert found["pooled", "k"] < 0.01
    assert found["pooled", "alpha"] > 0.01
    # With one source apart, only the share of permutations that keep it together is exceeded.
    steep = table(noise=0.1, alpha={"en": 0.9}, targets=("ar", "de", "es", "id", "pt"))
    found = one_law_tests(steep, num_permutations=500).set_index(["level", "tested"])["p_value"]
    assert found["pooled", "alpha"] < 0.01


def test_one_law_holds_its_level_where_there_is_one_law() -> None:
    """p-values of planted single laws, with noise shared within a trajectory, are uniform."""
    p_values = []
    for trial in range(100):
        effective = table(noise=0.1, random_seed=trial)
        random = np.random.default_rng(trial + 1000)
        pairs = effective.groupby(["source", "target"]).ngroup()
        shift = np.exp(0.5 * random.standard_normal(pairs.max() + 1))
        effective["transferred_bytes"] *= shift[pairs]
        found = one_law_tests(effective, num_permutations=99, random_seed=trial)
        p_values.append(found.set_index("tested").loc["k", "p_value"])
    assert 0.02 <= np.mean(np.array(p_values) <= 0.10) <= 0.19
    assert 0.40 <= np.mean(p_values) <= 0.60


def test_seeds_tell_sources_of_one_target_apart() -> None:
    random = np.random.default_rng(5)
    same, differ = table(targets=("de",)), table(targets=("de",), worth={"en": 2.0})
    for effective, least, most in ((same, 0.3, 1.0), (differ, 0.0, 0.01)):
        shared = 0.05 * random.standard_normal((400, 4)).repeat(5, axis=1)
        drawn = effective["transferred_bytes"].to_numpy() * np.exp(shared)
        draws = TransferDraws(drawn, np.zeros(drawn.shape, dtype=np.int8))
        found = one_law_tests(effective, draws=draws, num_permutations=50)
        mine = found[(found["level"] == "target") & (found["tested"] == "k")].iloc[0]
        assert least <= mine["p_value"] <= most
        assert mine["method"] == "seeds resampled"
        pooled = found[found["level"] == "pooled"]
        assert pooled["p_value"].isna().all()
        assert pooled["note"].str.contains("needs 2 sources at each of 2 targets").all()


def test_plot_draws_points_bounds_and_law() -> None:
    law = TransferLaw().fit(
        [*SIZES, 1e8], [*(K * SIZES**ALPHA), 10.0], range=[*["inside"] * 5, "above"]
    )
    axes = law.plot()
    assert axes.get_xscale() == "log"
    assert [line.get_label() for line in axes.lines] == ["law", "D_T", "bound"]
    assert isinstance(axes, mpl.axes.Axes)


@pytest.mark.parametrize("sign", [1, -1])
def test_no_law_describes_points_better_than_the_bound_by_which_it_is_left_out(sign: int) -> None:
    random = np.random.default_rng(7)
    near = 0
    for _ in range(200):
        log_size = np.log(SIZES)
        outcome = random.normal(0, 2, (1, len(SIZES)))
        place = random.choice([0, 0, 0, -1, 1], (1, len(SIZES))).astype(np.int8)
        design = np.stack([np.ones(len(SIZES)), log_size - log_size.mean()], axis=1)
        error = random.uniform(0.05, 1.0, len(SIZES))
        points = Points(design, log_size, outcome, place, error, np.ones_like(outcome))
        bound = _least_misfit(points, sign)
        start = np.array([[log_size.mean() + random.normal(0, 2), random.uniform(-1, 1)]])
        _, misfit = _descend(points, sign, start)
        assert bound <= misfit[0] + 1e-9
        near += bound > 0.2 * misfit[0]
    assert near > 20  # and it is no bound that anything would meet
