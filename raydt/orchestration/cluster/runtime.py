"""Start Ray quietly, on loopback, with the requested slots, or join a cluster."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from raydt.errors import InputError, RunError, bad
from raydt.orchestration.cluster.launch_folder import launch_folder
from raydt.orchestration.cluster.ray_private import (
    COUNTED_PREEMPTIONS,
    LOOPBACK_ONLY,
    MAX_PENDING,
    NO_SHIPPING,
    OLD_OUTPUT,
    cluster_of_this_machine,
    reload_environment,
)
from raydt.orchestration.cluster.temporary import MAX_CHARACTERS, ray_folder

# The environment of processes that train. On a cluster they have the environment of their node, not
# of the driver, so it is set there again before it is read (`set_worker_environment`).
WORKER_ENVIRONMENT = {
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # Ray Train passes it to the workers of a group
    "OMP_NUM_THREADS": "1",  # Ray would set it to the cores of an actor
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # makes cuBLAS deterministic
}
# Read when Ray is imported, by the driver and a local Ray, so it must be set before.
_DRIVER_ENVIRONMENT = {
    **OLD_OUTPUT,
    **COUNTED_PREEMPTIONS,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journals have more than its CSV files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C should stop at once, not after the running trials
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's state is never restored
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
# Pending trials. On one machine there are as many as slots, so that all start at once. On a cluster
# they are the demand that an autoscaler sees: with one it would grow by one node per boot; with too
# many, their order is fixed long before they start.
_ON_A_CLUSTER = {MAX_PENDING: "32"}
# The resource that the trial of a worker group holds instead of a core: see
# `raydt.orchestration.run.room`.
TRIAL_RESOURCE = "raydt_trial"
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
_CONNECT_SECONDS = 5.0
_ADDRESSES = "expected HOST:PORT, http://HOST:PORT or auto"
_HTTP2_SETTINGS = b"\x04"  # a frame's type, which follows three bytes of length
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _HTTP2_SETTINGS + bytes(5)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ray": 10001}
_TOO_SLOW = "timed out during startup"
_OBJECT_STORE_BYTES = 100 * 10**6  # data is in files, so the object store is almost empty


def set_environment() -> None:
    """Set the environment of a driver, before Ray is imported. Variables set by the user stay."""
    own = _ON_A_CLUSTER if on_cluster() else {**LOOPBACK_ONLY, **NO_SHIPPING}
    # A local Ray passes the driver's environment on to its workers.
    for name, value in {**WORKER_ENVIRONMENT, **_DRIVER_ENVIRONMENT, **own}.items():
        os.environ.setdefault(name, value)


def set_worker_environment() -> None:
    """Set the environment of a process that trains, whose driver may be on another machine.
    Variables set on its node stay."""
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def on_cluster() -> bool:
    """Whether a launch joins an existing cluster, and does not start a local Ray (RAY_ADDRESS unset
    or `local`)."""
    return os.environ.get("RAY_ADDRESS", "") not in ("", "local")


@contextmanager
def ray_started(num_slots: int, cpus_per_cell: int, gpus_per_cell: float) -> Iterator[None]:
    """Run Ray inside the `with` block: the cluster at `RAY_ADDRESS` if that is set, else a local
    one.
    """
    set_environment()
    import ray

    reload_environment()
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"ray\..*")
    with ExitStack() as stack:
        if on_cluster():
            _join()
        else:
            os.environ.setdefault(MAX_PENDING, str(num_slots))
            own = _session_folder(stack.enter_context(launch_folder()))
            _start(num_slots * cpus_per_cell, own or ray_folder())
        # Ray's own handler of SIGTERM aborts with a native stack trace. SIGHUP is a closed
        # terminal, SIGUSR2 that of a batch system, if there is no cell to checkpoint.
        before = {number: signal.signal(number, _interrupt) for number in _ENDING}
        try:
            num_gpus = ray.cluster_resources().get("GPU", 0.0)
            # A cluster may grow; this machine would wait forever.
            if not on_cluster() and gpus_per_cell > num_gpus:
                raise bad(
                    "gpus_per_cell",
                    "at most the GPUs of this machine",
                    f"{gpus_per_cell} of {num_gpus:g}",
                )
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            ray.shutdown()


def _start(num_cpus: int, session_folder: str | None) -> None:
    """Start a local Ray. It allows itself 30 seconds, which is too short on a busy machine, so it
    is started up to three times."""
    import ray

    # Otherwise Ray writes one into the user's home directory, which may not exist.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    for is_last in (False, False, True):
        try:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                resources={TRIAL_RESOURCE: 10_000},
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=session_folder,
            )
        except Exception as error:  # Ray raises a plain Exception
            if _TOO_SLOW not in str(error):
                raise
            ray.shutdown()
            if is_last:
                raise RunError(
                    "Ray: expected it to start within 30 seconds, got nothing in three tries; the "
                    "machine is too busy"
                ) from None
        else:
            return


def _session_folder(own: Path) -> str | None:
    """The folder for the logs and sockets of a local Ray: the launch's own temporary folder, unless
    paths of sockets would be too long there."""
    folder = str(own / "ray")
    return folder if len(folder) <= MAX_CHARACTERS else ray_folder()


def require_answer(address: str) -> None:
    """Raise `ConnectionError` if nothing listens at the address of a head, or of the cluster that
    `auto` finds, which may have ended. Ray's own client would abort the process with a native stack
    trace."""
    if address == "auto":
        address = cluster_of_this_machine()
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError as error:  # a port that is not a number, an unclosed bracket
        raise ConnectionError(f"invalid address ({error}): {_ADDRESSES}") from None
    if not parts.hostname or port is None or address != address.strip():
        raise ConnectionError(f"invalid address: {_ADDRESSES}")
    try:
        # Ray's client would try for half a minute, or wait forever.
        with socket.create_connection((parts.hostname, port), timeout=_CONNECT_SECONDS) as there:
            is_known = parts.scheme not in ("", "ray") or _speaks_grpc(there)
        if parts.scheme == "http":
            urlopen(f"{address.rstrip('/')}/api/version", timeout=_CONNECT_SECONDS).close()
    except HTTPError:
        return  # it answers; Ray's client handles the rest
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"{address}: {error}") from None
    if not is_known:
        raise ConnectionError(f"{address}: expected Ray, got another server")


def _speaks_grpc(there: socket.socket) -> bool:
    """Whether a gRPC server listens, such as Ray's head: it answers the HTTP/2 preface with its
    settings. Another program may use an old address by now."""
    if os.environ.get("RAY_USE_TLS", "0") not in ("0", ""):
        return True  # TLS: it answers only after a handshake
    there.sendall(_HTTP2_GREETING)
    answer = b""
    while len(answer) < 4 and (more := there.recv(16)):
        answer += more
    return answer[3:4] == _HTTP2_SETTINGS


def check_cluster() -> None:
    """Raise `InputError`, within seconds, if no cluster answers at `RAY_ADDRESS`, or this process
    (a notebook) already runs a local Ray."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        found = "one (call ray.shutdown(); to join a cluster, set RAY_ADDRESS)"
        raise bad("Ray in this process", "none before the launch", found)
    if on_cluster():
        try:
            require_answer(os.environ["RAY_ADDRESS"])
        except ConnectionError as error:
            raise _no_cluster(error) from None


def _join() -> None:
    """Join the cluster at `RAY_ADDRESS` as a driver; `InputError` if that is not possible."""
    import ray
    from ray.exceptions import AuthenticationError

    check_cluster()  # again: preparing languages may have taken an hour
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, AuthenticationError, ValueError, RuntimeError) as error:
        raise _no_cluster(error) from None


def _no_cluster(error: Exception) -> InputError:
    wanted = "the address of a Ray cluster that answers and grants access (docs/cluster.md)"
    found = f"{os.environ['RAY_ADDRESS']!r}: {str(error).splitlines()[0]}"
    return bad("RAY_ADDRESS", wanted, found)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
