"""Sweeps as jobs of a running cluster: submitted, followed, stopped, gone on with.

Ray Jobs runs the sweep's driver on the cluster's head, so nothing depends on the machine it was
submitted from. What a job is (its sweep, where that is, what it runs) travels as metadata: its id
is only a name.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydt.errors import RunError, bad
from raydt.orchestration.cluster.ray_private import UPLOAD_LOGGER
from raydt.orchestration.cluster.runtime import require_answer, set_environment

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
_SWEEP, _STORAGE, _COMMAND = "raydt.sweep", "raydt.storage", "raydt.command"
# A job carries code, and no data: that is in the storage.
_LEFT_HERE = [".git", ".venv", "venv", "runs", "__pycache__", "*.db", "*.db-*", "mlruns"]
_ANSWER_SECONDS = 60.0  # of a cluster to a stop; a driver is killed after three
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class SweepJob:
    """A sweep as a job of a cluster."""

    job_id: str
    sweep: str
    storage: str
    command: tuple[str, ...]  # what runs it, from the folder that was submitted
    status: str  # Ray's: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    started_seconds: float  # since 1970
    message: str

    @property
    def ended(self) -> bool:
        """Whether it is over, however it went."""
        return self.status in _ENDED


class Cluster:
    """The sweeps of a running cluster.

    `address` is that of its dashboard (`http://127.0.0.1:8265`, the end of a tunnel), of its head
    (`10.0.0.1:6379`), or `auto` on one of its nodes; by default `RAY_ADDRESS`, else the dashboard
    on this machine. Raises `InputError` where no cluster answers or it does not let us in.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS") or DEFAULT_ADDRESS
        # Before Ray is imported; and the address that was asked for must win over Ray's own order.
        set_environment()
        os.environ["RAY_ADDRESS"] = self.address
        os.environ.pop("RAY_API_SERVER_ADDRESS", None)
        from ray.job_submission import JobSubmissionClient

        for noisy in ("ray", "ray.dashboard", UPLOAD_LOGGER):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        with self._asking():
            require_answer(self.address)
            self._client = JobSubmissionClient(self.address)

    def submit(
        self, sweep: str, storage: str, command: Sequence[str], folder: Path | None
    ) -> SweepJob:
        """Start `command` on the cluster, in a copy of `folder` (without one: where Ray puts it).

        Raises `InputError` if the sweep runs there already or the folder is too large to travel.
        """
        running = [job for job in self.jobs() if job.sweep == sweep and not job.ended]
        if any(job.storage == storage for job in running):
            found = f"{running[0].job_id} is {running[0].status.lower()}"
            raise bad(f"sweep {sweep}", "one that does not run on the cluster yet", found)
        runtime_env: dict[str, object] = {}
        if folder is not None:
            runtime_env = {"working_dir": str(folder), "excludes": _LEFT_HERE}
        # Not the sweep's name alone: the same sweep is submitted again to go on.
        job_id = f"{sweep}-{uuid.uuid4().hex[:8]}"
        metadata = {_SWEEP: sweep, _STORAGE: storage, _COMMAND: json.dumps(list(command))}
        with self._asking():
            try:
                self._client.submit_job(
                    entrypoint=shlex.join(command),
                    submission_id=job_id,
                    runtime_env=runtime_env,
                    metadata=metadata,
                )
            except ValueError as error:  # Ray refuses a folder of more than 512 MiB
                raise bad(str(folder), "a folder of code, small enough to travel", error) from None
        return self.job(job_id)

    def jobs(self) -> list[SweepJob]:
        """The sweeps that the cluster knows of, those started last first; other jobs not."""
        with self._asking():
            listed = self._client.list_jobs()
        ours = [_sweep_job(job) for job in listed if _SWEEP in (job.metadata or {})]
        return sorted(ours, key=lambda job: job.started_seconds, reverse=True)

    def job(self, name: str) -> SweepJob:
        """The job of that id, or the newest one of the sweep of that name; `InputError` if there
        is none."""
        jobs = self.jobs()
        found = [job for job in jobs if job.job_id == name]
        found += [job for job in jobs if job.sweep == name]
        if not found:
            there = ", ".join(dict.fromkeys(job.sweep for job in jobs)) or "no sweep"
            raise bad("sweep", f"one that runs or ran at {self.address}", f"{name!r}; {there}")
        return found[0]

    def logs(self, job: SweepJob) -> str:
        """What the job has printed so far."""
        with self._asking():
            return str(self._client.get_job_logs(job.job_id))

    def follow(self, job: SweepJob, every_seconds: float = 1.0) -> Iterator[str]:
        """What the job prints, as it comes, until it is over. Leaving it stops nothing."""
        # Asked for again and again, since Ray's own stream ends silently when a tunnel does, and
        # a sweep prints a line per cell.
        shown = 0
        while True:
            over = self.job(job.job_id).ended  # before the text: what it said last is not missed
            text = self.logs(job)
            if len(text) > shown:
                yield text[shown:]
                shown = len(text)
            if over:
                return
            time.sleep(every_seconds)

    def stop(self, job: SweepJob) -> SweepJob:
        """Stop the job as Ctrl-C would, and come back when it is over.

        Raises `RunError` if the cluster has not ended it after a minute.
        """
        with self._asking():
            self._client.stop_job(job.job_id)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not (now := self.job(job.job_id)).ended:
            if time.monotonic() > deadline:
                raise RunError(f"{job.job_id}: the cluster has not ended it yet ({now.status})")
            time.sleep(0.2)
        return now

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Ray's ways of saying that no cluster is there, as one error."""
        import aiohttp
        import requests
        from ray.exceptions import AuthenticationError

        what, wanted = f"cluster {self.address}", "a Ray cluster that answers"
        try:
            yield
        except AuthenticationError as error:
            wanted = "a cluster that lets us in: the token of its ~/.ray/auth_token here, or its "
            wanted += "RAY_AUTH_MODE in both places (docs/cluster.md)"
            raise bad(what, wanted, str(error).splitlines()[0]) from None
        except (ConnectionError, requests.RequestException, aiohttp.ClientError) as error:
            raise bad(what, wanted, str(error).splitlines()[0]) from None
        except RuntimeError as error:
            raise RunError(f"{what}: {str(error).splitlines()[0]}") from None


def _sweep_job(details: Any) -> SweepJob:
    metadata: Mapping[str, str] = details.metadata
    return SweepJob(
        job_id=str(details.submission_id),
        sweep=metadata[_SWEEP],
        storage=metadata[_STORAGE],
        command=tuple(json.loads(metadata[_COMMAND])),
        status=str(details.status.value),
        started_seconds=(details.start_time or 0) / 1000,
        message=str(details.message or ""),
    )
