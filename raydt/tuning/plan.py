"""What a search will train, and what that costs, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raydt.config.model import MODELS, ModelConfig
from raydt.config.protocol import Recipe
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem
from raydt.grid.cost import assumed_flops_per_second
from raydt.grid.identity import NUMERICS_VERSION
from raydt.storage.folder import Folder
from raydt.tracking.schema import Stage
from raydt.tuning.space import BUDGET, Hyperparameter, recipe_at, search_space
from raydt.tuning.trial import Kind, Trial
from raydt.units import Size, approximate_bytes

STAGES = (Stage.PRETRAIN, Stage.SCRATCH, Stage.FINETUNE)
# Seeds of their own: what is chosen must not be fitted to the seeds on which a grid is run, nor
# checked on those by which it was chosen.
_BASELINE_SEED, _TRIAL_SEED, _CHECK_SEED = 1_000_000, 1_000_001, 2_000_000
NUM_CHECK_SEEDS = 2
# Every language costs a baseline and checks of its own: no more than trials can make use of.
_TRIALS_PER_LANGUAGE, _LEAST_LANGUAGES = 4, 2
# Pairs differ more than languages: a recipe found on near pairs alone fails far ones
# (docs/protocols.md), so more of them are worth their baselines.
_TRIALS_PER_PAIR = 2
_LEAST_TRIALS = 4


@dataclass(frozen=True)
class Study:
    """The trials of one stage and size; `languages` are sources and targets that take turns."""

    stage: Stage
    size: Size
    languages: tuple[tuple[str | None, str | None], ...]

    @property
    def name(self) -> str:
        """For people, and for ASHA to tell studies apart."""
        return f"{self.stage} {self.size.label}"


@dataclass(frozen=True)
class SearchCost:
    """Bytes trained at most, by what for."""

    baselines_bytes: int
    trials_bytes: int
    parents_bytes: int
    checks_bytes: int
    flops: float
    num_runs: int

    @property
    def fixed_bytes(self) -> int:
        """What is not up to the number of trials."""
        return self.baselines_bytes + self.parents_bytes + self.checks_bytes

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.fixed_bytes + self.trials_bytes


@dataclass(frozen=True)
class SearchPlan:
    """A search as it was asked for, and what follows from that."""

    sweep: Sweep
    stages: tuple[Stage, ...]
    at: tuple[Size, ...]  # none: `default_at` of each stage's rungs
    num_trials: int  # of each stage and size
    asked_bytes: int | None  # trained at most; None: what the plan comes to

    @property
    def model_name(self) -> str:
        """The one model that is tuned."""
        return self.sweep.models[0]

    @property
    def model(self) -> ModelConfig:
        """Its shape."""
        return MODELS[self.model_name]

    @property
    def folder(self) -> Folder:
        """Where the search keeps its trials: within the sweep's, as no sweep is kept."""
        return self.sweep.folder / "hparams"

    @property
    def experiment(self) -> str:
        """In MLflow."""
        return f"{self.sweep.name}-hparams"

    def recipe(self, stage: Stage) -> Recipe:
        """As it was."""
        return self.sweep.protocol.recipe(stage)

    def space(self, stage: Stage) -> tuple[Hyperparameter, ...]:
        """What is searched."""
        return search_space(self.recipe(stage))

    def studies(self, stage: Stage) -> list[Study]:
        """One per size; a pretrain has one size."""
        if stage is Stage.PRETRAIN:
            sizes: Sequence[Size] = (self.sweep.pretrain_size,)
        else:
            rungs = self.sweep.ladder if stage is Stage.SCRATCH else self.sweep.sizes
            sizes = [size for size in self.at if size in rungs] if self.at else default_at(rungs)
        return [Study(stage, size, self._languages(stage)) for size in sizes]

    def _languages(self, stage: Stage) -> tuple[tuple[str | None, str | None], ...]:
        sweep = self.sweep
        every: list[tuple[str | None, str | None]]
        if stage is Stage.SCRATCH:
            every = [(None, target) for target in sweep.targets]
        elif stage is Stage.PRETRAIN:
            every = [(source, None) for source in dict.fromkeys(s for s, _ in sweep.pairs())]
        else:
            every = list(_taking_turns(sweep.pairs()))
        trials = _TRIALS_PER_PAIR if stage is Stage.FINETUNE else _TRIALS_PER_LANGUAGE
        return tuple(every[: max(_LEAST_LANGUAGES, self.num_trials // trials)])

    def baselines(self, study: Study, origin: str = "") -> list[Trial]:
        """The recipe as it was, once in each language."""
        recipe = recipe_at(self.recipe(study.stage), study.size.num_bytes, self.window_bytes, {})
        return [
            Trial(Kind.BASELINE, study.stage, source, target, study.size, _BASELINE_SEED, number,
                  recipe, origin)
            for number, (source, target) in enumerate(study.languages)
        ]  # fmt: skip

    def trial(
        self, study: Study, number: int, factors: Mapping[str, float], origin: str = ""
    ) -> Trial:
        """A trial with these factors; languages take turns."""
        source, target = study.languages[number % len(study.languages)]
        recipe = recipe_at(
            self.recipe(study.stage), study.size.num_bytes, self.window_bytes, factors
        )
        return Trial(Kind.TRIAL, study.stage, source, target, study.size, _TRIAL_SEED + number,
                     number, recipe, origin, factors)  # fmt: skip

    def checks(self, study: Study, kind: Kind, recipe: Recipe, origin: str = "") -> list[Trial]:
        """A recipe on fresh seeds: each language on each."""
        turns = [(pair, seed) for seed in range(NUM_CHECK_SEEDS) for pair in study.languages]
        return [
            Trial(kind, study.stage, source, target, study.size, _CHECK_SEED + seed, number, recipe,
                  origin)
            for number, ((source, target), seed) in enumerate(turns)
        ]  # fmt: skip

    def parent(self, source: str, recipe: Recipe, origin: str) -> Trial:
        """The pretrain that finetunes of this source start from."""
        return Trial(Kind.PARENT, Stage.PRETRAIN, source, None, self.sweep.pretrain_size,
                     _BASELINE_SEED, 0, recipe, origin)  # fmt: skip

    @property
    def window_bytes(self) -> int:
        """Of the model."""
        return self.model.window_bytes

    def trial_bytes(self, study: Study) -> int:
        """A trial of a study trains on at most: the budget is searched, too."""
        return round(self._baseline_bytes(study) * BUDGET.high)

    def _baseline_bytes(self, study: Study) -> int:
        return self.baselines(study)[0].budget_bytes(self.window_bytes)

    @cached_property
    def cost(self) -> SearchCost:
        """At most: ASHA and patience end many trials early, and the rule may end with twice the
        budget, or with half of it."""
        baselines = trials = parents = checks = num_runs = 0
        most = BUDGET.high
        for stage in self.stages:
            for study in self.studies(stage):
                one = self._baseline_bytes(study)
                num_checks = NUM_CHECK_SEEDS * len(study.languages)
                baselines += one * len(study.languages)
                trials += self.trial_bytes(study) * self.num_trials
                checks += round(one * num_checks * (1 + most))
                num_runs += len(study.languages) + self.num_trials + 2 * num_checks
        if Stage.FINETUNE in self.stages:
            sources = self.parents()
            recipe = self.recipe(Stage.PRETRAIN)
            budget = self.parent("", recipe, "").budget_bytes(self.window_bytes)
            tuned = most if Stage.PRETRAIN in self.stages else 1
            parents = round(len(sources) * budget * tuned)
            num_runs += len(sources)
        evaluated = self.sweep.protocol.evaluations * self.sweep.protocol.most_val_bytes
        total = baselines + trials + parents + checks
        flops = (
            total * self.model.training_flops_per_byte
            + num_runs * evaluated * self.model.forward_flops_per_byte
        )
        return SearchCost(baselines, trials, parents, checks, flops, num_runs)

    def parents(self) -> list[str]:
        """The sources that finetunes of the search start from."""
        if Stage.FINETUNE not in self.stages:
            return []
        languages = self._languages(Stage.FINETUNE)
        return list(dict.fromkeys(source for source, _ in languages if source is not None))

    @property
    def budget_bytes(self) -> int:
        """Bytes trained at most."""
        return self.asked_bytes or self.cost.total_bytes

    def allowance_bytes(self, study: Study) -> float:
        """What the trials of a study may use of the budget: their share of what the rest leaves."""
        share = self.trial_bytes(study) * self.num_trials / self.cost.trials_bytes
        return share * (self.budget_bytes - self.cost.fixed_bytes)

    def seconds(self) -> float:
        """A guess, on the slots of this machine."""
        return self.cost.flops / assumed_flops_per_second(self.sweep) / self.sweep.num_slots

    def identity(self, val_digests: Mapping[str, str]) -> dict[str, Any]:
        """What trials are only comparable under; more of them, more sizes and stages may come."""
        dumped = self.sweep.model_dump(mode="json")
        kept = ("corpus", "sources", "targets", "pretrain_size", "models", "protocol")
        return {
            **{name: dumped[name] for name in kept},
            "numerics": NUMERICS_VERSION,
            "val": dict(sorted(val_digests.items())),
        }


def default_at(rungs: Sequence[Size]) -> list[Size]:
    """The smallest, the geometric middle and the largest of a ladder; the rule covers the rest."""
    middle = (rungs[0].num_bytes * rungs[-1].num_bytes) ** 0.5
    nearest = min(rungs, key=lambda size: max(size.num_bytes / middle, middle / size.num_bytes))
    return sorted({rungs[0], nearest, rungs[-1]})


def check_plan(plan: SearchPlan) -> list[Problem]:
    """What makes a search impossible, or its outcome worthless."""
    sweep = plan.sweep
    problems = []
    if len(sweep.models) != 1:
        problems.append(
            Problem("models", "one: hyperparameters are of a model", " ".join(sweep.models))
        )
    if plan.num_trials < _LEAST_TRIALS:
        problems.append(
            Problem(
                "--trials", f"at least {_LEAST_TRIALS} per stage and size", str(plan.num_trials)
            )
        )
    rungs = {size for stage in plan.stages if stage is not Stage.PRETRAIN
             for size in (sweep.ladder if stage is Stage.SCRATCH else sweep.sizes)}  # fmt: skip
    problems += [
        Problem("--at", f"sizes of the ladder: {' '.join(map(str, sorted(rungs)))}", str(size))
        for size in plan.at
        if size not in rungs and rungs
    ]
    if problems:
        return problems
    cost = plan.cost
    least = cost.fixed_bytes + cost.trials_bytes * _LEAST_TRIALS / plan.num_trials
    if plan.budget_bytes < least:
        problems.append(
            Problem(
                "--budget",
                f"at least {approximate_bytes(least)}: baselines, {_LEAST_TRIALS} trials per stage "
                "and size, and the check of what they find",
                approximate_bytes(plan.budget_bytes),
            )
        )
    return problems


def _taking_turns(pairs: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The pairs in an order in which, as far as can be, neither a source nor a target comes twice
    in a row: the first few of them are of many languages."""
    left = list(pairs)
    used: dict[str, int] = {}
    while left:
        best = min(left, key=lambda pair: used.get("s" + pair[0], 0) + used.get("t" + pair[1], 0))
        left.remove(best)
        for key in ("s" + best[0], "t" + best[1]):
            used[key] = used.get(key, 0) + 1
        yield best


def require_possible(plan: SearchPlan) -> None:
    """`InputError` with all that `check_plan` finds."""
    problems = check_plan(plan)
    if problems:
        raise InputError(problems)
