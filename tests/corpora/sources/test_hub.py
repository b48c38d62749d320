"""The Hub as a stream, without the Hub: local data in its place, and connections that break."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from raydt.corpora.preparing import shuffle
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources import hub
from raydt.corpora.sources.documents import Position
from raydt.corpora.sources.hub import Origin, check_reachable, read_hub
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import HubCorpus
from raydt.errors import InputError, RunError
from tests.ports import free_port

SPEC = HubCorpus("owner/data", config="2024.{language}")
NUM_ROWS = 3500


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A dataset of two files in place of the Hub's, and no waiting."""
    texts = [f"row {number} of the stream" for number in range(NUM_ROWS)]
    files = []
    for index, part in enumerate((texts[:1700], texts[1700:])):
        files.append(str(tmp_path / f"{index}.jsonl"))
        lines = (json.dumps({"url": "x", "text": text}) for text in part)
        Path(files[-1]).write_text("\n".join(lines) + "\n")

    def load_dataset(name: str, config: str, **options: Any) -> Any:
        assert (name, config) == ("owner/data", "2024.de")
        assert options == {"split": "train", "revision": "abc", "streaming": True}
        return REAL_LOAD("json", data_files=files, split="train", streaming=True)

    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(shuffle, "_MARGIN_BYTES", 100)
    monkeypatch.setattr(hub, "check_reachable", lambda: None)
    monkeypatch.setattr(hub, "_RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(shuffle, "find_origin", lambda _: Origin("abc", "odc-by"))
    return texts


REAL_LOAD = datasets.load_dataset


def texts_of(position: Position | None = None) -> Iterator[str]:
    for block in read_hub(SPEC, "de", "abc", position):
        yield from (text.decode().rstrip("\0") for text in block.documents.to_pylist())


def test_a_stream_is_read_and_goes_on_at_every_position(rows: list[str]) -> None:
    blocks = list(read_hub(SPEC, "de", "abc"))
    assert len(blocks) >= 3
    num_before = 0
    for block in blocks:
        num_before += len(block.documents)
        position = json.loads(json.dumps(block.position))  # as a checkpoint keeps it
        assert list(texts_of(position)) == rows[num_before:]
    assert list(texts_of()) == rows


def break_after(monkeypatch: pytest.MonkeyPatch, num_tables: list[int]) -> None:
    """Each time it is opened the stream breaks after so many tables; then it holds."""
    whole = hub._tables

    def tables(*arguments: Any) -> Iterator[Any]:
        limit = num_tables.pop(0) if num_tables else 10**9
        for number, table in enumerate(whole(*arguments)):
            if number == limit:
                raise ConnectionResetError("the peer is gone")
            yield table

    monkeypatch.setattr(hub, "_tables", tables)


def test_a_stream_that_breaks_off_goes_on_where_it_was(
    rows: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_after(monkeypatch, [2, 0, 1])
    assert list(texts_of()) == rows


def test_a_stream_that_is_lost_is_taken_up_by_the_next_run(
    rows: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = prepare_language(locate(SPEC), "de", 30_000, 500, 500, tmp_path / "whole")
    assert whole.manifest.source.revision == "abc"
    assert whole.manifest.licence == "odc-by"
    # As much as was asked for, and a margin; not the whole stream.
    assert (whole.manifest.source.num_documents or 0) < NUM_ROWS
    # Every block is a checkpoint, so that what the first run had is not read again.
    monkeypatch.setattr("raydt.corpora.preparing.buckets._CHECKPOINT_BYTES", 1)
    monkeypatch.setattr("raydt.corpora.preparing.buckets._CHECKPOINT_SECONDS", 0)
    break_after(monkeypatch, [1, 0, 0])
    with pytest.raises(RunError, match="broke 3 times"):
        prepare_language(locate(SPEC), "de", 30_000, 500, 500, tmp_path / "broken")
    positions: list[Position | None] = []
    read = read_hub

    def read_and_tell(*arguments: Any) -> Any:
        positions.append(arguments[3])
        return read(*arguments)

    monkeypatch.setattr(shuffle, "read_hub", read_and_tell)
    again = prepare_language(locate(SPEC), "de", 30_000, 500, 500, tmp_path / "broken")
    assert positions[0] is not None
    assert again.manifest == whole.manifest
    assert again.train(30_000).tobytes() == whole.train(30_000).tobytes()


def test_a_column_that_is_not_there(rows: list[str]) -> None:
    spec = HubCorpus("owner/data", config="2024.{language}", column="content")
    with pytest.raises(InputError, match=r"'content', got columns 'url', 'text'"):
        next(read_hub(spec, "de", "abc"))


def test_offline_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
        check_reachable()


def test_no_network_is_an_error_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match=r"a network that reaches 127\.0\.0\.1"):
        check_reachable()


def test_the_command_says_what_to_do_instead(tmp_path: Path) -> None:
    options = ["--corpus", "hub:allenai/c4", "--languages", "de", "--train-bytes", "1M"]
    done = subprocess.run(
        [sys.executable, "-m", "raydt", "prepare", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        timeout=240,
    )
    assert done.returncode == 2
    assert "use files:PATH" in done.stderr
    assert "Traceback" not in done.stderr
