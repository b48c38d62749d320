"""A real PostgreSQL for a test: in a folder of its own, on loopback, with a password."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port

PASSWORD = "s3cret?/@%[x"  # every character that a URI would trip over


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int

    @property
    def uri(self) -> str:
        """Of its one database, without the password."""
        return f"postgresql+pg8000://keeper@127.0.0.1:{self.port}/postgres"


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    which = shutil.which("initdb")
    if which is not None:
        return Path(which).resolve().parent
    if not found:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server for the time of the block. It refuses to run as root, so there it is `postgres`."""
    pytest.importorskip("pg8000", reason="pip install raydt[postgres]")
    binaries = _binaries()
    owner = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    port = free_port()
    # Short, as the path of a unix socket has at most 107 bytes; and `postgres` can enter it.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        if owner:
            shutil.chown(folder, **owner)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = folder / "data"

        def run(program: str, *words: str) -> None:
            subprocess.run(
                [binaries / program, "-D", data, *words],
                check=True,
                capture_output=True,
                cwd=folder,
                **owner,
            )

        run("initdb", "-U", "keeper", "-A", "scram-sha-256", f"--pwfile={secret}", "-N")
        listen = f"-c listen_addresses=127.0.0.1 -c port={port} -c fsync=off -k {folder}"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", listen, "start")
        try:
            yield Postgres(port)
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
