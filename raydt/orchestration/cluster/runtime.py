"""Starting Ray: quiet, on loopback, with the slots that were asked for."""

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
from raydt.orchestration.cluster.own_folder import own_folder
from raydt.orchestration.cluster.ray_private import (
    COUNTED_PREEMPTIONS,
    LOOPBACK_ONLY,
    MOST_WAITING,
    NO_SHIPPING,
    OLD_OUTPUT,
    cluster_of_this_machine,
    read_environment_again,
)
from raydt.orchestration.cluster.temporary import MOST_CHARACTERS, ray_folder

# What a process that trains needs. On a cluster its environment is that of its node and not the
# driver's, so it is set there again, before anything reads it (`set_worker_environment`).
WORKER_ENVIRONMENT = {
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # Ray Train hands it on to the workers of a group
    "OMP_NUM_THREADS": "1",  # Ray itself sets it to the cores that an actor holds
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # cuBLAS is deterministic with it
}
# What only the driver and a Ray of its own read, when Ray is imported: so set before.
_DRIVER_ENVIRONMENT = {
    **OLD_OUTPUT,
    **COUNTED_PREEMPTIONS,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journals say more than its csv files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: at once, not after the running trials
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's state is never restored
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
# On a machine of a known size as many trials wait in Tune as there are slots, which then start at
# once. On a cluster they are what an autoscaler sees: with one it would grow by a node per boot;
# with too many, their order is fixed long before they start.
_ON_A_CLUSTER = {MOST_WAITING: "32"}
# What the trial of a worker group holds in place of a core: see `raydt.orchestration.run.room`.
TRIAL_RESOURCE = "raydt_trial"
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
_CONNECT_SECONDS = 5.0
_ADDRESSES = "HOST:PORT, http://HOST:PORT or auto is one"
_HTTP2_SETTINGS = b"\x04"  # the type of a frame, after its three bytes of length
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _HTTP2_SETTINGS + bytes(5)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ray": 10001}
_TOO_SLOW = "timed out during startup"
_OBJECT_STORE_BYTES = 100 * 10**6  # data travels by files; the object store holds next to nothing


def set_environment() -> None:
    """Of a driver: what Ray reads when it is imported; what the user has set stays."""
    own = _ON_A_CLUSTER if on_cluster() else {**LOOPBACK_ONLY, **NO_SHIPPING}
    # A Ray of our own passes the driver's environment on to its workers.
    for name, value in {**WORKER_ENVIRONMENT, **_DRIVER_ENVIRONMENT, **own}.items():
        os.environ.setdefault(name, value)


def set_worker_environment() -> None:
    """Of a process that trains, whose driver may be on another machine; what is set on its node
    stays."""
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def on_cluster() -> bool:
    """Whether a launch joins a cluster that is there, instead of a Ray of its own (which `local`
    asks for by name)."""
    return os.environ.get("RAY_ADDRESS", "") not in ("", "local")


@contextmanager
def ray_started(num_slots: int, cpus_per_cell: int, gpus_per_cell: float) -> Iterator[None]:
    """Ray for the time of the block: the cluster at `RAY_ADDRESS` if that is set, else one of our
    own on this machine."""
    set_environment()
    import ray

    read_environment_again()
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"ray\..*")
    with ExitStack() as stack:
        if on_cluster():
            _join()
        else:
            os.environ.setdefault(MOST_WAITING, str(num_slots))
            own = _session_folder(stack.enter_context(own_folder()))
            _start(num_slots * cpus_per_cell, own or ray_folder())
        # Ray's own handler of SIGTERM aborts the process with a native stack; SIGHUP is a closed
        # terminal; SIGUSR2 a batch system's, where there is no cell to keep.
        before = {number: signal.signal(number, _interrupt) for number in _ENDING}
        try:
            num_gpus = ray.cluster_resources().get("GPU", 0.0)
            # A cluster may grow; this machine does not, and would wait for ever.
            if not on_cluster() and gpus_per_cell > num_gpus:
                raise bad(
                    "gpus_per_cell",
                    "no more GPUs than there are",
                    f"{gpus_per_cell} of {num_gpus:g}",
                )
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            ray.shutdown()


def _start(num_cpus: int, session_folder: str | None) -> None:
    """A Ray of our own. It gives itself 30 seconds, which a machine that others keep busy may not
    do it in: then once more."""
    import ray

    # Without one Ray writes one into the home of the user, who may have none.
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
        except Exception as error:  # Ray raises no other
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
    """Where a Ray of our own keeps its logs and sockets: in a folder that goes with the launch,
    where the path of a socket is not too long for that."""
    folder = str(own / "ray")
    return folder if len(folder) <= MOST_CHARACTERS else ray_folder()


def require_answer(address: str) -> None:
    """`ConnectionError` where nothing listens at the address of a head, or at that of the cluster
    that `auto` finds, which may have ended: Ray's own client would abort the process with a native
    stack."""
    if address == "auto":
        address = cluster_of_this_machine()
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError as error:  # a port that is no number, a bracket that is not closed
        raise ConnectionError(f"no address ({error}): {_ADDRESSES}") from None
    if not parts.hostname or port is None or address != address.strip():
        raise ConnectionError(f"no address: {_ADDRESSES}")
    try:
        # Ray's client, too, would try for half a minute, or wait for ever.
        with socket.create_connection((parts.hostname, port), timeout=_CONNECT_SECONDS) as there:
            is_known = parts.scheme not in ("", "ray") or _speaks_grpc(there)
        if parts.scheme == "http":
            urlopen(f"{address.rstrip('/')}/api/version", timeout=_CONNECT_SECONDS).close()
    except HTTPError:
        return  # it answers, and what it asks for is for Ray's client to know
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"{address}: {error}") from None
    if not is_known:
        raise ConnectionError(f"{address}: something else than Ray listens there")


def _speaks_grpc(there: socket.socket) -> bool:
    """Whether what listens is a server of gRPC, as Ray's head is: it answers HTTP/2's greeting with
    its settings. An old address may be another program's by now."""
    if os.environ.get("RAY_USE_TLS", "0") not in ("0", ""):
        return True  # it greets after a handshake
    there.sendall(_HTTP2_GREETING)
    answer = b""
    while len(answer) < 4 and (more := there.recv(16)):
        answer += more
    return answer[3:4] == _HTTP2_SETTINGS


def check_cluster() -> None:
    """`InputError` where `RAY_ADDRESS` is none of a cluster that answers, known within seconds, or
    where this process (a notebook) has a Ray of its own."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        found = "one (ray.shutdown() ends it; RAY_ADDRESS is what a launch joins a cluster by)"
        raise bad("Ray in this process", "none", found)
    if on_cluster():
        try:
            require_answer(os.environ["RAY_ADDRESS"])
        except ConnectionError as error:
            raise _no_cluster(error) from None


def _join() -> None:
    """Be a driver of the cluster at `RAY_ADDRESS`; `InputError` if there is none to be."""
    import ray
    from ray.exceptions import AuthenticationError

    check_cluster()  # once more: languages may have been prepared for an hour
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, AuthenticationError, ValueError, RuntimeError) as error:
        raise _no_cluster(error) from None


def _no_cluster(error: Exception) -> InputError:
    wanted = "the address of a Ray cluster that answers and lets us in (docs/cluster.md)"
    found = f"{os.environ['RAY_ADDRESS']!r}: {str(error).splitlines()[0]}"
    return bad("RAY_ADDRESS", wanted, found)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
