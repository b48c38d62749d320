"""Everything that hangs on private parts of Ray: each thing here can break with any release of it.

`pyproject.toml` pins Ray to one minor version because of this module. To raise the pin: run
`tests/orchestration/cluster/test_ray_private.py`, where each of these has a test that says what
breaks without it and where upstream stands, then the integration tests.

Nothing is imported from Ray before it is needed: the environment is set before Ray is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.tune import Callback
    from ray.tune.schedulers import TrialScheduler

# A Ray of our own takes loopback as the address of its node, and its servers listen there alone.
# `_node_ip_address="127.0.0.1"` does not: Ray replaces it by an address that others can reach.
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Under `uv run` Ray would send the working directory to its workers and build their environment
# anew; those of a Ray of our own are on this machine, in the environment of the driver.
NO_SHIPPING = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
# The old output of Tune is the one that can be silenced: see `silent`.
OLD_OUTPUT = {"RAY_AIR_NEW_OUTPUT": "0"}
# Behind a searcher Tune lets one trial wait at a time, unless this says how many may.
MOST_WAITING = "TUNE_MAX_PENDING_TRIALS_PG"
# Read by Ray's autoscaler v1: the function that scores node types, see `cluster.spot`.
SCORER = "RAY_AUTOSCALER_UTILIZATION_SCORER"
# Tune tries a trial again without limit whose process went with a node that was taken back, unless
# this counts it. What is tried again, when and where is said in `raydt.orchestration.run.tries`.
COUNTED_PREEMPTIONS = {"RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1"}
# A label that every node has.
NODE_ID_LABEL = "ray.io/node-id"
# The logger of what is packed and uploaded with a job.
UPLOAD_LOGGER = "ray._private.runtime_env"


class NotPickled:
    """Tune pickles searchers, callbacks and stoppers to restore an experiment later. Ours hold
    threads and locks, and a launch never restores: its ledger says what is done. So they pickle as
    nothing."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (object, ())


def read_environment_again() -> None:
    """Ray reads some of its environment once, when it is imported, and a token once, when it is
    first asked for: in a notebook that may be before a launch has set them, and then the processes
    that Ray starts would ask for a token that this one does not send."""
    from ray import _raylet
    from ray._private import ray_constants

    native: Any = _raylet  # its stubs do not have these
    native.Config.initialize("")
    native.AuthenticationTokenLoader.instance().reset_cache()
    names = {"ENABLE_RAY_CLUSTER": LOOPBACK_ONLY, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": NO_SHIPPING}
    for constant, (variable,) in names.items():
        read = ray_constants.env_bool(variable, getattr(ray_constants, constant))
        setattr(ray_constants, constant, read)


def keep_credentials_here() -> None:
    """Keep Tune from forwarding the credentials of AWS to its trials by way of their runtime
    environment, which Ray writes into a log that anybody on the machine can read. A Ray of our own
    has them from this process, and a node of a cluster its own."""
    from ray.tune.execution import class_cache

    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }


def keep_no_averages() -> None:
    """Keep Tune from holding the mean, the extremes and the last ten of every number that a trial
    reports until the launch ends: nobody asks for them, and they were half of what a cell costs the
    memory of a driver."""
    from ray.tune.trainable.metadata import _TrainingRunMetadata

    _TrainingRunMetadata.update_metric = _nothing


def _nothing(metadata: Any, metric: str, value: Any, step: int | None = 1) -> None:
    """In the place of `_TrainingRunMetadata.update_metric`."""


def node_of_actor(actor: str) -> str | None:
    """The node of an actor, alive or dead; None if it never began to run on one."""
    from ray._private.state import state

    node: str = state.actor_table(actor).get("Address", {}).get("NodeID", "")
    return node if node.strip("f") else None  # Ray's nil id is of f alone


def actor_of_trial(trial: Any) -> str | None:
    """The id of the actor that a trial of Tune runs in, in hex."""
    actor = trial.temporary_state.ray_actor
    return None if actor is None else str(actor._actor_id.hex())


_errors: dict[str, BaseException | None] = {}


def errors_of_trials() -> dict[str, BaseException | None]:
    """By trial, the last error that Tune was told of, as it was raised: of most of Ray's errors
    Tune itself keeps no more than a text, which does not say their class."""
    from ray.tune.experiment import Trial

    own = Trial.handle_error
    if own.__module__ != __name__:

        def handle_error(self: Trial, exc: BaseException | None = None) -> None:
            _errors[self.trial_id] = exc
            own(self, exc)

        Trial.handle_error = handle_error
    return _errors


def draining_nodes() -> frozenset[str]:
    """The nodes that will be taken away: what a cloud says of a spot machine, or an autoscaler."""
    from ray._private.state import state

    return frozenset(state.get_draining_nodes())


def patient_scheduler(is_stranded: Callable[[str], bool] = lambda _: False) -> TrialScheduler:
    """First come, first served; but a trial whose own process is starting waits for that one.

    Tune's own gives a process that is free to the trial that has waited longest, and ends the one
    that starts for it. Where trials are shorter than the start of a process, no other slot and no
    other node ever gets one.

    A trial that waits and is stranded (all nodes that it may run on are gone) is stopped.
    """
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import FIFOScheduler

    class PatientScheduler(NotPickled, FIFOScheduler):  # type: ignore[misc]
        def choose_trial_to_run(self, tune_controller: Any) -> Any:
            """The trial that a free process is for; None: there is none, or Tune is to ask for
            more."""
            # What runs where is nobody's business but Tune's, so there is no public way to ask.
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


def silent() -> Callback:
    """In the place of Tune's own reporter, which prints a trial that ended without a report even
    where it was asked to be quiet."""
    from ray.tune.progress_reporter import TrialProgressCallback

    class NoProgressReporter(NotPickled, TrialProgressCallback):  # type: ignore[misc]
        def _print(self, msg: str) -> None:
            """Nothing."""

    return NoProgressReporter()


def cluster_of_this_machine() -> str:
    """HOST:PORT of the head of the cluster that `auto` means; `ConnectionError` if there is none
    or more than one."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    return str(canonicalize_bootstrap_address_or_die("auto"))


def was_refused(node_type: str, node_availability_summary: Any) -> bool:
    """Whether a cloud refused a node of that type within the last half hour, as Ray's autoscaler v1
    noted it."""
    record = node_availability_summary.node_availabilities.get(node_type)
    return record is not None and not record.is_available


def utilization_score(
    node_resources: dict[str, float],
    resources: list[dict[str, float]],
    node_availability_summary: Any,
) -> tuple[Any, ...] | None:
    """Ray's own score of launching a node with these resources for these demands; None: it is of
    no use for them. Of two types with the same score Ray takes the one whose name is last in the
    alphabet."""
    from ray.autoscaler._private.resource_demand_scheduler import (
        _resource_based_utilization_scorer,
    )

    score: tuple[Any, ...] | None = _resource_based_utilization_scorer(
        node_resources, resources, node_availability_summary=node_availability_summary
    )
    return score
