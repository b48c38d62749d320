"""What happens to trials, passed on: results put in place, the display and MLflow told."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.progress_reporter import TrialProgressCallback

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.journal import RESULT, attempts, holder, is_cancelled, read_journal
from raydt.grid.ledger import cell_folder
from raydt.orchestration.grid.commit import commit
from raydt.orchestration.run.recorder import Recorder
from raydt.orchestration.run.searcher import LivesInDriver
from raydt.terminal.progress import Progress
from raydt.tracking.schema import Status

_SECONDS_BETWEEN_LOOKS = 5.0
# What Ray says of a process that is gone, and what a person would say.
_LOST = {
    "ActorDiedError": "its process was killed, or died for lack of memory",
    "RayActorError": "its process was killed, or died for lack of memory",
    "WorkerCrashedError": "its process was killed, or died for lack of memory",
    "OutOfMemoryError": "its machine ran out of memory",
    "NodeDiedError": "its machine went away",
}


class Events(LivesInDriver, Callback):  # type: ignore[misc]
    """Told by Tune of every trial; as a context, it also looks at the journals of worker groups,
    which report to nobody else."""

    def __init__(
        self,
        sweep: Sweep,
        tasks: Mapping[str, dict[str, Any]],
        progress: Progress,
        recorder: Recorder,
    ) -> None:
        self._sweep = sweep
        self._tasks = tasks
        self._progress = progress
        self._recorder = recorder
        self._groups: set[str] = set()
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="groups", daemon=True)

    def __enter__(self) -> Events:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._watcher.join()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        task = trial.config["task"]
        self._progress.started(task["cell_id"])
        if task["num_workers"]:
            self._groups.add(task["cell_id"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "row" in result:
            self._progress.reported(result["cell_id"], result["row"])
            self._recorder.reported(result["cell_id"], result["attempt"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        task = trial.config["task"]
        result = commit(cell_folder(self._sweep, task["cell_id"]), task["fingerprint"])
        self._ended(task, result or self._failed(task, "it ended without an outcome"))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        task = trial.config["task"]
        folder = cell_folder(self._sweep, task["cell_id"])
        # Its process may have been lost after the work was done.
        result = commit(folder, task["fingerprint"])
        if result is None and is_cancelled(folder):
            self._groups.discard(task["cell_id"])
            self._progress.cancelled(task["cell_id"])
            return
        self._ended(task, result or self._failed(task, reason_of(trial.error_file)))

    def _ended(self, task: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        self._groups.discard(task["cell_id"])
        self._progress.ended(task["cell_id"], result)
        self._recorder.ended(task["cell_id"], result)

    def _failed(self, task: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """The result of a cell that failed for good, in place: no numbers, and the reason."""
        folder = cell_folder(self._sweep, task["cell_id"])
        tried = attempts(folder)
        result = {
            "cell_id": task["cell_id"],
            "fingerprint": task["fingerprint"],
            "attempt": tried[-1] if tried else f"{int(time.time() * 1000)}-none",
            "model": task["model"],
            "time": time.time(),
            "status": Status.FAILED,
            "reason": reason,
            "bytes_seen": 0,
            "training_seconds": 0.0,
        }
        try:
            folder.write_json(RESULT, result)
        except OSError as error:
            # A full disk: without its result the cell counts as never begun, which is right.
            self._progress.say(f"{task['cell_id']}: no result can be written: {error}", style="red")
        return result

    def _watch(self) -> None:
        while not self._ending.wait(_SECONDS_BETWEEN_LOOKS):
            for cell_id in list(self._groups):
                folder = cell_folder(self._sweep, cell_id)
                try:
                    lease = holder(folder)
                    rows = read_journal(folder, lease["attempt"]) if lease else []
                except (RunError, OSError):
                    continue  # a display that is late; the result is read again at the end
                reports = [row for row in rows if row["event"] == "report"]
                if lease is not None and reports:
                    self._progress.reported(cell_id, reports[-1])
                    self._recorder.reported(cell_id, lease["attempt"])


class Silent(LivesInDriver, TrialProgressCallback):  # type: ignore[misc]
    """In the place of Tune's own, which prints a trial that ended without a report even where it
    was asked to be quiet."""

    def _print(self, msg: str) -> None:
        """Nothing."""


def reason_of(error_file: str | None) -> str:
    """Why a trial failed, in a line."""
    if error_file is None:
        return "no error was recorded"
    lines = [line.strip() for line in Path(error_file).read_text().splitlines() if line.strip()]
    for line in lines:
        name = line.partition(":")[0].rpartition(".")[2]
        if name in _LOST:
            return _LOST[name]
    return lines[-1] if lines else "no error was recorded"
