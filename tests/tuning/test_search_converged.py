"""The whole search where cells end by themselves, on planted curves and without Ray."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydt.config.hparams_file import read_hparams
from raydt.config.recipe import Recipe
from raydt.config.sweep import Sweep
from raydt.tracking.schema import Stage
from raydt.tuning.check import compare, is_better
from raydt.tuning.cost import SearchCost, check_budget
from raydt.tuning.hparams_file import hparams_text
from raydt.tuning.plan import STAGES, SearchPlan, check_plan
from raydt.tuning.score import price_of_a_doubling
from raydt.tuning.search import Search
from raydt.tuning.trial import End, Finished, Kind, Trial
from raydt.tuning.trials import TrialRecord
from raydt.units import Size
from tests.tuning.planted import Curve, curve_of

RECIPE = {
    "schedule": "constant",
    "average": "power",
    "max_batch_windows": 1,
    "batch_exponent": 0.5,
    "min_steps": 1,
    "weight_decay": 0.05,
    "weight_decay_exponent": 0.0,
    "epochs": [100],
}
PROTOCOL = {
    "evaluation_growth": 1.2,
    "tolerance": 0.003,
    "patience": 4,
    "pretrain": {**RECIPE, "epochs": [20]},
    "scratch": RECIPE,
    "finetune": RECIPE,
}


def plan_of(
    storage: Path, *, trials: int = 10, budget: int | None = None, **fields: object
) -> SearchPlan:
    values = {
        "sources": ["related", "nonsense"],
        "targets": ["alba", "brio"],
        "sizes": ["2k", "8k", "32k"],
        "pretrain_size": "8k",
        "protocol": PROTOCOL,
        **fields,
    }
    sweep = Sweep.model_validate({"storage": str(storage), "name": "x", **values})
    return SearchPlan(sweep, STAGES, (), trials, budget)


def best_decay(size_bytes: int) -> float:
    """Falls with size by a power."""
    return 0.4 * (size_bytes / 2_000) ** -0.5


def curve(plan: SearchPlan, trial: Trial, decay: float | None = None) -> Curve:
    """Of a world where decay matters alone, and a strong one learns slowly."""
    size = trial.size.num_bytes
    x = math.log((decay or trial.recipe.for_size(size).weight_decay) / best_decay(size))
    noise = np.random.default_rng(zlib.crc32(trial.trial_id.encode())).normal()
    floor = 1.5 * math.exp(0.03 * x**2 + 0.003 * noise)
    step_bytes = trial.recipe.batch_windows(size, plan.window_bytes) * plan.window_bytes
    return curve_of(
        floor,
        size,
        speed=math.exp(-0.3 * x),
        step_bytes=step_bytes,
        cap_bytes=trial.budget_bytes(plan.window_bytes),
        protocol=plan.sweep.protocol,
        start=3.0 if trial.stage is Stage.FINETUNE else None,
    )


def finished(trial: Trial, losses: Curve, end: End) -> Finished:
    sha = "ab" if trial.kind is Kind.PARENT else None
    return Finished(trial, end, losses, losses[-1][0], 1.0, 0.0, sha)


def run(search: Search, at_most: int = 10_000, slots: int = 3) -> list[Finished]:
    """An evaluation of each running trial in turn, as they come."""
    made: list[Finished] = []
    running: dict[str, tuple[Trial, Curve, int]] = {}
    while len(made) < at_most:
        while len(running) < slots and (trial := search.next()) is not None:
            search.started(trial)
            running[trial.trial_id] = trial, curve(search.plan, trial), 0
        if not running:
            return made
        for name, (trial, losses, seen) in list(running.items()):
            seen += 1
            running[name] = trial, losses, seen
            end = End.DONE if seen == len(losses) else None
            if end is None and search.is_stopped(trial, losses[:seen]):
                end = End.STOPPED
            if end is not None:
                del running[name]
                made.append(finished(trial, losses[:seen], end))
                search.done(made[-1])
    return made


def search_of(plan: SearchPlan) -> Search:
    return Search(plan, TrialRecord(plan.folder), lambda _: None)


def test_the_decay_is_found_though_a_strong_one_starts_slowly(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, trials=24), stages=(Stage.SCRATCH,))
    search = search_of(plan)
    made = run(search)
    found = search.found[Stage.SCRATCH]
    assert found.is_tuned, found.why
    assert found.recipe.weight_decay_exponent == pytest.approx(-0.5, abs=0.25)
    for size in (2_000, 8_000, 32_000):
        here = found.recipe.for_size(size).weight_decay
        assert abs(math.log(here / best_decay(size))) < 0.7
    trials = [each for each in made if each.trial.kind is Kind.TRIAL]
    stopped = [each for each in trials if each.end is End.STOPPED]
    assert 0 < len(stopped) <= len(trials) / 2
    # None that would have been among the best of its study.
    for each in stopped:
        (study,) = [s for s in plan.studies(Stage.SCRATCH) if s.size == each.trial.size]
        peers = [search.score(other) for other in search.trials_of(study)]
        whole = finished(each.trial, curve(plan, each.trial), End.DONE)
        assert search.score(whole) > np.quantile(peers, 0.3)
    assert all("budget_bytes" not in each.trial.factors for each in trials)


def test_cut_off_it_goes_on_and_makes_nothing_twice(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    first = run(search_of(plan), at_most=40)
    second = run(search_of(plan))
    ids = [each.trial.trial_id for each in (*first, *second)]
    assert len(ids) == len(set(ids))
    again = search_of(plan)
    assert run(again) == []
    assert set(again.found) == set(STAGES)
    assert again.bytes_trained <= again.cost.max_bytes


@pytest.mark.parametrize("share", [0.9, 1.5])
def test_a_budget_is_never_overrun_and_the_same_record_gives_the_same_answer(
    share: float, tmp_path: Path
) -> None:
    """Though caps are four times what a run is expected to take."""
    cost = SearchCost(plan_of(tmp_path, trials=16)).whole
    plan = plan_of(tmp_path, trials=16, budget=round(share * cost.total.expected))
    assert check_budget(plan) == []
    search = search_of(plan)
    made = run(search)
    assert search.bytes_trained <= plan.budget_bytes  # type: ignore[operator]
    assert set(search.found) == set(STAGES)
    assert all(found.comparisons for found in search.found.values())
    trials = [each for each in made if each.trial.kind is Kind.TRIAL]
    studies = [study for stage in STAGES for study in plan.studies(stage)]
    assert len(trials) >= 4 * len(studies)
    again = search_of(plan)
    assert run(again) == []
    assert again.found == search.found


def test_caps_of_what_runs_count_against_a_budget(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path), stages=(Stage.SCRATCH,))
    cap = max(
        trial.budget_bytes(plan.window_bytes)
        for study in plan.studies(Stage.SCRATCH)
        for trial in plan.baselines(study)
    )
    search = search_of(replace(plan, budget_bytes=cap))
    while (trial := search.next()) is not None:
        search.started(trial)
    running = [trial.budget_bytes(plan.window_bytes) for trial in search.running.values()]
    assert running
    assert sum(running) <= cap


def test_where_the_budget_does_not_suffice_the_recipe_is_as_it_was(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path), stages=(Stage.SCRATCH,), budget_bytes=100_000)
    search = search_of(plan)
    run(search)
    found = search.found[Stage.SCRATCH]
    assert not found.is_tuned
    assert "budget" in found.why
    # With more of it the same search goes on.
    more = search_of(replace(plan, budget_bytes=None))
    assert run(more)
    assert more.found[Stage.SCRATCH].comparisons


def test_a_plan_expects_less_than_its_caps(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    cost = SearchCost(plan).whole
    assert 0.2 < cost.total.expected / cost.total.max < 0.9
    (problem,) = check_budget(replace(plan, budget_bytes=10_000))
    assert problem.what == "--budget"
    assert check_budget(replace(plan, budget_bytes=round(cost.total.max))) == []


def test_a_horizon_that_is_neither_known_nor_decided_by_the_data_is_refused(tmp_path: Path) -> None:
    protocol = {**PROTOCOL, "tolerance": 0}
    problems = check_plan(plan_of(tmp_path, protocol=protocol))
    assert [problem.what for problem in problems] == [f"protocol: {stage}" for stage in STAGES]


def test_bytes_that_were_seen_count_in_the_check() -> None:
    size = Size(2_000, "2k")

    def done(language: str, loss: float, seen: int) -> Finished:
        trial = Trial(Kind.CHECK_AFTER, Stage.SCRATCH, None, language, size, 0, 0, Recipe())
        return Finished(trial, End.DONE, ((seen, loss),), seen, 1.0, 0.0)

    price = price_of_a_doubling(0.003)
    before = [done("de", 2.0, 1_000), done("fr", 2.1, 1_000)]
    after = [done("de", 1.996, 2_000), done("fr", 2.096, 2_000)]
    compared = compare(size, before, after, price)
    assert (compared.before_bytes, compared.after_bytes) == (1_000, 2_000)
    assert compared.scores[0] == pytest.approx(math.log(1.996 / 2.0) + price)
    assert not is_better([compared])  # 0.2 % for twice the bytes
    assert is_better(
        [compare(size, before, [done("de", 1.996, 1_000), done("fr", 2.095, 1_000)], price)]
    )
    diverged = replace(after[0], end=End.DIVERGED)
    assert not is_better([compare(size, before, [diverged, after[1]], price)])
    assert not is_better([compare(size, [diverged, before[1]], after, price)])


def test_the_file_says_what_was_found_and_not_the_cap(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, trials=24), stages=(Stage.SCRATCH,))
    search = search_of(plan)
    run(search)
    found = search.found[Stage.SCRATCH]
    path = tmp_path / "hparams.toml"
    path.write_text(hparams_text(plan, [found], "python sweeps/hparams.py"))
    read = read_hparams(path)
    assert read.model == "nano"
    table = read.protocol["scratch"]
    assert not {"budget_bytes", "budget_exponent", "epochs"} & table.keys()
    for name in ("batch_exponent", "weight_decay_exponent", "average", "average_power"):
        assert name in table
    assert read.protocol["tolerance"] == plan.sweep.protocol.tolerance
    default = plan.recipe(Stage.SCRATCH)
    recipe = Recipe.model_validate({**default.model_dump(), **table})
    assert recipe == found.recipe
