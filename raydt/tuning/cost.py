"""What a search trains on, as expected and at most, and how a budget is divided.

A run with a fixed budget counts whole in both. One that ends by itself is expected to end where the
baselines of its study did and, until those are known, where `ASSUMED_EPOCHS` says; what it trains
on at most is its cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raydt.config.protocol import forwarded_bytes
from raydt.errors import Problem
from raydt.grid.cost import ASSUMED_EPOCHS, assumed_flops_per_second
from raydt.tracking.schema import Stage
from raydt.tuning.plan import LEAST_TRIALS, NUM_CHECK_SEEDS, SearchPlan, Study
from raydt.tuning.space import BATCH, BUDGET
from raydt.units import Size, approximate_bytes

# The rule's recipe may take more bytes than the baselines by which its checks are expected.
_MARGIN_OF_CHECKS = 1.25


@dataclass(frozen=True)
class Amount:
    """Bytes, or FLOPs."""

    expected: float = 0.0
    most: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.expected + other.expected, self.most + other.most)

    def __mul__(self, factor: float) -> Amount:
        return Amount(self.expected * factor, self.most * factor)


@dataclass(frozen=True)
class Cost:
    """Of a stage, or of several: bytes by what for, FLOPs, runs.

    `kept_bytes` is what trials leave of a budget for the rest, with room for the cap of one run:
    the last one has to fit in.
    """

    baselines: Amount = Amount()
    trials: Amount = Amount()
    parents: Amount = Amount()
    checks: Amount = Amount()
    flops: Amount = Amount()
    num_runs: int = 0
    kept_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            baselines=self.baselines + other.baselines,
            trials=self.trials + other.trials,
            parents=self.parents + other.parents,
            checks=self.checks + other.checks,
            flops=self.flops + other.flops,
            num_runs=self.num_runs + other.num_runs,
            kept_bytes=self.kept_bytes + other.kept_bytes,
        )

    @property
    def total(self) -> Amount:
        """Bytes of everything."""
        return self.baselines + self.trials + self.parents + self.checks


class SearchCost:
    """What a plan costs before anything is trained, and what its trials may take."""

    def __init__(self, plan: SearchPlan) -> None:
        self._plan = plan
        self.of_stage = {stage: self._stage(stage, {}) for stage in plan.stages}
        self.whole = sum(self.of_stage.values(), Cost())

    @property
    def max_bytes(self) -> float:
        """Trained at most, over everything: no search trains on more."""
        return self._plan.asked_bytes or self.whole.total.most

    @property
    def expected_bytes(self) -> float:
        """As things mostly go."""
        return min(self.max_bytes, self.whole.total.expected)

    @property
    def is_limited(self) -> bool:
        """Whether the budget that was asked for is less than everything could come to."""
        return self.max_bytes < self.whole.total.most

    def flops(self) -> float:
        """Expected."""
        return self.whole.flops.expected * self.expected_bytes / self.whole.total.expected

    def seconds(self) -> float:
        """A guess, on the slots of this machine."""
        sweep = self._plan.sweep
        return self.flops() / assumed_flops_per_second(sweep) / sweep.num_slots

    def baseline_bytes(self, study: Study) -> int:
        """The recipe as it was, at most."""
        return self._plan.baselines(study)[0].budget_bytes(self._plan.window_bytes)

    def trial_bytes(self, study: Study) -> int:
        """A trial of a study, or a check of the rule, trains on at most: the budget is searched,
        or it is a cap that the last step of a larger batch may pass."""
        plan = self._plan
        if not plan.ends_by_itself(study.stage):
            return round(self.baseline_bytes(study) * BUDGET.high)
        recipe, size = plan.recipe(study.stage), study.size.num_bytes
        step = recipe.batch_windows(size, plan.window_bytes) * BATCH.high * plan.window_bytes
        return recipe.budget(size) + round(step)

    def trials_bytes(self, study: Study, taken: Mapping[Study, float] | None = None) -> Amount:
        """What the trials of a study train on; at most, what the budget leaves them.

        `taken` are bytes that the baselines of studies took, where they are known.
        """
        trials = self.trial(study, taken) * self._plan.num_trials
        most = trials.most
        if self.is_limited:
            # Every stage has its part of the budget, so that what one stage found out about its
            # bytes does not give another one more trials after it was decided.
            first = self.of_stage[study.stage]
            over = self.max_bytes - self.whole.kept_bytes
            part = first.kept_bytes + over * first.trials.expected / self.whole.trials.expected
            now = self._stage(study.stage, taken or {})
            most = (part - now.kept_bytes) * trials.expected / now.trials.expected
        return Amount(min(trials.expected, max(0.0, most)), most)

    def trial(self, study: Study, taken: Mapping[Study, float] | None = None) -> Amount:
        """Bytes of a trial, or of a check of the rule."""
        most = self.trial_bytes(study)
        if not self._plan.ends_by_itself(study.stage):
            return Amount(most, most)
        expected = (taken or {}).get(study, ASSUMED_EPOCHS * study.size.num_bytes)
        return Amount(min(most, expected), most)

    def _stage(self, stage: Stage, taken: Mapping[Study, float]) -> Cost:
        plan = self._plan
        parents, num_parents = self._parent(), len(plan.parents())
        if stage is not Stage.FINETUNE:
            parents, num_parents = Amount(), 0
        cost = Cost(parents=parents * num_parents, num_runs=num_parents)
        cost += Cost(flops=self._flops(stage, plan.sweep.pretrain_size, cost))
        cap = parents.most - parents.expected
        kept_bytes = cost.parents.expected
        for study in plan.studies(stage):
            run, most = self.trial(study, taken), self.baseline_bytes(study)
            ends = plan.ends_by_itself(stage)
            baseline = Amount(min(most, run.expected) if ends else most, most)
            num_languages = len(study.languages)
            num_checks = NUM_CHECK_SEEDS * num_languages
            mine = Cost(
                baselines=baseline * num_languages,
                trials=run * plan.num_trials,
                checks=(baseline + run) * num_checks,
                num_runs=num_languages + plan.num_trials + 2 * num_checks,
            )
            cost += mine + Cost(flops=self._flops(stage, study.size, mine))
            cap = max(cap, run.most - run.expected)
            checks = mine.checks
            kept_bytes += mine.baselines.expected
            kept_bytes += min(checks.most, _MARGIN_OF_CHECKS * checks.expected)
        return cost + Cost(kept_bytes=kept_bytes + cap)

    def _parent(self) -> Amount:
        """Bytes of a pretrain that finetunes start from."""
        plan = self._plan
        (study,) = plan.studies(Stage.PRETRAIN)
        if Stage.PRETRAIN in plan.stages:
            return self.trial(study, {})  # with the recipe that is found
        most = self.baseline_bytes(study)
        ends = plan.ends_by_itself(Stage.PRETRAIN)
        return Amount(min(most, ASSUMED_EPOCHS * study.size.num_bytes) if ends else most, most)

    def _flops(self, stage: Stage, size: Size, cost: Cost) -> Amount:
        """Of steps and evaluations; `test` is never read."""
        model, protocol = self._plan.model, self._plan.sweep.protocol
        if cost.num_runs == 0:
            return Amount()
        val = forwarded_bytes(protocol.most_val_bytes, model.window_bytes)

        def flops(trained_bytes: float) -> float:
            one = round(trained_bytes / cost.num_runs)
            evaluated = protocol.num_evaluations(stage, size.num_bytes, one) * val * cost.num_runs
            return (
                trained_bytes * model.training_flops_per_byte
                + evaluated * model.forward_flops_per_byte
            )

        return Amount(flops(cost.total.expected), flops(cost.total.most))


def check_budget(plan: SearchPlan) -> list[Problem]:
    """A problem if the budget does not pay for baselines, the least trials and the check."""
    cost = SearchCost(plan)
    studies = [study for stage in plan.stages for study in plan.studies(stage)]
    # The last of them starts only where its cap fits in.
    times = max(
        (one.expected * (LEAST_TRIALS - 1) + one.most) / (one.expected * plan.num_trials)
        for one in (cost.trial(study) for study in studies)
    )
    least = min(cost.whole.total.most, cost.whole.kept_bytes + cost.whole.trials.expected * times)
    if cost.max_bytes >= least:
        return []
    return [
        Problem(
            "--budget",
            f"at least {approximate_bytes(least)}: baselines, {LEAST_TRIALS} trials per stage "
            "and size, and the check of what they find",
            approximate_bytes(cost.max_bytes),
        )
    ]
