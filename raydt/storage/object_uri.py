"""The URI of an object store, and a client for its bucket.

The format is Arrow's, because Ray reads the same URI with Arrow for the state of its workers:
`s3://bucket/prefix?region=eu-central-1`, with `endpoint_override` and `scheme` for stores that are
compatible with S3 or Google Cloud Storage. Without them, the address of such a store is in
`AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, which Arrow and boto3 read, too.
"""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

from raydt.errors import InputError, Problem, bad

if TYPE_CHECKING:  # they exist only in the stubs
    from obstore.store import ClientConfig, RetryConfig

BucketStore = S3Store | GCSStore

_OPTIONS = {
    "s3": {"region", "endpoint_override", "scheme", "allow_bucket_creation"},
    "gs": {"endpoint_override", "scheme", "retry_limit_seconds", "project_id"},
}
_ANONYMOUS = "anonymous"
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS"
# A client without credentials asks the machine for those of its role.
_ASKED_THE_MACHINE = ("/latest/api/token", "/latest/meta-data/", "/computeMetadata/")
# Wait for a store that is unreachable for a moment; longer is an error, as with a disk.
_RETRIES: RetryConfig = {
    "max_retries": 8,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=8),
        "base": 2,
    },
}


def open_bucket(uri: str) -> tuple[BucketStore, str]:
    """A client for the bucket of a URI, and the prefix; `InputError` if the URI is not valid.

    Credentials come from the environment, as for each store's own tools, and never from the URI,
    which is shown and recorded; `anonymous@` means no credentials.
    """
    parts = urlsplit(uri)
    kind = "s3" if parts.scheme == "s3" else "gs"
    bucket = parts.netloc.rpartition("@")[2]
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _check(uri, kind, bucket, parts.netloc.rpartition("@")[0], set(options))
    endpoint = options.get("endpoint_override")
    address = f"{options.get('scheme', 'https')}://{endpoint}" if endpoint else None
    if address is None and kind == "s3":
        address = _address_in_environment()
    client: ClientConfig = {"allow_http": (address or "").startswith("http://")}
    anonymous = parts.netloc.startswith(f"{_ANONYMOUS}@")
    try:
        if kind == "s3":
            store: BucketStore = _s3(bucket, address, options.get("region"), anonymous, client)
        else:
            store = _google(bucket, address, anonymous, client)
    except (BaseError, ValueError) as error:
        raise bad("storage", "an object store that can be opened", reason(error)) from None
    return store, parts.path.strip("/")


def _check(uri: str, kind: str, bucket: str, user: str, options: set[str]) -> None:
    problems = []
    shown = uri.replace(f"{user}@", "…@") if user not in ("", _ANONYMOUS) else uri
    if not bucket:
        problems.append(Problem("storage", f"a bucket, as in {kind}://bucket/prefix", repr(shown)))
    if user not in ("", _ANONYMOUS):
        problems.append(
            Problem(
                "storage",
                "a URI without credentials, because they are read from the environment "
                f"({_CREDENTIALS})",
                repr(shown),
            )
        )
    unknown = sorted(options - _OPTIONS[kind])
    if unknown:
        known = ", ".join(sorted(_OPTIONS[kind]))
        problems.append(Problem("storage", f"options among {known}", ", ".join(unknown)))
    if problems:
        raise InputError(problems)


def _address_in_environment() -> str | None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        address = os.environ.get(name)
        if address and not address.startswith(("http://", "https://")):
            raise bad(name, "an address such as https://minio.example:9000", repr(address))
        if address:
            return address
    return None


def _s3(
    bucket: str, address: str | None, region: str | None, anonymous: bool, client: ClientConfig
) -> S3Store:
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = {"endpoint": address, "region": region}
    settings = {name: value for name, value in found.items() if value is not None}
    if anonymous:
        return S3Store(
            bucket,
            skip_signature=True,
            client_options=client,
            retry_config=_RETRIES,
            **settings,  # type: ignore[arg-type]
        )
    provider = None
    if "AWS_ACCESS_KEY_ID" not in os.environ and find_spec("boto3") is not None:
        # Profiles and single sign-on, which the client does not support itself.
        from obstore.auth.boto3 import Boto3CredentialProvider

        try:
            provider = Boto3CredentialProvider()
        except ValueError:
            provider = None  # none: the client asks the machine's metadata service
    return S3Store(
        bucket,
        credential_provider=provider,
        client_options=client,
        retry_config=_RETRIES,
        **settings,  # type: ignore[arg-type]
    )


def _google(bucket: str, address: str | None, anonymous: bool, client: ClientConfig) -> GCSStore:
    if address is None:
        return GCSStore(
            bucket, skip_signature=anonymous, client_options=client, retry_config=_RETRIES
        )
    # This client accepts another address only in this way.
    account = {"gcs_base_url": address, "disable_oauth": True}
    account |= {"client_email": "", "private_key": "", "private_key_id": ""}
    return GCSStore(
        bucket,
        service_account_key=json.dumps(account),
        skip_signature=True,
        client_options=client,
        retry_config=_RETRIES,
    )


def reason(error: Exception) -> str:
    """What a client's error says, in one line: of an answer in XML, its code and its message."""
    text = str(error).strip()
    if any(path in text for path in _ASKED_THE_MACHINE):
        return (
            f"expected credentials in the environment ({_CREDENTIALS}) or a role of this machine, "
            "got neither"
        )
    answer = re.search(r"<Code>(.+?)</Code>\s*<Message>(.*?)</Message>", text, flags=re.S)
    if answer is not None:
        return ": ".join(answer.groups())
    return text.splitlines()[0] if text else type(error).__name__
