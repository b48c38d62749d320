"""The bytes that a search trains on, expected and maximum, and how a budget is divided.

A run with a fixed budget counts in full in both. A run until convergence is expected to stop where
the baselines of its study did; until those are known, after `ASSUMED_EPOCHS`. Its maximum is its
cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raydt.config.protocol import forwarded_bytes
from raydt.errors import Problem
from raydt.grid.cost import ASSUMED_EPOCHS, assumed_flops_per_second
from raydt.tracking.schema import Stage
from raydt.tuning.plan import MIN_TRIALS, NUM_CHECK_SEEDS, SearchPlan, Study
from raydt.tuning.space import BATCH, BUDGET
from raydt.units import Size, approximate_bytes

# The rule's recipe may take more bytes than the baselines from which its checks are estimated.
_MARGIN_OF_CHECKS = 1.25


@dataclass(frozen=True)
class Amount:
    """Bytes or FLOPs: expected and maximum."""

    expected: float = 0.0
    max: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.expected + other.expected, self.max + other.max)

    def __mul__(self, factor: float) -> Amount:
        return Amount(self.expected * factor, self.max * factor)


@dataclass(frozen=True)
class Cost:
    """The cost of one or more stages: bytes by purpose, FLOPs and number of runs.

    `kept_bytes` is the part of a budget reserved for everything but trials, with room for the cap
    of one run: the last run has to fit.
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
        """Bytes of all runs."""
        return self.baselines + self.trials + self.parents + self.checks


class SearchCost:
    """The cost of a plan before training, and the bytes that its trials may take."""

    def __init__(self, plan: SearchPlan) -> None:
        self._plan = plan
        self.of_stage = {stage: self._stage(stage, {}) for stage in plan.stages}
        self.whole = sum(self.of_stage.values(), Cost())

    @property
    def max_bytes(self) -> float:
        """The bytes that the whole search trains on at most."""
        return self._plan.budget_bytes or self.whole.total.max

    @property
    def expected_bytes(self) -> float:
        """The bytes that the whole search is expected to train on."""
        return min(self.max_bytes, self.whole.total.expected)

    @property
    def is_limited(self) -> bool:
        """Whether `--budget` is below the maximum of all runs."""
        return self.max_bytes < self.whole.total.max

    def flops(self) -> float:
        """Expected."""
        return self.whole.flops.expected * self.expected_bytes / self.whole.total.expected

    def seconds(self) -> float:
        """A rough estimate for the slots of this machine."""
        sweep = self._plan.sweep
        return self.flops() / assumed_flops_per_second(sweep) / sweep.num_slots

    def baseline_bytes(self, study: Study) -> int:
        """The maximum bytes of a baseline."""
        return self._plan.baselines(study)[0].budget_bytes(self._plan.window_bytes)

    def trial_bytes(self, study: Study) -> int:
        """The maximum bytes of a trial of a study, or of a check of the rule: the budget is
        searched, or is a cap that the last step of a larger batch may exceed."""
        plan = self._plan
        if not plan.ends_by_itself(study.stage):
            return round(self.baseline_bytes(study) * BUDGET.high)
        recipe, size = plan.recipe(study.stage), study.size.num_bytes
        step = recipe.batch_windows(size, plan.window_bytes) * BATCH.high * plan.window_bytes
        return recipe.budget(size) + round(step)

    def trials_bytes(self, study: Study, taken: Mapping[Study, float] | None = None) -> Amount:
        """Bytes of all trials of a study; the maximum is what the budget leaves for them.

        `taken` holds the bytes that the baselines of studies took, where known.
        """
        trials = self.trial(study, taken) * self._plan.num_trials
        cap = trials.max
        if self.is_limited:
            # Every stage has its own part of the budget: bytes that one stage saves do not give
            # another one more trials after it was decided.
            first = self.of_stage[study.stage]
            over = self.max_bytes - self.whole.kept_bytes
            part = first.kept_bytes + over * first.trials.expected / self.whole.trials.expected
            now = self._stage(study.stage, taken or {})
            cap = (part - now.kept_bytes) * trials.expected / now.trials.expected
        return Amount(min(trials.expected, max(0.0, cap)), cap)

    def trial(self, study: Study, taken: Mapping[Study, float] | None = None) -> Amount:
        """Bytes of one trial, or of one check of the rule."""
        cap = self.trial_bytes(study)
        if not self._plan.ends_by_itself(study.stage):
            return Amount(cap, cap)
        expected = (taken or {}).get(study, ASSUMED_EPOCHS * study.size.num_bytes)
        return Amount(min(cap, expected), cap)

    def _stage(self, stage: Stage, taken: Mapping[Study, float]) -> Cost:
        plan = self._plan
        parents, num_parents = self._parent(), len(plan.parents())
        if stage is not Stage.FINETUNE:
            parents, num_parents = Amount(), 0
        cost = Cost(parents=parents * num_parents, num_runs=num_parents)
        cost += Cost(flops=self._flops(stage, plan.sweep.pretrain_size, cost))
        cap = parents.max - parents.expected
        kept_bytes = cost.parents.expected
        for study in plan.studies(stage):
            run, limit = self.trial(study, taken), self.baseline_bytes(study)
            ends = plan.ends_by_itself(stage)
            baseline = Amount(min(limit, run.expected) if ends else limit, limit)
            num_languages = len(study.languages)
            num_checks = NUM_CHECK_SEEDS * num_languages
            mine = Cost(
                baselines=baseline * num_languages,
                trials=run * plan.num_trials,
                checks=(baseline + run) * num_checks,
                num_runs=num_languages + plan.num_trials + 2 * num_checks,
            )
            cost += mine + Cost(flops=self._flops(stage, study.size, mine))
            cap = max(cap, run.max - run.expected)
            checks = mine.checks
            kept_bytes += mine.baselines.expected
            kept_bytes += min(checks.max, _MARGIN_OF_CHECKS * checks.expected)
        return cost + Cost(kept_bytes=kept_bytes + cap)

    def _parent(self) -> Amount:
        """Bytes of one pretrain that finetunes start from."""
        plan = self._plan
        (study,) = plan.studies(Stage.PRETRAIN)
        if Stage.PRETRAIN in plan.stages:
            return self.trial(study, {})  # with the tuned recipe
        cap = self.baseline_bytes(study)
        ends = plan.ends_by_itself(Stage.PRETRAIN)
        return Amount(min(cap, ASSUMED_EPOCHS * study.size.num_bytes) if ends else cap, cap)

    def _flops(self, stage: Stage, size: Size, cost: Cost) -> Amount:
        """FLOPs of steps and evaluations; `test` is never read."""
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

        return Amount(flops(cost.total.expected), flops(cost.total.max))


def check_budget(plan: SearchPlan) -> list[Problem]:
    """A problem if the budget is too small for baselines, `MIN_TRIALS` trials and the checks."""
    cost = SearchCost(plan)
    studies = [study for stage in plan.stages for study in plan.studies(stage)]
    # The last trial starts only if its cap fits.
    times = max(
        (one.expected * (MIN_TRIALS - 1) + one.max) / (one.expected * plan.num_trials)
        for one in (cost.trial(study) for study in studies)
    )
    least = min(cost.whole.total.max, cost.whole.kept_bytes + cost.whole.trials.expected * times)
    if cost.max_bytes >= least:
        return []
    return [
        Problem(
            "--budget",
            f"at least {approximate_bytes(least)} (baselines, {MIN_TRIALS} trials per stage and "
            "size, and the check of their result)",
            approximate_bytes(cost.max_bytes),
        )
    ]
