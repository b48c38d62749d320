"""Kills, full disks and text of unusual shape."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from raydt.corpora.preparing import buckets, shuffle
from raydt.corpora.preparing.buckets import GAPS
from raydt.corpora.preparing.few import FLOOR, GAP_BYTES
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.corpora.splits import SPLITS
from raydt.errors import InputError

PROGRAM = """
import os, sys
from pathlib import Path
from raydt.corpora.preparing import {module}, buckets, shuffle
from raydt.corpora.sources import read_text
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
buckets._CHECKPOINT_BYTES = read_text._BLOCK_BYTES = 2000
buckets._CHECKPOINT_SECONDS = 0
shuffle._BUCKET_BYTES = 1000
whole, left = {module}.{name}, [{after}]
def counting(*arguments, **options):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), 9)
    return whole(*arguments, **options)
{module}.{name} = counting
prepare_language(locate(FilesCorpus(Path(sys.argv[1]))), "en", 5000, 100, 100, Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        *((("checkpoint", "json.dump", number)) for number in (1, 3, 6)),
        *((("appended", "os.write", number)) for number in (1, 20, 77)),
        ("assemble", "os.fsync", 2),
        ("assemble", "ShardWriter", 3),
        ("shuffle", "find_contamination", 1),
        ("place", "write_manifest", 1),
        ("place", "_sync_folder", 1),
        ("place", "_sync_folder", 2),
        ("prepare", "shutil.rmtree", 2),
    ],
)
def test_a_kill_at_any_moment_changes_nothing(
    corpus: FilesCorpus, root: Path, tmp_path: Path, module: str, name: str, after: int
) -> None:
    expected = prepare_language(locate(corpus), "en", 5000, 100, 100, tmp_path / "expected")
    program = PROGRAM
    if module == "prepare":
        program = program.replace(
            "from raydt.corpora.preparing.prepare import prepare_language",
            "prepare_language = prepare.prepare_language",
        )
    program = program.format(module=module, name=name, after=after)
    command = [sys.executable, "-c", program, str(corpus.path), str(root)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = root / corpus.key / "en"
    if (folder / "manifest.json").exists():  # whole or not there
        assert all((folder / f"{split}.bin").exists() for split in SPLITS)
    again = prepare_language(locate(corpus), "en", 5000, 100, 100, root)
    for split in SPLITS:
        assert again.manifest.splits[split] == expected.manifest.splits[split]
        assert (folder / f"{split}.bin").read_bytes() == (
            expected.folder / f"{split}.bin"
        ).read_bytes()
    assert again.manifest.dropped == expected.manifest.dropped
    assert again.manifest.source == expected.manifest.source
    assert [path.name for path in (root / ".work" / corpus.key).iterdir() if path.is_dir()] == []


def test_what_was_read_before_a_kill_is_not_read_again(
    corpus: FilesCorpus, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 1000)
    monkeypatch.setattr(buckets, "_CHECKPOINT_BYTES", 1)
    monkeypatch.setattr(buckets, "_CHECKPOINT_SECONDS", 0)

    def lost(*_: object) -> None:
        raise KeyboardInterrupt

    heard: list[int] = []

    def stop_half_way(_: str, phase: str, done: int, total: int | None) -> None:
        heard.append(done)
        if total is not None and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_language(locate(corpus), "en", 100, 10, 10, root, stop_half_way)
    half = heard[-2]
    heard.clear()
    prepare_language(locate(corpus), "en", 100, 10, 10, root, lambda *event: heard.append(event[2]))
    assert half < heard[0] < half + 3000


@pytest.mark.parametrize("bucket_bytes", [400, 200, 100])  # 40, 80 and 150 buckets
def test_the_order_does_not_depend_on_buckets_or_blocks(
    corpus: FilesCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_bytes: int
) -> None:
    first = prepare_language(locate(corpus), "en", 5000, 100, 100, tmp_path / "a")
    monkeypatch.setattr(shuffle, "_BUCKET_BYTES", bucket_bytes)
    monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 777)
    monkeypatch.setattr("raydt.corpora.preparing.assemble._SLICE_BYTES", 100)
    second = prepare_language(locate(corpus), "en", 5000, 100, 100, tmp_path / "b")
    assert first.manifest == second.manifest


def test_a_full_disk_is_an_error_and_what_was_done_is_taken_up(
    corpus: FilesCorpus, root: Path
) -> None:
    # In another process, as the limit could not be taken back here without privileges.
    program = (
        "import sys, resource, signal\nfrom pathlib import Path\n"
        "from raydt.corpora.preparing.prepare import prepare_language\n"
        "from raydt.corpora.sources.locate import locate\n"
        "from raydt.corpora.spec import FilesCorpus\nfrom raydt.errors import InputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "corpus = locate(FilesCorpus(Path(sys.argv[1])))\n"
        "try: prepare_language(corpus, 'en', 1, 1, 1, Path(sys.argv[2]))\n"
        "except InputError as error: sys.exit(f'refused: {error}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(corpus.path), str(root)], capture_output=True, text=True
    )
    assert "refused: " in done.stderr
    assert "expected a writable folder" in done.stderr
    assert not (root / corpus.key / "en").exists()
    assert prepare_language(locate(corpus), "en", 1, 1, 1, root).is_whole()


def test_near_duplicates_across_splits_are_dropped(tmp_path: Path, root: Path) -> None:
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(5000)])
    lines = [" ".join(rng.choice(words, 150)) for _ in range(400)]
    # Each again with a few words changed, as a page is scraped twice.
    again = [f"{line[:400]} CHANGED {line[430:]} and a new end" for line in lines]
    (tmp_path / "xx.txt").write_text("\n".join([*lines, *again]))
    language = prepare_language(locate(FilesCorpus(tmp_path)), "xx", 0, 0, 0, root)
    dropped = language.manifest.dropped
    assert dropped["train documents near one of val or test"] > 50
    assert dropped["train documents equal to one of val or test"] == 0
    folder = language.folder
    train = (folder / "train.bin").read_bytes()
    for split in ("val", "test"):
        for document in (folder / f"{split}.bin").read_bytes().split(b"\0")[:-1]:
            assert document[:60] not in train
    kept = sum(record.num_documents for record in language.manifest.splits.values())
    assert kept == 800 - sum(dropped.values())
    assert kept > 800 - 200  # and what is near to nothing else stays


@pytest.mark.parametrize("kind", ["one of 64 MB", "a million of 3 bytes", "all the same byte"])
def test_documents_of_unusual_size(tmp_path: Path, root: Path, kind: str) -> None:
    path = tmp_path / "xx.txt"
    if kind == "a million of 3 bytes":
        numbers = np.random.default_rng(0).integers(33, 127, (1_000_000, 4), dtype=np.uint8)
        numbers[:, 3] = ord("\n")
        path.write_bytes(numbers.tobytes())
    elif kind == "one of 64 MB":
        text = np.random.default_rng(0).integers(33, 127, 64_000_000, dtype=np.uint8)
        path.write_bytes(text.tobytes() + b"\nshort\n" * 20)
    else:
        path.write_bytes(b"a" * 3_000_000 + b"\nb\n" * 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    manifest = prepare_language(locate(FilesCorpus(tmp_path)), "xx", 0, 0, 0, root).manifest
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    size = path.stat().st_size
    num_stored = sum(record.num_bytes for record in manifest.splits.values())
    if kind == "one of 64 MB":
        # Of so few documents the long one gives excerpts, each with a gap before train.
        num_gap_bytes = manifest.dropped[GAPS]
        assert 0 < num_gap_bytes <= 2 * 2 * FLOOR * GAP_BYTES
        assert size - 200 < num_stored + num_gap_bytes <= size + 200
        # The document as it is read, put together, cleaned, checked and taken: some copies of it.
        assert grown < 10 * size
    elif kind == "a million of 3 bytes":
        assert manifest.source.num_documents == 1_000_000
        assert grown < 400_000_000


def test_a_name_with_odd_characters(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "mes données [1] {x}"
    folder.mkdir()
    (folder / "pt-BR.v2_x.txt").write_text("a\nb\n")
    (folder / "ço.txt").write_text("a\n")
    spec = FilesCorpus(folder)
    assert prepare_language(locate(spec), "pt-BR.v2_x", 0, 0, 0, root).is_whole()
    with pytest.raises(InputError, match="a name of letters"):
        prepare_language(locate(spec), "ço", 0, 0, 0, root)


def test_a_source_that_changes_while_it_is_read(corpus: FilesCorpus, root: Path) -> None:
    def change(*_: object) -> None:
        corpus.file("en").write_text("something else\n")

    with pytest.raises(InputError, match="unchanged files while they are read"):
        prepare_language(locate(corpus), "en", 1, 1, 1, root, change)
