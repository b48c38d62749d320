"""Sweeps as jobs of a running cluster: submit, follow, stop, resume.

Ray Jobs runs the driver of the sweep on the cluster's head, so nothing depends on the machine that
submitted it. The sweep, its storage and its command are metadata of the job; the job's id is only a
name.
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
# Only code is uploaded with a job; data is in the storage.
_NOT_UPLOADED = [".git", ".venv", "venv", "runs", "__pycache__", "*.db", "*.db-*", "mlruns"]
_ANSWER_SECONDS = 60.0  # for a cluster to stop a job; it kills a driver after three
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class SweepJob:
    """A sweep as a job of a cluster."""

    job_id: str
    sweep: str
    storage: str
    command: tuple[str, ...]  # run in the folder that was submitted
    status: str  # Ray's: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    started_seconds: float  # since 1970
    message: str

    @property
    def ended(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.status in _ENDED


class Cluster:
    """The sweeps of a running cluster.

    `address` is that of its dashboard (`http://127.0.0.1:8265`, the end of a tunnel), of its head
    (`10.0.0.1:6379`), or `auto` on one of its nodes; by default `RAY_ADDRESS`, else the dashboard
    on this machine. Raises `InputError` if no cluster answers, or it denies access.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS") or DEFAULT_ADDRESS
        # Before Ray is imported. The requested address must override Ray's own lookup.
        set_environment()
        os.environ["RAY_ADDRESS"] = self.address
        os.environ.pop("RAY_API_SERVER_ADDRESS", None)
        from ray.job_submission import JobSubmissionClient

        for noisy in ("ray", "ray.dashboard", UPLOAD_LOGGER):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        with self._ray_errors():
            require_answer(self.address)
            self._client = JobSubmissionClient(self.address)

    def submit(
        self, sweep: str, storage: str, command: Sequence[str], folder: Path | None
    ) -> SweepJob:
        """Start `command` on the cluster, in a copy of `folder` (None: in Ray's default folder).

        Raises `InputError` if the sweep is already running there, or the folder is too large.
        """
        running = [job for job in self.jobs() if job.sweep == sweep and not job.ended]
        if any(job.storage == storage for job in running):
            found = f"{running[0].job_id} is {running[0].status.lower()}"
            raise bad(f"sweep {sweep}", "one that is not running on the cluster", found)
        runtime_env: dict[str, object] = {}
        if folder is not None:
            runtime_env = {"working_dir": str(folder), "excludes": _NOT_UPLOADED}
        # A unique id, because a sweep may be submitted again to resume it.
        job_id = f"{sweep}-{uuid.uuid4().hex[:8]}"
        metadata = {_SWEEP: sweep, _STORAGE: storage, _COMMAND: json.dumps(list(command))}
        with self._ray_errors():
            try:
                self._client.submit_job(
                    entrypoint=shlex.join(command),
                    submission_id=job_id,
                    runtime_env=runtime_env,
                    metadata=metadata,
                )
            except ValueError as error:  # Ray refuses a folder of more than 512 MiB
                raise bad(
                    str(folder), "a folder of code of at most 512 MiB, for the upload", error
                ) from None
        return self.job(job_id)

    def jobs(self) -> list[SweepJob]:
        """The sweeps among the cluster's jobs, the last started first."""
        with self._ray_errors():
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
            raise bad("sweep", f"a running or finished one at {self.address} ({there})", repr(name))
        return found[0]

    def logs(self, job: SweepJob) -> str:
        """The output of the job so far."""
        with self._ray_errors():
            return str(self._client.get_job_logs(job.job_id))

    def follow(self, job: SweepJob, every_seconds: float = 1.0) -> Iterator[str]:
        """Yield the output of the job as it comes, until the job ends. Breaking off does not stop
        the job."""
        # Polls, because Ray's own stream ends silently when a tunnel does, and a sweep prints only
        # a line per cell.
        shown = 0
        while True:
            over = self.job(job.job_id).ended  # before the logs, so that no last line is missed
            text = self.logs(job)
            if len(text) > shown:
                yield text[shown:]
                shown = len(text)
            if over:
                return
            time.sleep(every_seconds)

    def stop(self, job: SweepJob) -> SweepJob:
        """Stop the job as Ctrl-C would, and wait until it has ended.

        Raises `RunError` if it is still running after a minute.
        """
        with self._ray_errors():
            self._client.stop_job(job.job_id)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not (now := self.job(job.job_id)).ended:
            if time.monotonic() > deadline:
                raise RunError(f"{job.job_id}: still {now.status.lower()} a minute after the stop")
            time.sleep(0.2)
        return now

    @contextmanager
    def _ray_errors(self) -> Iterator[None]:
        """Convert Ray's various connection errors to one."""
        import aiohttp
        import requests
        from ray.exceptions import AuthenticationError

        what, wanted = f"cluster {self.address}", "a Ray cluster that answers"
        try:
            yield
        except AuthenticationError as error:
            wanted = "access: copy the cluster's ~/.ray/auth_token to this machine, or set its "
            wanted += "RAY_AUTH_MODE on both sides (docs/cluster.md)"
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
