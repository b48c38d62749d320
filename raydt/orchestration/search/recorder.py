"""MLflow beside a search: a thread of the driver. A store that is away costs nothing: the next
launch writes what is missing, from the record."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from raydt.tracking import schema
from raydt.tracking.search_writer import SearchWriter
from raydt.tuning.search import Search
from raydt.tuning.trial import Finished, Kind


class SearchRecorder(threading.Thread):
    """Takes finished trials to write into the store."""

    def __init__(self, client: Any, search: Search, identity: Mapping[str, Any]) -> None:
        super().__init__(name="mlflow", daemon=True)
        plan = search.plan
        self.search = search
        self._writer = SearchWriter(client, plan.sweep.store_uri, plan.experiment, plan.sweep.name)
        self.experiment_id = self._writer.experiment_id
        self.not_recorded: dict[str, str] = {}  # trial id, or a file -> why
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._put("plan", lambda: self._writer.write_plan(identity))
        for finished in search.record.finished.values():
            if finished.trial.trial_id not in self._writer.recorded:
                self.ended(finished)

    def ended(self, finished: Finished) -> None:
        """A trial is in the record."""
        trial, plan = finished.trial, self.search.plan
        compared = trial.kind is Kind.TRIAL
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
        if compared:
            final[schema.METRIC_SCORE] = self.search.score(finished)
        self._put(
            trial.trial_id,
            lambda: self._writer.write_trial(
                trial.trial_id,
                f"{trial.kind} {trial.stage} {trial.languages} {trial.size.label} {trial.number}",
                params, finished.val_losses, final, finished.end,
                finished.time - finished.seconds, finished.time,
            ),
        )  # fmt: skip

    def write_text(self, text: str, name: str) -> None:
        """An artifact of the search."""
        self._put(name, lambda: self._writer.write_text(text, name))

    def finish(self, note: str, whole: bool) -> None:
        """Write what is queued and close the run of the search."""
        self._put("the search", lambda: self._writer.end(note, whole))
        self._queue.put(None)
        self.join()

    def run(self) -> None:
        while (write := self._queue.get()) is not None:
            write()

    def _put(self, what: str, write: Callable[[], None]) -> None:
        def tried() -> None:
            try:
                write()
            # Whatever a tracking server does, the search goes on; its end says what is missing.
            except Exception as error:  # noqa: BLE001
                self.not_recorded[what] = f"{type(error).__name__}: {error}".splitlines()[0]

        self._queue.put(tried)
