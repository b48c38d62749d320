"""The Hub through its own client libraries, over HTTP, from a server on this machine."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydt.corpora.prepared.language import PreparedLanguage, open_language
from raydt.corpora.spec import HubCorpus
from raydt.corpora.splits import SPLITS
from tests.corpora.sources.hub_server import COMMIT, DATASET, Hub, hub_of

# One kind of file a dataset, as `datasets` reads all configs of one in one way.
CARD = """---
license: odc-by
configs:
- config_name: de
  data_files:
  - split: train
    path: PATTERN
---
"""


def texts(seed: int, num_rows: int) -> list[str]:
    rng = np.random.default_rng(seed)
    letters = rng.integers(97, 123, (num_rows, 500), dtype=np.uint8)
    return [f"{number} {row.tobytes().decode()}" for number, row in enumerate(letters)]


def json_gz(rows: list[str]) -> bytes:
    lines = (json.dumps({"text": text, "url": "x"}) for text in rows)
    return gzip.compress("\n".join(lines).encode(), 1)


def parquet(rows: list[str]) -> bytes:
    file = io.BytesIO()
    table = pa.table({"url": ["x"] * len(rows), "text": rows})
    pq.write_table(table, file, row_group_size=300)
    return file.getvalue()


def files_of(kind: str) -> dict[str, bytes]:
    first, second = texts(0, 1200), texts(1, 1200)
    if kind == "json.gz":
        name = "multilingual/c4-de.tfrecord-0000{}-of-00002.json.gz"
        return {
            "README.md": CARD.replace("PATTERN", "multilingual/c4-de.*.json.gz").encode(),
            name.format(0): json_gz(first),
            name.format(1): json_gz(second),
            "multilingual/c4-de-validation.tfrecord-00000-of-00001.json.gz": json_gz(texts(2, 10)),
        }
    return {
        "README.md": CARD.replace("PATTERN", "de/train-*.parquet").encode(),
        "de/train-0.parquet": parquet(first),
        "de/train-1.parquet": parquet(second),
        "de/validation-0.parquet": parquet(texts(2, 10)),
    }


def run(hub: Hub, root: Path, *languages: str, check: bool = True) -> str:
    """`raydt prepare` from a hub, in a process that has never heard of another one."""
    keep = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    options = ["--corpus", f"hub:{DATASET}", "--storage", root, "--languages", *languages]
    options += ["--train-bytes", "700k", "--val-bytes", "8k", "--test-bytes", "8k", "--jobs", 1]
    done = subprocess.run(
        [sys.executable, "-m", "raydt", "prepare", *map(str, options)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        # tests/export is offline, and may have been collected by this process.
        env=keep
        | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(root / "hf"), "HF_HUB_OFFLINE": "0"},
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stderr


def opened(root: Path, language: str) -> PreparedLanguage:
    return open_language(root / "corpora" / HubCorpus(DATASET).key / language)


@pytest.mark.parametrize("kind", ["json.gz", "parquet"])
def test_files_are_read_whole_though_the_connection_breaks_off(kind: str, tmp_path: Path) -> None:
    with hub_of(files_of(kind)) as hub:
        hub.breaks_left = 1
        said = run(hub, tmp_path, "de")
        assert hub.num_broken == 1, said
        # Read by the commit and not by a name that may move, and never the validation file.
        read = [request for request in hub.requests if "/resolve/" in request]
        assert any(f"/resolve/{COMMIT}/" in each and " bytes=" in each for each in read)
        assert not any("validation" in request for request in read)
    language = opened(tmp_path, "de")
    manifest = language.manifest
    assert (manifest.source.revision, manifest.licence) == (COMMIT, "odc-by")
    # Every document once.
    stored = [
        document
        for split in SPLITS
        for document in (language.folder / f"{split}.bin").read_bytes().decode().split("\0")[:-1]
    ]
    rows = texts(0, 1200) + texts(1, 1200)
    assert manifest.source.num_documents == len(rows)
    assert sorted(stored) == sorted(rows)


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with hub_of(files_of("parquet")) as hub:
        said = run(hub, tmp_path, "sv", check=False)
    assert "config 'sv'" in said
    assert "'de'" in said  # which there is
    assert "Traceback" not in said


def test_a_file_that_is_no_such_file(tmp_path: Path) -> None:
    files = files_of("parquet") | {"de/train-0.parquet": b"not parquet" * 1000}
    with hub_of(files) as hub:
        said = run(hub, tmp_path, "de", check=False)
    assert f"hub:{DATASET}" in said
    assert "Traceback" not in said
