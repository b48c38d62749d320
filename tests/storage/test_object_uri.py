"""How a bucket is reached: the address of a store that is compatible with S3, and what is reported
where it, its bucket or its credentials are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.errors import InputError
from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from tests.ports import free_port


@pytest.fixture
def nowhere() -> str:
    """An address at which nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_environment_names_the_store(
    name: str,
    s3: str,
    s3_folder: Folder,
    nowhere: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variable of S3 wins over that of all services, as for Amazon's own tools."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", nowhere)
    monkeypatch.setenv(name, f"http://{s3}")
    folder = open_folder(f"s3://raydt/{tmp_path.name}")
    folder.write("by the environment", b"here")
    assert s3_folder.read("by the environment") == b"here"
    assert folder.supports_swap("probe")
    assert folder.uri == f"s3://raydt/{tmp_path.name}"


def test_an_address_without_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(InputError, match="AWS_ENDPOINT_URL: expected an address such as https://"):
        open_folder(f"s3://raydt/{tmp_path.name}")


def test_a_bucket_that_does_not_exist(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3}")
    folder = open_folder(f"s3://other/{tmp_path.name}")
    for use in (folder.names, lambda: folder.read("file"), lambda: folder.write("file", b"1")):
        with pytest.raises(OSError, match="NoSuchBucket: The specified bucket does not") as raised:
            use()
        assert not isinstance(raised.value, FileNotFoundError)
        assert "xml" not in str(raised.value)


def test_no_credentials(nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # read by boto3
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", nowhere)  # read by the client
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    folder = open_folder(f"s3://raydt/{tmp_path.name}?region=us-east-1")
    with pytest.raises(OSError, match=r"expected credentials in the environment .*, got neither"):
        folder.names()
