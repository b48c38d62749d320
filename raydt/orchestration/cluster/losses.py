"""What became of a process that came to no end: whose doing it was, as far as Ray says.

Of a process that is gone Ray says that it died, and not why: of one that was killed for memory the
same as of one whose machine was taken back. So its node decides: `Nodes` says which are there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from raydt.orchestration.cluster.ray_private import draining_nodes, node_of_actor

_POLL_SECONDS = 1.0


class Cause(Enum):
    """Whose doing it was that a process came to no end."""

    RAISED = "its own: it raised an exception, or was told to end for the memory it held"
    DIED = "its own if its node lives: killed for memory, a segmentation fault"
    LOST = "the infrastructure's: its node is gone, or cannot be reached"


@dataclass(frozen=True)
class Failure:
    """A process that came to no end; `reason` is a line for people, `actors` the ids of the actors
    that are gone, where Ray names them."""

    cause: Cause
    reason: str
    actors: tuple[str, ...] = ()


class GroupError(Exception):
    """What a trial raises whose worker group came to no end."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure

    def __reduce__(self) -> tuple[type[GroupError], tuple[Failure]]:
        return (type(self), (self.failure,))


class Nodes(Protocol):
    """The nodes of a cluster, by id."""

    def alive(self) -> Mapping[str, Mapping[str, float]]:
        """What each node that is there and stays has in all; not those about to be taken away."""

    def node_of(self, actor: str) -> str | None:
        """Where an actor runs or ran; None if it never began to."""

    def name(self, node: str) -> str:
        """How people call a node, also one that is gone."""


class RayNodes:
    """Those of the Ray that this process has joined."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._of_actors: dict[str, str | None] = {}
        self._alive: Mapping[str, Mapping[str, float]] = {}
        self._looked = -_POLL_SECONDS

    def alive(self) -> Mapping[str, Mapping[str, float]]:
        if time.monotonic() - self._looked >= _POLL_SECONDS:
            self._alive = self._look()
            self._looked = time.monotonic()
        return self._alive

    def _look(self) -> Mapping[str, Mapping[str, float]]:
        import ray

        nodes = ray.nodes()
        for node in nodes:
            host, address = node["NodeManagerHostname"], node["NodeManagerAddress"]
            self._names[node["NodeID"]] = f"{host} ({address}, node {node['NodeID'][:8]})"
        leaving = draining_nodes() if len(nodes) > 1 else ()
        return {
            node["NodeID"]: node["Resources"]
            for node in nodes
            if node["Alive"] and node["NodeID"] not in leaving
        }

    def node_of(self, actor: str) -> str | None:
        if self._of_actors.get(actor) is None:
            self._of_actors[actor] = node_of_actor(actor)
        return self._of_actors[actor]

    def name(self, node: str) -> str:
        return self._names.get(node, f"node {node[:8]}")


_GONE = "its process was killed, or died for lack of memory"
_TOOK_MEMORY = "its machine ran out of memory"
_UNREACHABLE = "its process could not be reached any more"
_PREEMPTED = "its machine was taken back"
_AWAY = "its machine went away"


def failure_of(error: BaseException | str | None) -> Failure:
    """What an error of Tune's or Ray's says; a text is one that could not be passed on whole."""
    if not isinstance(error, BaseException):
        return Failure(Cause.RAISED, _last_line(error or ""))
    from ray import exceptions as ray_errors

    if isinstance(error, ray_errors.RayTaskError):
        raised = error.cause
        if isinstance(raised, GroupError):
            return raised.failure
        if isinstance(raised, ray_errors.RayError) and raised is not error:
            return failure_of(raised)
        return Failure(Cause.RAISED, _last_line(str(error)))
    actors: tuple[str, ...] = ()
    if isinstance(error, ray_errors.RayActorError):
        actors = (error.actor_id,) if error.actor_id else ()
        if error.preempted:
            return Failure(Cause.LOST, _PREEMPTED, actors)
        if error.actor_init_failed:
            return Failure(Cause.RAISED, _last_line(str(error)), actors)
    if isinstance(error, ray_errors.OutOfMemoryError):
        return Failure(Cause.RAISED, _TOOK_MEMORY)
    if isinstance(error, ray_errors.ActorUnavailableError):
        return Failure(Cause.LOST, _UNREACHABLE, actors)
    if isinstance(error, ray_errors.RayActorError | ray_errors.WorkerCrashedError):
        return Failure(Cause.DIED, _GONE, actors)
    if isinstance(error, _infrastructure()):
        return Failure(Cause.LOST, f"{_AWAY} ({type(error).__name__})", actors)
    return Failure(Cause.RAISED, _last_line(str(error)), actors)


def group_failure(failures: Iterable[BaseException]) -> Failure:
    """What the errors of the workers of a group come to.

    Of one that is lost the others say that a connection was reset, so what is the infrastructure's
    goes before what died, and that before what was raised.
    """
    found = [failure_of(error) for error in failures]
    actors = tuple(actor for failure in found for actor in failure.actors)
    for cause in (Cause.LOST, Cause.DIED, Cause.RAISED):
        of_cause = [failure for failure in found if failure.cause is cause]
        if of_cause:
            return Failure(cause, of_cause[0].reason, actors)
    return Failure(Cause.LOST, _AWAY)


def _infrastructure() -> tuple[type[BaseException], ...]:
    from ray import exceptions as ray_errors

    return (
        ray_errors.NodeDiedError,
        ray_errors.LocalRayletDiedError,
        ray_errors.RaySystemError,
        ray_errors.RpcError,
        ray_errors.ObjectLostError,
        ray_errors.GetTimeoutError,
        ray_errors.TaskPlacementGroupRemoved,
        ray_errors.ActorPlacementGroupRemoved,
        ray_errors.ActorUnschedulableError,
        ray_errors.TaskUnschedulableError,
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no error was recorded"
