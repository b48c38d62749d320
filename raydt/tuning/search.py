"""The order of a search: baselines, trials and the check of their result, stage by stage.

This module uses neither Ray nor torch. Finished trials are in the record and everything else
follows from it, so a search that was killed resumes from the record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from raydt.config.recipe import Recipe
from raydt.tracking.schema import Stage
from raydt.tuning.check import Comparison, compare, is_better
from raydt.tuning.compared import Compared
from raydt.tuning.cost import SearchCost
from raydt.tuning.fitting import scored_trials
from raydt.tuning.plan import SearchPlan, Study
from raydt.tuning.rule import Rule, fit_rule
from raydt.tuning.sampler import Sampler, sampler_of
from raydt.tuning.score import Curve
from raydt.tuning.space import recipe_at, scaled
from raydt.tuning.stage_result import StageResult
from raydt.tuning.trial import Finished, Kind, Trial
from raydt.tuning.trials import TrialRecord


class Search:
    """Hands out trials. `next` returns one that can start now, or None: then, if trials are
    running, one of them has to end first; if none is, the search is done."""

    def __init__(
        self, plan: SearchPlan, record: TrialRecord, on_found: Callable[[StageResult], None]
    ) -> None:
        self.plan = plan
        self.cost = SearchCost(plan)
        self.record = record
        self.running: dict[str, Trial] = {}
        self.failed: dict[str, Trial] = {}  # their process died or raised an error
        self.found: dict[Stage, StageResult] = {}
        self._on_found = on_found
        self._compared = Compared(plan, record)
        self._samplers: dict[Study, Sampler] = {}
        self._tuned: dict[Stage, tuple[Rule | None, Recipe]] = {}

    @property
    def bytes_trained(self) -> int:
        """The bytes of all finished runs, of this launch and of earlier ones."""
        return sum(finished.bytes_seen for finished in self.record.finished.values())

    def next(self) -> Trial | None:
        """The next trial to start, or None. Earlier stages come first: finetunes depend on them."""
        for stage in self.plan.stages:
            trial = self._next_of(stage)
            if trial is None:
                continue
            # The budget of a `Kind.TRIAL` was checked when it was made.
            if trial.kind is Kind.TRIAL or self._fits(trial.budget_bytes(self.plan.window_bytes)):
                return trial
            if self.running:
                return None  # running trials may not use all of their caps
            self._decide(
                stage,
                None,
                self.plan.recipe(stage),
                (),
                "The budget was too small to finish this stage, so its recipe is unchanged. Resume "
                "the search with a larger --budget.",
            )
        return None

    def started(self, trial: Trial) -> None:
        """Note that a trial has started."""
        self.running[trial.trial_id] = trial

    def done(self, finished: Finished) -> None:
        """Record a trial that has ended."""
        trial = finished.trial
        del self.running[trial.trial_id]
        self._compared.forget(trial)
        self.record.add(finished)
        if trial.kind is Kind.TRIAL:
            study = self._compared.study_of(trial)
            self._sampler(study).tell(
                trial.trial_id, self.score(finished), self._compared.stopped_after(finished)
            )

    def give_up(self, trial: Trial) -> None:
        """Note that a trial failed for good. This launch continues without it; the next one retries
        it."""
        del self.running[trial.trial_id]
        self._compared.forget(trial)
        self.failed[trial.trial_id] = trial
        if trial.kind is Kind.TRIAL:
            self._sampler(self._compared.study_of(trial)).forget(trial.trial_id)

    def is_stopped(self, trial: Trial, curve: Curve) -> bool:
        """Whether a running trial is stopped after the last evaluation of its `curve`. Call it
        after every evaluation."""
        if trial.kind is not Kind.TRIAL:
            return False
        of_its_study = self.trials_of(self._compared.study_of(trial))
        return self._compared.is_stopped(trial, curve, of_its_study, self.running.values())

    def score(self, finished: Finished) -> float:
        """The score of a trial against its baseline: see `raydt.tuning.compared`."""
        return self._compared.score(finished)

    def weights_of(self, source: str) -> Finished | None:
        """The pretrain that finetunes of this source start from."""
        return self.record.finished.get(self._parent(source).trial_id)

    def trials_of(self, study: Study) -> list[Finished]:
        """The finished trials of a study."""
        origin = self._origin(study.stage)
        return [
            finished
            for finished in self.record.finished.values()
            if finished.trial.kind is Kind.TRIAL
            and (finished.trial.stage, finished.trial.size) == (study.stage, study.size)
            and finished.trial.origin == origin
        ]

    # The steps of one stage, in order.

    def _next_of(self, stage: Stage) -> Trial | None:
        if stage in self.found:
            return None
        if stage is Stage.FINETUNE:
            before = Stage.PRETRAIN in self.plan.stages and Stage.PRETRAIN not in self.found
            parents = [] if before else [self._parent(source) for source in self.plan.parents()]
            if before or not self._all_finished(parents):
                return self._first_open(parents)
        studies = self.plan.studies(stage)
        origin = self._origin(stage)
        for study in studies:
            trial = self._first_open(self.plan.baselines(study, origin))
            if trial is not None:
                return trial
        for study in studies:
            if self._all_finished(self.plan.baselines(study, origin)):
                trial = self._next_trial(study)
                if trial is not None:
                    return trial
        if any(trial.stage is stage for trial in self.running.values()):
            if stage not in self._tuned:
                return None
        elif any(
            trial.stage is stage for trial in self.failed.values() if trial.kind is not Kind.TRIAL
        ):
            return None  # no result without a baseline or a check
        return self._next_check(stage, studies)

    def _next_trial(self, study: Study) -> Trial | None:
        origin = self._origin(study.stage)
        taken = {t.trial.number for t in self.trials_of(study)}
        for trial in (*self.running.values(), *self.failed.values()):
            if (trial.kind, trial.stage, trial.size) == (Kind.TRIAL, study.stage, study.size):
                taken.add(trial.number)
        number = next((n for n in range(self.plan.num_trials) if n not in taken), None)
        if number is None or study.stage in self._tuned:
            return None
        committed = sum(finished.bytes_seen for finished in self.trials_of(study)) + sum(
            other.budget_bytes(self.plan.window_bytes)
            for other in self.running.values()
            if other.kind is Kind.TRIAL and self._compared.study_of(other) == study
        )
        # The cap and not the expected bytes: the same record always gives the same answer. Running
        # trials may end early, which leaves room for more.
        cap = self.cost.trial_bytes(study)
        seen = self._baselines_bytes(study.stage) if self.cost.is_limited else {}
        allowed = self.cost.trials_bytes(study, seen).max
        if committed + cap > allowed or not self._fits(cap):
            return None
        factors = self._sampler(study).ask(self.plan.trial(study, number, {}, origin).trial_id)
        return self.plan.trial(study, number, factors, origin)

    def _next_check(self, stage: Stage, studies: list[Study]) -> Trial | None:
        rule, recipe = self._fitted(stage, studies)
        if rule is None or recipe == self.plan.recipe(stage):
            unchanged = "The rule left the recipe unchanged."
            why = "Too few trials finished." if rule is None else unchanged
            self._decide(stage, rule, recipe=self.plan.recipe(stage), comparisons=(), why=why)
            return None
        origin = self._origin(stage)
        before, after = {}, {}
        for study in studies:
            was = recipe_at(
                self.plan.recipe(stage), study.size.num_bytes, self.plan.window_bytes, {}
            )
            before[study] = self.plan.checks(study, Kind.CHECK_BEFORE, was, origin)
            after[study] = self.plan.checks(
                study, Kind.CHECK_AFTER, recipe, _joined(origin, _digest(recipe))
            )
        every = [t for study in studies for t in (*before[study], *after[study])]
        if not self._all_finished(every):
            return self._first_open(every)
        finished = self.record.finished
        comparisons = tuple(
            compare(
                study.size,
                [finished[t.trial_id] for t in before[study]],
                [finished[t.trial_id] for t in after[study]],
                self.plan.price(stage),
            )
            for study in studies
        )
        better = is_better(comparisons)
        why = (
            "Better than the previous recipe on fresh seeds, by more than one standard error."
            if better
            else "The rule's recipe was not better on fresh seeds by more than one standard error, "
            "so the recipe is unchanged."
        )
        kept = recipe if better else self.plan.recipe(stage)
        self._decide(stage, rule, kept, comparisons, why)
        return None

    def _decide(
        self,
        stage: Stage,
        rule: Rule | None,
        recipe: Recipe,
        comparisons: tuple[Comparison, ...],
        why: str,
    ) -> None:
        num_trials = sum(len(self.trials_of(study)) for study in self.plan.studies(stage))
        tuned = recipe != self.plan.recipe(stage)
        self.found[stage] = StageResult(stage, recipe, tuned, rule, comparisons, num_trials, why)
        self._on_found(self.found[stage])

    def _fitted(self, stage: Stage, studies: list[Study]) -> tuple[Rule | None, Recipe]:
        if stage not in self._tuned:
            finished = {study: self.trials_of(study) for study in studies}
            baselines = {s: self.plan.baselines(s, self._origin(stage)) for s in studies}
            scored = scored_trials(self.plan, finished, baselines, self.score)
            rule = fit_rule(scored, self.plan.space(stage))
            recipe = self.plan.recipe(stage)
            if rule is not None:
                recipe = scaled(recipe, rule.factors, rule.growths, rule.pivot_bytes)
            self._tuned[stage] = rule, recipe
        return self._tuned[stage]

    def _sampler(self, study: Study) -> Sampler:
        if study not in self._samplers:
            self._samplers[study] = sampler_of(
                self.plan, study, self.trials_of(study), self._compared
            )
        return self._samplers[study]

    def _fits(self, max_bytes: int) -> bool:
        """Whether a run of at most `max_bytes` fits the budget, even if all running trials use
        their whole caps."""
        if self.plan.budget_bytes is None:
            return True
        running = sum(other.budget_bytes(self.plan.window_bytes) for other in self.running.values())
        return self.bytes_trained + running + max_bytes <= self.plan.budget_bytes

    def _baselines_bytes(self, stage: Stage) -> dict[Study, float]:
        """Mean bytes of the baselines of each study of a stage whose baselines are all finished."""
        taken = {}
        for study in self.plan.studies(stage):
            trials = self.plan.baselines(study, self._origin(stage))
            if self._all_finished(trials):
                seen = [self.record.finished[trial.trial_id].bytes_seen for trial in trials]
                taken[study] = max(1.0, sum(seen) / len(seen))
        return taken

    def _parent(self, source: str) -> Trial:
        return self.plan.parent(source, self._pretrain_recipe(), _digest(self._pretrain_recipe()))

    def _pretrain_recipe(self) -> Recipe:
        found = self.found.get(Stage.PRETRAIN)
        return self.plan.recipe(Stage.PRETRAIN) if found is None else found.recipe

    def _origin(self, stage: Stage) -> str:
        # Finetunes from other weights are different trials.
        return _digest(self._pretrain_recipe()) if stage is Stage.FINETUNE else ""

    def _all_finished(self, trials: list[Trial]) -> bool:
        return all(trial.trial_id in self.record.finished for trial in trials)

    def _first_open(self, trials: list[Trial]) -> Trial | None:
        for trial in trials:
            known = (self.record.finished, self.running, self.failed)
            if not any(trial.trial_id in those for those in known):
                return trial
        return None


def _digest(recipe: Recipe) -> str:
    text = json.dumps(recipe.identity(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _joined(*parts: str) -> str:
    return "-".join(part for part in parts if part)
