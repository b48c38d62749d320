"""The whole search on a planted loss, without Ray: what it asks for, and that it goes on."""

from __future__ import annotations

import math
import tomllib
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydt.config.sweep import Sweep
from raydt.errors import InputError, RunError
from raydt.tracking.schema import Stage
from raydt.tuning.cost import SearchCost, check_budget
from raydt.tuning.plan import STAGES, SearchPlan, check_plan
from raydt.tuning.search import Search
from raydt.tuning.trial import End, Finished, Kind, Trial
from raydt.tuning.trials import TrialRecord, check_same_search, record_search
from raydt.units import Size

BEST = 0.5  # of the learning rate that is there


FIXED = tomllib.loads((Path(__file__).parents[2] / "sweeps" / "annealed.toml").read_text())


def plan_of(
    storage: Path, *, trials: int = 10, budget: int | None = None, **fields: object
) -> SearchPlan:
    """Of a protocol with a fixed budget, unless the fields have another."""
    values = {
        "sources": ["related", "nonsense"],
        "sizes": ["2k", "8k", "32k"],
        "protocol": FIXED["protocol"],
        **fields,
    }
    sweep = Sweep.model_validate({"storage": str(storage), "name": "x", **values})
    stages = STAGES
    return SearchPlan(sweep, stages, (), trials, budget)


def trained(plan: SearchPlan, trial: Trial) -> Finished:
    """What a planted world makes of a trial: best at half the learning rate, at every size."""
    here = trial.recipe.for_size(trial.size.num_bytes)
    was = plan.recipe(trial.stage).for_size(trial.size.num_bytes)
    x = math.log(here.learning_rate / was.learning_rate)
    noise = np.random.default_rng(zlib.crc32(trial.trial_id.encode())).normal()
    loss = 1.5 * math.exp(0.1 * (x - math.log(BEST)) ** 2 + 0.002 * noise)
    seen = trial.budget_bytes(plan.window_bytes)
    rows = tuple((seen * i // 8, loss * (1 + 1 / i)) for i in range(1, 9))
    sha = "ab" if trial.kind is Kind.PARENT else None
    return Finished(trial, End.DONE, rows, seen, 1.0, 0.0, sha)


def run(search: Search, at_most: int = 10_000) -> list[Trial]:
    """Two at a time, as they come; the trials that were made."""
    made: list[Trial] = []
    running: list[Trial] = []
    while len(made) < at_most:
        trial = search.next()
        if trial is not None and len(running) < 2:
            search.started(trial)
            running.append(trial)
            continue
        if not running:
            return made
        first = running.pop(0)
        search.done(trained(search.plan, first))
        made.append(first)
    return made


def search_of(plan: SearchPlan) -> Search:
    return Search(plan, TrialRecord(plan.folder), lambda _: None)


def test_a_planted_optimum_is_found_in_every_stage(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, trials=16)
    search = search_of(plan)
    made = run(search)
    assert set(search.found) == set(STAGES)
    for found in search.found.values():
        assert found.is_tuned, found
        was = plan.recipe(found.stage).learning_rate
        assert 0.3 < found.recipe.learning_rate / was < 0.85
    # Finetunes start from the pretrain as it was found.
    parents = [trial for trial in made if trial.kind is Kind.PARENT]
    assert {trial.source for trial in parents} == {"related", "nonsense"}
    assert all(trial.recipe == search.found[Stage.PRETRAIN].recipe for trial in parents)
    seeds = {kind: {t.seed for t in made if t.kind is kind} for kind in Kind}
    assert not seeds[Kind.TRIAL] & seeds[Kind.CHECK_AFTER]
    assert seeds[Kind.CHECK_BEFORE] == seeds[Kind.CHECK_AFTER]
    assert not set(plan.sweep.seeds) & set().union(*seeds.values())
    assert search.bytes_trained <= search.cost.max_bytes


@pytest.mark.parametrize("cut", [1, 7, 25, 60, 90])
def test_cut_off_it_goes_on_and_makes_nothing_twice(cut: int, tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    first = run(search_of(plan), at_most=cut)
    second = run(search_of(plan))
    ids = [trial.trial_id for trial in (*first, *second)]
    assert len(ids) == len(set(ids))
    of_kind = [trial for trial in (*first, *second) if trial.kind is Kind.TRIAL]
    studies = [study for stage in STAGES for study in plan.studies(stage)]
    assert len(of_kind) == plan.num_trials * len(studies)
    again = search_of(plan)
    assert run(again) == []
    assert set(again.found) == set(STAGES)


def test_a_budget_is_kept_and_the_same_record_gives_the_same_answer(tmp_path: Path) -> None:
    whole = plan_of(tmp_path)
    cost = SearchCost(whole).whole
    budget = round(cost.total.max - cost.trials.max / 2)
    plan = replace(whole, budget_bytes=budget)
    search = search_of(plan)
    made = run(search)
    assert search.bytes_trained <= budget
    trials = [trial for trial in made if trial.kind is Kind.TRIAL]
    studies = [study for stage in STAGES for study in plan.studies(stage)]
    assert 4 * len(studies) <= len(trials) < plan.num_trials * len(studies)
    assert run(search_of(plan)) == []


def test_a_trial_of_a_fixed_budget_is_stopped_halfway_by_those_of_its_study(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    search = search_of(plan)
    trials: dict[tuple[Stage, Size], list[Trial]] = {}
    while max(map(len, trials.values()), default=0) < 3 or len(trials) < 2:
        trial = search.next()
        assert trial is not None
        search.started(trial)
        if trial.kind is Kind.TRIAL:
            trials.setdefault((trial.stage, trial.size), []).append(trial)
            continue
        was = trained(plan, trial)
        assert not search.is_stopped(trial, was.val_losses), "the recipe as it was goes to its end"
        search.done(was)

    def stopped_after(trial: Trial, times: float) -> int | None:
        rows = [(seen, times * loss) for seen, loss in trained(plan, trial).val_losses]
        asked = (n for n in range(1, len(rows) + 1) if search.is_stopped(trial, rows[:n]))
        return next(asked, None)

    (first, *others), *studies = sorted(trials.values(), key=len, reverse=True)
    assert stopped_after(first, 1.0) is None, "it has nobody to be compared with"
    assert [stopped_after(others[0], 2.0), stopped_after(others[1], 0.5)] == [4, None]
    assert stopped_after(studies[0][0], 2.0) is None, "another study"


def test_a_rule_that_is_no_better_is_not_taken(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path), stages=(Stage.SCRATCH,))
    search = search_of(plan)

    def flat(trial: Trial) -> Finished:
        finished = trained(plan, replace(trial, recipe=plan.recipe(trial.stage)))
        return replace(finished, trial=trial)

    while (trial := search.next()) is not None:
        search.started(trial)
        search.done(flat(trial))
    found = search.found[Stage.SCRATCH]
    budgets = [each.after_bpb for each in found.comparisons]
    if budgets and found.is_tuned:  # a smaller budget for the same loss is better
        assert found.recipe.budget(32_000) < plan.recipe(Stage.SCRATCH).budget(32_000)
    else:
        assert found.recipe == plan.recipe(Stage.SCRATCH)


def test_what_failed_is_left_out_and_tried_again_by_the_next_launch(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path), stages=(Stage.SCRATCH,))
    search = search_of(plan)
    baseline = search.next()
    assert baseline is not None
    search.started(baseline)
    search.give_up(baseline)
    made = run(search)
    assert baseline.trial_id not in {trial.trial_id for trial in made}
    assert Stage.SCRATCH not in search.found
    again = search_of(plan)
    assert baseline.trial_id in {trial.trial_id for trial in run(again)}
    assert Stage.SCRATCH in again.found


def test_a_diverged_trial_is_a_bad_one(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path), stages=(Stage.SCRATCH,))
    search = search_of(plan)
    while (trial := search.next()) is not None:
        search.started(trial)
        finished = trained(plan, trial)
        if trial.kind is Kind.TRIAL and trial.number % 3 == 0:
            finished = replace(finished, end=End.DIVERGED, val_losses=())
        search.done(finished)
    assert Stage.SCRATCH in search.found


def test_the_record_survives_a_cut_line_and_names_a_damaged_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    run(search_of(plan), at_most=5)
    path = tmp_path / "x" / "hparams" / "trials.jsonl"
    before = TrialRecord(plan.folder).finished
    path.write_bytes(path.read_bytes() + b'{"trial": {"kin')
    assert TrialRecord(plan.folder).finished == before
    assert path.read_bytes().endswith(b"\n")
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(RunError, match=r"trials.jsonl:1: expected a trial"):
        TrialRecord(plan.folder)


def test_a_search_of_something_else_is_refused(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    record_search(plan.folder, plan.identity({"alba": "1"}))
    check_same_search(plan.folder, plan.identity({"alba": "1"}))
    other = plan_of(tmp_path, sources=["related"])
    with pytest.raises(InputError) as caught:
        check_same_search(other.folder, other.identity({"alba": "2"}))
    assert {problem.what for problem in caught.value.problems} == {"sources", "val"}


def test_a_search_may_go_on_with_other_parts_of_a_batch(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    record_search(plan.folder, plan.identity({}))
    now = plan.identity({})
    protocol = now["protocol"]
    assert isinstance(protocol, dict)
    protocol["scratch"]["max_windows_at_once"] = 16
    check_same_search(plan.folder, now)
    protocol["scratch"]["clip_norm"] = 9.0
    with pytest.raises(InputError, match="protocol"):
        check_same_search(plan.folder, now)


def test_every_problem_of_a_plan_is_named(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, models=["nano", "micro"])
    plan = replace(plan, num_trials=1, at=(Size(5, "5"),))
    assert [problem.what for problem in check_plan(plan)] == ["models", "--trials", "--at"]
    poor = plan_of(tmp_path, budget=1_000)
    assert [problem.what for problem in check_budget(poor)] == ["--budget"]


def test_each_stage_is_searched_at_three_of_its_own_rungs(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, sizes=["2k", "8k", "32k", "128k"], scratch_sizes=["512k"])
    at = {stage: [study.size.label for study in plan.studies(stage)] for stage in STAGES}
    assert at[Stage.PRETRAIN] == ["400k"]
    assert at[Stage.SCRATCH] == ["2k", "32k", "512k"]
    assert at[Stage.FINETUNE] in (["2k", "8k", "128k"], ["2k", "32k", "128k"])


def test_pairs_take_turns_over_sources_and_targets(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, trials=4, sources=["related", "unrelated", "nonsense"])
    (study, *_) = plan.studies(Stage.FINETUNE)
    assert len(study.languages) == 2
    (first, second) = study.languages
    assert first[0] != second[0]
    assert first[1] != second[1]
