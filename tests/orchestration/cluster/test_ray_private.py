"""One test for each private part of Ray that we stand on: what breaks without it, and where
upstream stands. Run these first when the pin in pyproject.toml is to be raised."""

from __future__ import annotations

import inspect
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raydt.orchestration.cluster import ray_private
from raydt.orchestration.cluster.spot import available_first

ROOT = Path(__file__).parents[3]


def test_the_pin_names_this_module() -> None:
    """`pip` takes no other minor version, so none of these breaks at a user's."""
    import ray

    text = (ROOT / "pyproject.toml").read_text()
    (pinned,) = [
        each for each in tomllib.loads(text)["project"]["dependencies"] if each.startswith("ray[")
    ]
    assert pinned.endswith(">=2.60,<2.61")
    assert ray.__version__.startswith("2.60.")
    line = next(line for line in text.splitlines() if pinned in line)
    assert "raydt/orchestration/cluster/ray_private.py" in line


def test_only_this_module_knows_private_parts() -> None:
    """A name that Ray keeps to itself is used nowhere else, or this list is not whole."""
    for path in (ROOT / "raydt").rglob("*.py"):
        if path.name == "ray_private.py":
            continue
        text = path.read_text()
        for private in ("ray._", "_private.", "tune_controller"):
            assert private not in text.replace("ray_private.", ""), f"{path}: {private}"


def test_what_ray_read_when_it_was_imported_is_read_again() -> None:
    """Without `Config.initialize`, `AuthenticationTokenLoader.reset_cache` and the two constants a
    launch in a process that has imported Ray before (a notebook) does not reach its own Ray.
    tests/test_library.py tries it."""
    program = f"""
import os, ray
from ray._private import ray_constants
from ray._raylet import AuthenticationMode, AuthenticationTokenLoader, get_authentication_mode
from {ray_private.__name__} import LOOPBACK_ONLY, NO_SHIPPING, reload_environment
loader = AuthenticationTokenLoader.instance()
def seen():
    token = loader.get_raw_token() if loader.has_token() else None
    constants = ray_constants.ENABLE_RAY_CLUSTER, ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV
    return (get_authentication_mode() == AuthenticationMode.TOKEN, token, *constants)
print(seen())
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="a" * 8, **LOOPBACK_ONLY, **NO_SHIPPING)
reload_environment()
print(seen())
os.environ["RAY_AUTH_TOKEN"] = "b" * 8
reload_environment()
print(seen())
"""
    own = ("RAY_AUTH_", *ray_private.LOOPBACK_ONLY, *ray_private.NO_SHIPPING)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == [
        "(False, None, True, True)",
        "(True, 'aaaaaaaa', False, False)",
        "(True, 'bbbbbbbb', False, False)",
    ], done.stderr


def test_credentials_are_not_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the change of `class_cache.ENV_VARS_TO_PROPAGATE` Tune puts AWS_SECRET_ACCESS_KEY
    into the runtime environment of its trials, and Ray writes that into a log (0644).

    tests/integration/test_ledger.py looks for it in all that a launch writes.
    """
    from ray.tune.execution import class_cache

    # As Ray has it: a launch in this process, of another test, would have changed it.
    before = runpy.run_path(class_cache.__file__)["ENV_VARS_TO_PROPAGATE"]
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", before)
    assert "AWS_SECRET_ACCESS_KEY" in before
    assert "ENV_VARS_TO_PROPAGATE:" in inspect.getsource(class_cache._ActorClassCache.get)
    ray_private.disable_credential_forwarding()
    assert before - class_cache.ENV_VARS_TO_PROPAGATE == {
        name for name in before if name.startswith("AWS_")
    }


def test_tune_keeps_no_averages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the change of `_TrainingRunMetadata.update_metric` every trial holds some 27 kB of
    them until the launch ends (docs/cost.md)."""
    from ray.tune.experiment.trial import Trial
    from ray.tune.trainable import metadata

    assert "self.run_metadata.update_metric(" in inspect.getsource(Trial.update_last_result)
    own = runpy.run_path(metadata.__file__)["_TrainingRunMetadata"]
    monkeypatch.setattr(metadata._TrainingRunMetadata, "update_metric", own.update_metric)
    kept = metadata._TrainingRunMetadata()
    kept.update_metric("loss", 1.0, step=1)
    assert kept.metric_n_steps
    ray_private.disable_metric_averages()
    kept = metadata._TrainingRunMetadata()
    kept.update_metric("loss", 1.0, step=1)
    assert not kept.metric_n_steps


def test_a_preempted_trial_is_the_drivers_to_try_again() -> None:
    """Without `RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE` Tune tries it again itself, at once, without
    a row in a journal, and as often as it likes."""
    from ray.tune.experiment import Trial

    (name,) = ray_private.COUNTED_PREEMPTIONS
    source = inspect.getsource(Trial._handle_ray_actor_error)
    assert "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE" in source
    from ray.train import constants

    assert name == constants.RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE


def test_errors_are_remembered_as_they_were_raised() -> None:
    """Without the change of `Trial.handle_error` a lost node is a text, and no class says that it
    was lost. tests/orchestration/run/test_searcher.py tries it."""
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    source = inspect.getsource(TuneController._process_trial_failure)
    assert "trial.handle_error(exception)" in source
    assert source.index("handle_error") < source.index("on_trial_error")
    errors = ray_private.errors_of_trials()
    changed = Trial.handle_error
    assert ray_private.errors_of_trials() is errors
    assert Trial.handle_error is changed, "changed once"


def test_where_an_actor_runs_is_in_the_tables() -> None:
    """Without `state.actor_table`, `state.get_draining_nodes` and `Trial.temporary_state.ray_actor`
    nobody knows whether a process went with its node; Ray's public way to ask (the State API) needs
    a dashboard, which a Ray of our own has not. tests/integration/test_storm.py tries them."""
    from ray._private.state import GlobalState
    from ray.tune.experiment import Trial

    assert '"NodeID"' in inspect.getsource(GlobalState._gen_actor_info)
    assert "Dict[str, int]" in str(inspect.signature(GlobalState.get_draining_nodes))
    assert "temporary_state.ray_actor" in inspect.getsource(Trial.set_ray_actor)
    trial = SimpleNamespace(temporary_state=SimpleNamespace(ray_actor=None))
    assert ray_private.actor_of_trial(trial) is None


def test_a_trial_whose_process_starts_waits_for_that_process() -> None:
    """Without `TuneController._trial_to_actor` and `_actor_manager.is_actor_started` every cell
    goes to the first process that is free, and the other slots and nodes never get one.

    Upstream: Tune means it so (ray-project/ray#36020, the review: an actor that is no longer needed
    is removed), and since ray-project/ray#42951 processes are used again only where it is asked
    for, as we do; no issue was found that asks for the start to be waited for.
    tests/integration/test_scheduler.py tries it in a real Tune.
    """
    from ray.tune.execution.tune_controller import TuneController

    source = inspect.getsource(TuneController)
    assert "self._trial_to_actor" in source
    assert "self._actor_manager.is_actor_started(" in source
    starting = SimpleNamespace(name="its process starts", trial_id="1", status="PENDING")
    runs = SimpleNamespace(name="runs", trial_id="2", status="RUNNING")
    waiting = SimpleNamespace(name="its process has no room yet", trial_id="3", status="PENDING")
    controller = SimpleNamespace(
        get_trials=lambda: [starting, runs, waiting],
        _trial_to_actor=SimpleNamespace(get=lambda trial: trial.name),
        # Of an actor that Ray has begun to start, Tune says that it is started.
        _actor_manager=SimpleNamespace(is_actor_started=lambda actor: actor == starting.name),
    )
    scheduler = ray_private.patient_scheduler()
    assert scheduler.choose_trial_to_run(controller) is waiting
    waiting.status = "RUNNING"
    assert scheduler.choose_trial_to_run(controller) is None
    # One that waits for nodes that are all gone is stopped.
    stopped: list[Any] = []
    controller.stop_trial = stopped.append
    waiting.status = "PENDING"
    stranded = ray_private.patient_scheduler(lambda trial_id: trial_id == waiting.trial_id)
    assert stranded.choose_trial_to_run(controller) is None
    assert stopped == [waiting]
    assert "def stop_trial(self, trial)" in source


def test_tunes_reporter_is_silenced_in_the_one_place_where_it_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If `TrialProgressCallback` no longer prints by `_print`, or `RAY_AIR_NEW_OUTPUT=0` no longer
    chooses it, Tune writes over the live table. Upstream: no issue was found about trials without a
    report that are printed at `verbose=0`."""
    from ray.tune.experimental.output import get_air_verbosity
    from ray.tune.progress_reporter import TrialProgressCallback
    from ray.tune.utils.callback import _create_default_callbacks

    for name, value in ray_private.OLD_OUTPUT.items():
        monkeypatch.setenv(name, value)
    assert get_air_verbosity(0) is None
    ours = ray_private.no_progress_reporter()
    callbacks = _create_default_callbacks([ours], air_verbosity=None)
    assert [each for each in callbacks if isinstance(each, TrialProgressCallback)] == [ours]
    lines = [line.strip() for line in inspect.getsource(TrialProgressCallback).splitlines()]
    printing = [line for line in lines if "print(" in line and "self._print(" not in line]
    assert printing == ["def _print(self, msg: str):", "safe_print(msg)"], "in `_print` alone"
    ours._print("a trial")
    assert capsys.readouterr().out == ""


def test_a_searcher_that_pickles_as_nothing_is_enough_for_tune() -> None:
    """Tune pickles searchers, callbacks and stoppers (`Tuner.__getstate__`, `save_to_dir`), though
    it never restores ours: what holds a lock and pickles as it is would end every launch at once.
    tests/integration/test_launch.py tries it. Upstream: no issue was found that asks for an
    experiment without state."""
    import pickle

    class Locked(ray_private.NotPickled):
        lock = None

    assert type(pickle.loads(pickle.dumps(Locked()))) is object


def test_as_many_trials_wait_as_we_say() -> None:
    """Without `TUNE_MAX_PENDING_TRIALS_PG` one trial waits at a time behind a searcher: an
    autoscaler sees the demand of one, and a cluster grows by a node per boot. It is documented, but
    not among what Ray keeps stable. Upstream: ray-project/ray#18338 brought it."""
    from ray.tune.execution import tune_controller

    assert f'os.getenv("{ray_private.MAX_PENDING}"' in inspect.getsource(tune_controller)


def test_a_ray_of_our_own_takes_loopback_for_its_address() -> None:
    """Without `RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0` Ray's servers listen where other machines reach
    them. Upstream: `--node-ip-address=127.0.0.1` is ignored on purpose (ray-project/ray#26293,
    closed); the variable is from ray-project/ray#30770, for other systems."""
    program = "from ray._private import services; print(services.get_node_ip_address())"
    environment = {**os.environ, **ray_private.LOOPBACK_ONLY}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "127.0.0.1", done.stderr


def test_auto_means_the_cluster_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `canonicalize_bootstrap_address_or_die` we cannot ask whether the cluster that `auto`
    means answers, and Ray's client aborts the process with a native stack where it does not.
    Upstream: ray-project/ray#41076 (closed, 2.9) for jobs; ray-project/kuberay#848 tells that
    `ray.init` still exits in place of raising."""
    from ray._private import services

    monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda *_, **__: None)
    monkeypatch.setattr(services, "find_gcs_addresses", lambda: ["127.0.0.1:1"])
    assert ray_private.cluster_of_this_machine() == "127.0.0.1:1"
    monkeypatch.setattr(services, "find_gcs_addresses", lambda: [])
    with pytest.raises(ConnectionError):
        ray_private.cluster_of_this_machine()


def test_a_node_type_that_a_cloud_refused_is_not_asked_for_again() -> None:
    """Without `RAY_AUTOSCALER_UTILIZATION_SCORER`, which v1 of the autoscaler alone reads, and the
    record of what was refused, a cluster asks for spot for ever where there is none and never takes
    on demand. Upstream: ray-project/ray#29144 brought the variable ("not an API yet"); for v2 see
    the test below. tests/integration/test_autoscaling.py tries it."""
    from ray.autoscaler._private import resource_demand_scheduler
    from ray.autoscaler._private.constants import AUTOSCALER_UTILIZATION_SCORER_KEY
    from ray.autoscaler._private.node_provider_availability_tracker import (
        NodeAvailabilityRecord,
        NodeAvailabilitySummary,
    )

    assert AUTOSCALER_UTILIZATION_SCORER_KEY == ray_private.SCORER
    assert "AUTOSCALER_UTILIZATION_SCORER_KEY" in inspect.getsource(resource_demand_scheduler)
    summary = NodeAvailabilitySummary(
        node_availabilities={
            "spot": NodeAvailabilityRecord(
                node_type="spot",
                is_available=False,
                last_checked_timestamp=0.0,
                unavailable_node_information=None,
            )
        }
    )

    def score(node_type: str, gpus: float) -> Any:
        return available_first(
            {"CPU": 4.0, "GPU": gpus}, [{"GPU": 1.0}], node_type, node_availability_summary=summary
        )

    assert score("spot", 1.0) is None
    assert score("on-demand", 1.0) is not None
    assert score("on-demand", 0.0) is None, "of no use for what is wanted"


def test_version_2_of_the_autoscaler_does_not_note_what_a_cloud_refused() -> None:
    """Since ray-project/ray#58623 (which closed ray-project/ray#53636) it passes over a type of
    which a machine came and Ray did not start on it in time, and not over one that was refused at
    once, as by AWS without spot. When this fails, cluster.yaml needs neither v1 nor
    `raydt/orchestration/cluster/spot.py`: try tests/integration/test_autoscaling.py with v2."""
    from ray.autoscaler.v2.instance_manager.subscribers.cloud_resource_monitor import (
        CloudResourceMonitor,
    )
    from ray.core.generated.instance_manager_pb2 import Instance, InstanceUpdateEvent

    def noted(status: int) -> set[str]:
        monitor = CloudResourceMonitor()
        monitor.notify([InstanceUpdateEvent(instance_type="spot", new_instance_status=status)])
        return set(monitor.get_resource_availabilities())

    assert noted(Instance.ALLOCATION_TIMEOUT) == {"spot"}
    assert noted(Instance.ALLOCATION_FAILED) == set()


def test_the_upload_of_a_job_is_quiet() -> None:
    """Under another name Ray's logger prints how a folder is packed before `raydt jobs` says what
    it did. Upstream: no issue was found; it is a name of a logger."""
    import logging

    import ray._private.runtime_env.packaging as packaging

    assert packaging.default_logger.name.startswith(ray_private.UPLOAD_LOGGER)
    assert logging.getLogger(ray_private.UPLOAD_LOGGER) is not logging.getLogger()


def test_cluster_yaml_names_our_scorer() -> None:
    """A moved function would leave the autoscaler without one, as soon as it starts."""
    text = (ROOT / "cluster.yaml").read_text()
    named = f"{available_first.__module__}.{available_first.__name__}"
    assert f"{ray_private.SCORER}={named} " in text
