"""The task and the reports of a trial of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict

from raydt.orchestration.run.room import single_process
from raydt.orchestration.run.task import Task, Weights, WeightsPlace
from raydt.storage.folder import Folder
from raydt.tracking.schema import Stage
from raydt.tuning.search import Search
from raydt.tuning.trial import End, Kind, Trial

_PARENTS = "parents"


class SearchTask(Task):
    """A trial of a search, which is never evaluated on the test split."""

    trial_id: str
    keep_weights: WeightsPlace | None  # for a pretrain from which finetunes will start


class TrialReport(BaseModel):
    """All evaluations so far (bytes seen, nats per byte), so that the last report is complete
    however the trial ends."""

    model_config = ConfigDict(frozen=True)

    val_losses: tuple[tuple[int, float], ...]
    bytes_seen: int
    seconds: float
    end: End | None = None  # in the final report of a trial that was not stopped
    reason: str | None = None
    weights_sha256: str | None = None


def search_task(
    search: Search,
    trial: Trial,
    locations: Mapping[str, str],
    val_bytes: Mapping[str, int],
    digest_of: Callable[[str, int], str],
) -> SearchTask:
    """The task of a trial. `locations` has the URI of each language, `val_bytes` the bytes of its
    validation split, `digest_of` the digest of its data with a given number of training bytes."""
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
        processes=single_process(sweep),
        initial_weights=weights,
        keep_weights=_weights_place(plan.folder, trial) if trial.kind is Kind.PARENT else None,
    )


def _weights_place(folder: Folder, parent: Trial) -> WeightsPlace:
    return WeightsPlace(
        folder=(folder / _PARENTS).uri, name=f"{parent.source}-{parent.origin}.safetensors"
    )
