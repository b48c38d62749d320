"""The plan of a search: what it trains, and the checks before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raydt.config.model import MODELS, ModelConfig
from raydt.config.recipe import Recipe
from raydt.config.sweep import Sweep
from raydt.errors import Problem
from raydt.grid.identity import NUMERICS_VERSION
from raydt.storage.folder import Folder
from raydt.tracking.schema import Stage
from raydt.tuning.score import PRICE_OF_A_DOUBLING, price_of_a_doubling
from raydt.tuning.space import Hyperparameter, ends_by_itself, recipe_at, search_space
from raydt.tuning.trial import Kind, Trial
from raydt.units import Size

STAGES = (Stage.PRETRAIN, Stage.SCRATCH, Stage.FINETUNE)
# Separate seeds: a recipe must not be fitted to the seeds of a grid, nor checked on the seeds that
# it was chosen with.
_BASELINE_SEED, _TRIAL_SEED, _CHECK_SEED = 1_000_000, 1_000_001, 2_000_000
NUM_CHECK_SEEDS = 2
# Every language costs a baseline and checks, so use no more languages than the trials need.
_TRIALS_PER_LANGUAGE, _MIN_LANGUAGES = 4, 2
# Pairs differ more than languages: a recipe found on near pairs alone fails far ones
# (docs/protocols.md), so more of them are worth their baselines.
_TRIALS_PER_PAIR = 2
MIN_TRIALS = 4


@dataclass(frozen=True)
class Study:
    """The trials of one stage and size; they cycle through `languages` (source, target)."""

    stage: Stage
    size: Size
    languages: tuple[tuple[str | None, str | None], ...]

    @property
    def name(self) -> str:
        """The name to show."""
        return f"{self.stage} {self.size.label}"


@dataclass(frozen=True)
class SearchPlan:
    """A search as requested, and what follows from that."""

    sweep: Sweep
    stages: tuple[Stage, ...]
    at: tuple[Size, ...]  # empty: `default_at` of each stage's rungs
    num_trials: int  # per stage and size
    budget_bytes: int | None  # maximum over all runs; None: no limit besides the plan

    @property
    def model_name(self) -> str:
        """The name of the model that is tuned."""
        return self.sweep.models[0]

    @property
    def model(self) -> ModelConfig:
        """The architecture of the model that is tuned."""
        return MODELS[self.model_name]

    @property
    def folder(self) -> Folder:
        """The folder of the search, inside the folder of its sweep."""
        return self.sweep.folder / "hparams"

    @property
    def experiment(self) -> str:
        """The name of the MLflow experiment."""
        return f"{self.sweep.name}-hparams"

    def recipe(self, stage: Stage) -> Recipe:
        """The recipe of a stage before the search."""
        return self.sweep.protocol.recipe(stage)

    def space(self, stage: Stage) -> tuple[Hyperparameter, ...]:
        """The hyperparameters that are searched in a stage."""
        return search_space(self.recipe(stage), has_budget=not self.ends_by_itself(stage))

    def ends_by_itself(self, stage: Stage) -> bool:
        """Whether runs of this stage train until convergence and not for a fixed budget."""
        return ends_by_itself(self.sweep.protocol, self.recipe(stage))

    def price(self, stage: Stage) -> float:
        """How much a doubling of bytes must reduce the log loss to be worth its cost."""
        if self.ends_by_itself(stage):
            return price_of_a_doubling(self.sweep.protocol.tolerance)
        return PRICE_OF_A_DOUBLING

    def studies(self, stage: Stage) -> list[Study]:
        """The studies of a stage: one per size; a pretrain has one size."""
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
            every = list(_alternating(sweep.pairs()))
        trials = _TRIALS_PER_PAIR if stage is Stage.FINETUNE else _TRIALS_PER_LANGUAGE
        return tuple(every[: max(_MIN_LANGUAGES, self.num_trials // trials)])

    def baselines(self, study: Study, origin: str = "") -> list[Trial]:
        """The previous recipe, once per language."""
        recipe = recipe_at(self.recipe(study.stage), study.size.num_bytes, self.window_bytes, {})
        return [
            Trial(
                Kind.BASELINE,
                study.stage,
                source,
                target,
                study.size,
                _BASELINE_SEED,
                number,
                recipe,
                origin,
            )
            for number, (source, target) in enumerate(study.languages)
        ]

    def trial(
        self, study: Study, number: int, factors: Mapping[str, float], origin: str = ""
    ) -> Trial:
        """Trial `number` with these factors; its number selects the language."""
        source, target = study.languages[number % len(study.languages)]
        recipe = recipe_at(
            self.recipe(study.stage), study.size.num_bytes, self.window_bytes, factors
        )
        return Trial(
            Kind.TRIAL,
            study.stage,
            source,
            target,
            study.size,
            _TRIAL_SEED + number,
            number,
            recipe,
            origin,
            factors,
        )

    def checks(self, study: Study, kind: Kind, recipe: Recipe, origin: str = "") -> list[Trial]:
        """A recipe in each language, on each of the fresh seeds."""
        turns = [(pair, seed) for seed in range(NUM_CHECK_SEEDS) for pair in study.languages]
        return [
            Trial(
                kind,
                study.stage,
                source,
                target,
                study.size,
                _CHECK_SEED + seed,
                number,
                recipe,
                origin,
            )
            for number, ((source, target), seed) in enumerate(turns)
        ]

    def parent(self, source: str, recipe: Recipe, origin: str) -> Trial:
        """The pretrain that finetunes of this source start from."""
        return Trial(
            Kind.PARENT,
            Stage.PRETRAIN,
            source,
            None,
            self.sweep.pretrain_size,
            _BASELINE_SEED,
            0,
            recipe,
            origin,
        )

    @property
    def window_bytes(self) -> int:
        """The window of the model."""
        return self.model.window_bytes

    def parents(self) -> list[str]:
        """The sources that finetunes of the search start from."""
        if Stage.FINETUNE not in self.stages:
            return []
        languages = self._languages(Stage.FINETUNE)
        return list(dict.fromkeys(source for source, _ in languages if source is not None))

    def identity(self, val_digests: Mapping[str, str]) -> dict[str, object]:
        """Everything that must be equal for trials to be comparable. The number of trials, sizes
        and stages may change between launches."""
        dumped = self.sweep.model_dump(mode="json")
        kept = ("corpus", "sources", "targets", "pretrain_size", "models", "protocol")
        return {
            **{name: dumped[name] for name in kept},
            "numerics": NUMERICS_VERSION,
            "val": dict(sorted(val_digests.items())),
        }


def default_at(rungs: Sequence[Size]) -> list[Size]:
    """The smallest, the middle (geometric) and the largest rung; the rule covers the rest."""
    middle = (rungs[0].num_bytes * rungs[-1].num_bytes) ** 0.5
    nearest = min(rungs, key=lambda size: max(size.num_bytes / middle, middle / size.num_bytes))
    return sorted({rungs[0], nearest, rungs[-1]})


def check_plan(plan: SearchPlan) -> list[Problem]:
    """Problems that make a search impossible, or its result useless."""
    sweep = plan.sweep
    problems = []
    if len(sweep.models) != 1:
        problems.append(
            Problem(
                "models", "one model (each needs its own hyperparameters)", " ".join(sweep.models)
            )
        )
    if plan.num_trials < MIN_TRIALS:
        problems.append(
            Problem("--trials", f"at least {MIN_TRIALS} per stage and size", str(plan.num_trials))
        )
    ladders = {Stage.SCRATCH: sweep.ladder, Stage.FINETUNE: sweep.sizes}
    rungs = {size for stage in plan.stages for size in ladders.get(stage, ())}
    problems += [
        Problem("--at", f"a size of the ladder: {' '.join(map(str, sorted(rungs)))}", str(size))
        for size in plan.at
        if size not in rungs and rungs
    ]
    problems += [
        Problem(
            f"protocol: {stage}",
            "a constant schedule and a tolerance above 0 (cells train until convergence), or an "
            "evaluation_growth of 1 (trials are compared at equal fractions of a budget)",
            f"schedule {plan.recipe(stage).schedule}, tolerance {sweep.protocol.tolerance:g}, "
            f"evaluation_growth {sweep.protocol.evaluation_growth:g}",
        )
        for stage in plan.stages
        if sweep.protocol.evaluation_growth > 1 and not plan.ends_by_itself(stage)
    ]
    return problems


def _alternating(pairs: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The pairs, ordered so that the first few cover as many sources and targets as possible."""
    left = list(pairs)
    used: dict[str, int] = {}
    while left:
        best = min(left, key=lambda pair: used.get("s" + pair[0], 0) + used.get("t" + pair[1], 0))
        left.remove(best)
        for key in ("s" + best[0], "t" + best[1]):
            used[key] = used.get(key, 0) + 1
        yield best
