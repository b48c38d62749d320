"""Record finished trials in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raydt.orchestration.run.recorder import Recorder
from raydt.tracking import schema
from raydt.tracking.search_writer import SearchWriter
from raydt.tuning.search import Search
from raydt.tuning.trial import Finished, Kind


class TrialRecorder:
    """Writes finished trials into the store through a `Recorder`."""

    def __init__(self, recorder: Recorder, writer: SearchWriter, search: Search) -> None:
        self._recorder = recorder
        self._writer = writer
        self._search = search

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Write the search, and trials of earlier launches that the store lacks."""
        self._recorder.put("plan", lambda: self._writer.write_plan(identity))
        for finished in self._search.record.finished.values():
            if finished.trial.trial_id not in self._writer.recorded:
                self.ended(finished)

    def ended(self, finished: Finished) -> None:
        """Write a finished trial."""
        trial, plan = finished.trial, self._search.plan
        size, window = trial.size.num_bytes, plan.window_bytes
        here = trial.recipe.for_size(size)
        params = {
            "kind": trial.kind,
            schema.PARAM_STAGE: trial.stage,
            schema.PARAM_SOURCE: trial.source,
            schema.PARAM_TARGET: trial.target,
            schema.PARAM_SIZE: trial.size.label,
            schema.PARAM_SIZE_BYTES: size,
            schema.PARAM_SEED: trial.seed,
            schema.PARAM_MODEL: plan.model_name,
            schema.PARAM_LEARNING_RATE: here.learning_rate,
            "embedding_learning_rate": here.embedding_learning_rate,
            "weight_decay": here.weight_decay,
            "warmup_steps": here.warmup_steps,
            schema.PARAM_BATCH_WINDOWS: trial.recipe.batch_windows(size, window),
            schema.PARAM_BUDGET_BYTES: trial.recipe.budget(size),
            **{f"factor.{name}": f"{value:.4g}" for name, value in trial.factors.items()},
        }
        final = {
            schema.METRIC_BEST_VAL_LOSS: finished.best_val_loss,
            schema.METRIC_BYTES_SEEN: float(finished.bytes_seen),
            schema.METRIC_SECONDS: finished.seconds,
        }
        if trial.kind is Kind.TRIAL:
            final[schema.METRIC_SCORE] = self._search.score(finished)
        run_name = f"{trial.kind} {trial.stage} {trial.languages} {trial.size.label} {trial.number}"
        self._recorder.put(
            trial.trial_id,
            lambda: self._writer.write_trial(
                trial.trial_id,
                run_name,
                params,
                finished.val_losses,
                final,
                finished.end,
                finished.time - finished.seconds,
                finished.time,
            ),
        )

    def write_text(self, text: str, name: str) -> None:
        """Write an artifact of the search."""
        self._recorder.put(name, lambda: self._writer.write_text(text, name))
