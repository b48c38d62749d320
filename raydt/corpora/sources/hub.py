"""A dataset of the Hugging Face Hub as a stream of documents."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa

from raydt.corpora.sources.documents import Block, Position, from_column, parts
from raydt.corpora.spec import HubCorpus
from raydt.errors import RunError, bad

_PROBE_SECONDS = 3.0
_RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
_ROWS = 1000
_CLIENT_ERRORS = {"aiohttp": "ClientError", "httpx": "HTTPError", "httpx2": "HTTPError"}
_INSTEAD = "or download the data elsewhere and use files:PATH"


class Origin(NamedTuple):
    """The exact version that is read: the commit, and its licence."""

    revision: str
    licence: str | None


def check_reachable(what: str = "corpus hub", instead: str = _INSTEAD) -> None:
    """Raise `InputError` within seconds if the Hub cannot be reached, naming `what` needs it and
    what to do `instead`.

    The library itself would try for half a minute per file.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise bad(what, f"HF_HUB_OFFLINE to be unset, {instead}", "HF_HUB_OFFLINE set")
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    url = urlsplit(proxy or os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    host, port = url.hostname or "", url.port or (80 if url.scheme == "http" else 443)
    # In a daemon thread, because a name lookup has no timeout.
    pool = ThreadPoolExecutor(1)
    probe = pool.submit(_connect, host, port)
    try:
        probe.result(_PROBE_SECONDS)
    except (OSError, FutureTimeoutError) as error:
        found = str(error) or f"no answer in {_PROBE_SECONDS:g} seconds"
        raise bad(what, f"a network that reaches {host}:{port}, {instead}", found) from error
    finally:
        pool.shutdown(wait=False)


def _connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()


def find_origin(spec: HubCorpus) -> Origin:
    """The current commit of the revision of a corpus."""
    check_reachable()
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = huggingface_hub.HfApi().dataset_info(spec.dataset, revision=spec.revision)
    except HfHubHTTPError as error:
        raise bad(f"corpus {spec.name}", "a dataset and revision of the Hub", error) from error
    card = info.card_data
    licence = getattr(card, "license", None) if card is not None else None
    return Origin(info.sha or spec.revision, str(licence) if licence else None)


def read_hub(
    spec: HubCorpus, language: str, revision: str, position: Position | None = None
) -> Iterator[Block]:
    """The documents of a language, from `position` on if given.

    A broken stream is reopened at its position a few times. Then raises `RunError`, and a later run
    resumes at the position in the last block. `InputError` for a missing config, split or column.
    """
    broken = _breaks()
    num_failures = 0
    num_bytes = position["num_bytes"] if position else 0
    while True:
        try:
            for table, state in _tables(spec, language, revision, position):
                counts: Counter[str] = Counter()
                column = table.column(spec.column).combine_chunks()
                documents = from_column(column, spec.normalise, counts)
                num_bytes += len(parts(documents)[0])
                position = {"state": state, "num_bytes": num_bytes}
                num_failures = 0
                yield Block(documents, position, num_bytes, counts)
            return
        except pa.ArrowInvalid as error:
            requirement = f"readable files of {language}, in UTF-8"
            raise bad(f"corpus {spec.name}", requirement, error) from error
        except broken as error:
            if num_failures == len(_RETRY_SECONDS):
                raise RunError(
                    f"{language} of {spec.name}: the connection broke {num_failures + 1} times "
                    f"after {num_bytes} bytes ({error}); run the same command to resume"
                ) from error
            time.sleep(_RETRY_SECONDS[num_failures])
            num_failures += 1


def open_stream(spec: HubCorpus, language: str, revision: str) -> Any:
    """The `datasets.IterableDataset` of a language."""
    check_reachable()
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    datasets.config.STREAMING_READ_MAX_RETRIES = 2  # ours resume; the library's wait 5 s each time
    config = spec.config_of(language)
    try:
        return datasets.load_dataset(
            spec.dataset, config, split=spec.split, revision=revision, streaming=True
        )
    except (DatasetNotFoundError, ValueError) as error:
        requirement = f"config {config!r} with split {spec.split!r}"
        raise bad(f"corpus {spec.name}", requirement, error) from error


def _tables(
    spec: HubCorpus, language: str, revision: str, position: Position | None
) -> Iterator[tuple[pa.Table, Any]]:
    """Tables of rows, each with the state of the stream after it."""
    stream = open_stream(spec, language, revision)
    if stream.column_names is not None and spec.column not in stream.column_names:
        there = ", ".join(map(repr, stream.column_names))
        raise bad(f"corpus {spec.name}", f"a column {spec.column!r}", f"columns {there}")
    if stream.column_names is not None:
        stream = stream.select_columns([spec.column])
    stream = stream.with_format("arrow")
    if position is not None:
        stream.load_state_dict(position["state"])
    for table in stream.iter(batch_size=_ROWS):
        if spec.column not in table.column_names:
            there = ", ".join(map(repr, table.column_names))
            raise bad(f"corpus {spec.name}", f"a column {spec.column!r}", f"columns {there}")
        yield table, stream.state_dict()


def _breaks() -> tuple[type[Exception], ...]:
    """The exceptions of a lost connection, in all clients that the library uses."""
    kinds: list[type[Exception]] = [OSError, EOFError]
    for module, name in _CLIENT_ERRORS.items():
        if find_spec(module) is not None:
            kinds.append(getattr(import_module(module), name))
    return tuple(kinds)
