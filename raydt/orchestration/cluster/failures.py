"""Why a process failed: by its own fault or because of the infrastructure, as far as Ray knows.

Ray reports that a process died, but not why: a process that was killed for its memory looks like
one whose machine was preempted. So the state of its node decides, which `Nodes` knows.
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
    """Who is responsible for the failure of a process."""

    RAISED = "itself: it raised an exception, or Ray ended it for its memory"
    DIED = "itself if its node is alive: killed for memory, a segmentation fault"
    LOST = "the infrastructure: its node is gone, or cannot be reached"


@dataclass(frozen=True)
class Failure:
    """The failure of a process; `reason` is one line of text, `actors` the ids of the dead actors,
    if Ray names them."""

    cause: Cause
    reason: str
    actors: tuple[str, ...] = ()


class GroupError(Exception):
    """The error of a trial whose worker group failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure

    def __reduce__(self) -> tuple[type[GroupError], tuple[Failure]]:
        return (type(self), (self.failure,))


class Nodes(Protocol):
    """The nodes of a cluster, by id."""

    def alive(self) -> Mapping[str, Mapping[str, float]]:
        """The total resources of each node, without nodes that are about to be removed."""

    def node_of(self, actor: str) -> str | None:
        """The node of an actor, running or not; None if it never started."""

    def name(self, node: str) -> str:
        """The display name of a node, even if it is gone."""


class RayNodes:
    """The nodes of the Ray cluster that this process has joined."""

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


_GONE = "its process was killed, or ran out of memory"
_TOOK_MEMORY = "its machine ran out of memory"
_UNREACHABLE = "its process became unreachable"
_PREEMPTED = "its machine was preempted"
_AWAY = "its machine went away"


def failure_of(error: BaseException | str | None) -> Failure:
    """The failure behind an error of Tune or Ray; text if the error could not be pickled."""
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
    """The failure of a group, from the errors of its workers.

    When one worker is lost, the others raise because a connection was reset. So lost ones take
    precedence over dead ones, and those over exceptions.
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
