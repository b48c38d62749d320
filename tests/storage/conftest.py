"""The same tests on a disk and on an object store: a real S3 server on loopback, moto's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raydt.storage.folder import Folder, open_folder


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server that holds a bucket `raydt`."""
    boto3 = pytest.importorskip("boto3", reason="boto3 (the extra `test`) makes the bucket")
    server_module = pytest.importorskip("moto.server", reason="moto (the extra `test`) serves S3")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1"
        ).create_bucket(Bucket="raydt")
        yield f"{host}:{port}"
    server.stop()


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """An empty folder of each kind."""
    if request.param == "disk":
        return open_folder(tmp_path / "storage")
    address = request.getfixturevalue("s3")
    place = f"s3://raydt/{tmp_path.name}"
    return open_folder(f"{place}?endpoint_override={address}&scheme=http&region=us-east-1")
