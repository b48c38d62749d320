"""All code that depends on private parts of Ray, and may break with any release.

`pyproject.toml` pins Ray to one minor version because of this module. To raise the pin, run
`tests/orchestration/cluster/test_ray_private.py`, where each part has a test that states what
breaks without it and the state of the upstream issue, then the integration tests.

Ray is imported only inside functions, because its environment must be set first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.tune import Callback
    from ray.tune.schedulers import TrialScheduler

# With this, a local Ray uses loopback as its node address, and its servers listen only there.
# `_node_ip_address="127.0.0.1"` does not work: Ray replaces it by a reachable address.
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Under `uv run`, Ray would copy the working directory to its workers and rebuild their environment.
# Workers of a local Ray are on this machine, in the driver's environment.
NO_SHIPPING = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
# Only the old output of Tune can be silenced: see `no_progress_reporter`.
OLD_OUTPUT = {"RAY_AIR_NEW_OUTPUT": "0"}
# How many trials may be pending in Tune; with a searcher the default is one.
MAX_PENDING = "TUNE_MAX_PENDING_TRIALS_PG"
# Read by Ray's autoscaler v1: the function that scores node types, see `cluster.spot`.
SCORER = "RAY_AUTOSCALER_UTILIZATION_SCORER"
# Without this, Tune retries a trial on a preempted node without limit. raydt decides on retries
# itself, in `raydt.orchestration.run.tries`.
COUNTED_PREEMPTIONS = {"RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1"}
# A label that every node has.
NODE_ID_LABEL = "ray.io/node-id"
# The logger of the upload of a job's working directory.
UPLOAD_LOGGER = "ray._private.runtime_env"


class NotPickled:
    """Tune pickles searchers, callbacks and stoppers to restore an experiment. Ours hold threads
    and locks, and a launch never restores an experiment, so they pickle as None."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (object, ())


def reload_environment() -> None:
    """Reload Ray's environment. Ray reads parts of it on import, and the token on first use. In a
    notebook this may happen before a launch has set them, and Ray's processes would then expect a
    token that this process does not send."""
    from ray import _raylet
    from ray._private import ray_constants

    native: Any = _raylet  # missing in its stubs
    native.Config.initialize("")
    native.AuthenticationTokenLoader.instance().reset_cache()
    names = {"ENABLE_RAY_CLUSTER": LOOPBACK_ONLY, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": NO_SHIPPING}
    for constant, (variable,) in names.items():
        read = ray_constants.env_bool(variable, getattr(ray_constants, constant))
        setattr(ray_constants, constant, read)


def disable_credential_forwarding() -> None:
    """Keep Tune from forwarding AWS credentials to its trials in their runtime environment, which
    Ray writes into a log that anybody on the machine can read. Workers of a local Ray inherit them
    from this process, and nodes of a cluster have their own."""
    from ray.tune.execution import class_cache

    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }


def disable_metric_averages() -> None:
    """Keep Tune from storing the mean, the extremes and the last ten values of all reported numbers
    until the launch ends. They are unused, and were half of a driver's memory per cell."""
    from ray.tune.trainable.metadata import _TrainingRunMetadata

    _TrainingRunMetadata.update_metric = _ignore_metric


def _ignore_metric(metadata: Any, metric: str, value: Any, step: int | None = 1) -> None:
    """A replacement for `_TrainingRunMetadata.update_metric`."""


def node_of_actor(actor: str) -> str | None:
    """The node of an actor, alive or dead; None if it never started."""
    from ray._private.state import state

    node: str = state.actor_table(actor).get("Address", {}).get("NodeID", "")
    return node if node.strip("f") else None  # Ray's nil id has only f's


def actor_of_trial(trial: Any) -> str | None:
    """The id of the actor that a trial of Tune runs in, in hex."""
    actor = trial.temporary_state.ray_actor
    return None if actor is None else str(actor._actor_id.hex())


_errors: dict[str, BaseException | None] = {}


def errors_of_trials() -> dict[str, BaseException | None]:
    """The last error of each trial, as an exception: Tune itself keeps most errors only as text,
    without their class."""
    from ray.tune.experiment import Trial

    own = Trial.handle_error
    if own.__module__ != __name__:

        def handle_error(self: Trial, exc: BaseException | None = None) -> None:
            _errors[self.trial_id] = exc
            own(self, exc)

        Trial.handle_error = handle_error
    return _errors


def draining_nodes() -> frozenset[str]:
    """The nodes that are about to be removed, by the notice of a cloud or an autoscaler."""
    from ray._private.state import state

    return frozenset(state.get_draining_nodes())


def patient_scheduler(is_stranded: Callable[[str], bool] = lambda _: False) -> TrialScheduler:
    """A FIFO scheduler in which a trial whose process is starting waits for that process.

    Tune's own scheduler gives a free process to the trial that has waited longest, and ends the one
    that is starting for it. If trials are shorter than the start of a process, other slots and
    nodes never get one.

    A pending trial that is stranded (all nodes that it may run on are gone) is stopped.
    """
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import FIFOScheduler

    class PatientScheduler(NotPickled, FIFOScheduler):  # type: ignore[misc]
        def choose_trial_to_run(self, tune_controller: Any) -> Any:
            """The trial for a free process; None if there is none, or Tune should ask the
            searcher."""
            # Tune has no public API for which process is for which trial.
            actors, manager = tune_controller._trial_to_actor, tune_controller._actor_manager
            for trial in tune_controller.get_trials():
                if trial.status == Trial.PENDING and is_stranded(trial.trial_id):
                    tune_controller.stop_trial(trial)
                    continue
                if trial.status == Trial.PENDING:
                    actor = actors.get(trial)
                    if actor is None or not manager.is_actor_started(actor):
                        return trial
            return None

    return PatientScheduler()


def no_progress_reporter() -> Callback:
    """A replacement for Tune's reporter, which prints trials that ended without a report even when
    it should be quiet."""
    from ray.tune.progress_reporter import TrialProgressCallback

    class NoProgressReporter(NotPickled, TrialProgressCallback):  # type: ignore[misc]
        def _print(self, msg: str) -> None:
            """Nothing."""

    return NoProgressReporter()


def cluster_of_this_machine() -> str:
    """HOST:PORT of the head of the cluster that `auto` refers to; `ConnectionError` if there is
    none or more than one."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    return str(canonicalize_bootstrap_address_or_die("auto"))


def was_refused(node_type: str, node_availability_summary: Any) -> bool:
    """Whether a cloud refused a node of this type within the last half hour, by the records of
    Ray's autoscaler v1."""
    record = node_availability_summary.node_availabilities.get(node_type)
    return record is not None and not record.is_available


def utilization_score(
    node_resources: dict[str, float],
    resources: list[dict[str, float]],
    node_availability_summary: Any,
) -> tuple[Any, ...] | None:
    """Ray's own score for launching a node with these resources for these demands; None if it does
    not help. Of two types with the same score, Ray takes the alphabetically last."""
    from ray.autoscaler._private.resource_demand_scheduler import (
        _resource_based_utilization_scorer,
    )

    score: tuple[Any, ...] | None = _resource_based_utilization_scorer(
        node_resources, resources, node_availability_summary=node_availability_summary
    )
    return score
