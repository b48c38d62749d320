"""Where a Ray of our own has its sockets, and what an address that is none costs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.errors import InputError
from raydt.orchestration.cluster import runtime, temporary
from raydt.orchestration.cluster.runtime import on_cluster, require_answer
from raydt.orchestration.cluster.temporary import MAX_CHARACTERS, ray_folder
from raydt.orchestration.preflight import check_environment
from tests.local_server import serving


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        yield Path(folder)


def test_a_folder_that_will_do_is_left_to_ray(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(short))
    assert ray_folder() is None


def test_a_long_one_is_replaced_by_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(long))
    found = ray_folder()
    assert found is not None
    assert len(found) <= MAX_CHARACTERS
    assert os.access(found, os.W_OK)


def test_a_ray_folder_of_somebody_else_is_left_alone(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(short))
    (short / "ray").mkdir()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: real(path, mode) and Path(path) != short / "ray"
    )
    assert ray_folder() == str(short / f"raydt-{os.getuid()}")


def test_none_that_will_do_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "_is_usable", lambda _: False)
    with pytest.raises(InputError, match="RAY_TMPDIR=/short/path"):
        ray_folder()


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "http://127.0.0.1:{}"])
def test_an_address_where_nothing_listens_is_known_at_once(form: str) -> None:
    with pytest.raises(ConnectionError):
        require_answer(form.format(closed_port()))


@pytest.mark.parametrize(
    "address",
    "foo|127.0.0.1|[::1|127.0.0.1:99999|127.0.0.1:port|http://|ray://| |127.0.0.1:1 |:6379".split(
        "|"
    ),
)
def test_what_is_no_address_says_what_is_one(address: str) -> None:
    with pytest.raises(ConnectionError, match=r"invalid address.*HOST:PORT"):
        require_answer(address)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "http://127.0.0.1:{}"])
def test_an_old_address_that_is_another_program_s_by_now(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An HTTP server answers in its own way, and some say nothing at all.
    with serving(BaseHTTPRequestHandler) as there:
        if form.startswith("http"):
            require_answer(form.format(there.rpartition(":")[2]))  # Ray's client asks it more
        else:
            with pytest.raises(ConnectionError, match="expected Ray, got another server"):
                require_answer(form.format(there.rpartition(":")[2]))
    monkeypatch.setattr(runtime, "_CONNECT_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ConnectionError, match="timed out"):
            require_answer(form.format(silent.getsockname()[1]))


def test_a_head_s_address_answers() -> None:
    # What Ray's head is to whoever asks: a server of gRPC.
    grpc = pytest.importorskip("grpc")
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        require_answer(f"127.0.0.1:{port}")
    finally:
        server.stop(None)


def test_a_launch_is_refused_before_it_prepares_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port()}")
    (problem,) = check_environment(Sweep(storage=str(tmp_path)))
    assert problem.what == "RAY_ADDRESS"
    assert "refused" in problem.got


def test_a_ray_of_our_own_needs_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    asked: list[str | None] = []
    monkeypatch.setattr("ray.init", lambda **_: asked.append(os.environ.get("RAY_AUTH_TOKEN")))
    runtime._start(1, None)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    (token,) = asked
    assert token is not None
    assert len(token) == 64


def test_a_ray_of_our_own_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert not on_cluster()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert on_cluster()


def test_under_uv_nothing_is_shipped() -> None:
    program = (
        "from raydt.orchestration.cluster.runtime import set_environment; set_environment()\n"
        "from ray._private import ray_constants; print(ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "False"
