"""What the driver sends to a trial of a search, and what that reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict

from raydt.orchestration.run.room import of_one_process
from raydt.orchestration.run.task import Task, Weights, WeightsPlace
from raydt.storage.folder import Folder
from raydt.tracking.schema import Stage
from raydt.tuning.search import Search
from raydt.tuning.trial import End, Kind, Trial

_PARENTS = "parents"


class SearchTask(Task):
    """A trial of a search: never tested."""

    trial_id: str
    keep_weights: WeightsPlace | None  # of a pretrain that finetunes will start from


class TrialReport(BaseModel):
    """All evaluations up to now, so that the last report tells the whole trial, however it ended:
    bytes seen and nats per byte."""

    model_config = ConfigDict(frozen=True)

    val_losses: tuple[tuple[int, float], ...]
    bytes_seen: int
    seconds: float
    end: End | None = None  # of the last word of a trial that was not stopped
    reason: str | None = None
    weights_sha256: str | None = None


def search_task(
    search: Search,
    trial: Trial,
    locations: Mapping[str, str],
    val_bytes: Mapping[str, int],
    digest_of: Callable[[str, int], str],
) -> SearchTask:
    """The task of a trial; `locations` says where each language is, `val_bytes` how much of it is
    evaluated, `digest_of` the digest of what is read of a language with so many bytes of train."""
    plan = search.plan
    sweep, protocol = plan.sweep, plan.sweep.protocol
    weights = None
    if trial.stage is Stage.FINETUNE:
        assert trial.source is not None
        parent = search.weights_of(trial.source)
        assert parent is not None
        assert parent.weights_sha256 is not None
        place = _weights_place(plan.folder, parent.trial)
        weights = Weights(folder=place.folder, name=place.name, sha256=parent.weights_sha256)
    return SearchTask(
        trial_id=trial.trial_id,
        model=plan.model_name,
        shape=plan.model,
        recipe=trial.recipe,
        size_bytes=trial.size.num_bytes,
        seed=trial.seed,
        evaluation_growth=protocol.evaluation_growth,
        evaluations=protocol.evaluations,
        tolerance=protocol.tolerance,
        patience=protocol.patience,
        val_bytes=val_bytes[trial.data_language],
        language=locations[trial.data_language],
        data_digest=digest_of(trial.data_language, trial.size.num_bytes),
        cache=str(sweep.local_storage / "cache"),
        processes=of_one_process(sweep),
        initial_weights=weights,
        keep_weights=_weights_place(plan.folder, trial) if trial.kind is Kind.PARENT else None,
    )


def _weights_place(folder: Folder, parent: Trial) -> WeightsPlace:
    return WeightsPlace(
        folder=(folder / _PARENTS).uri, name=f"{parent.source}-{parent.origin}.safetensors"
    )
