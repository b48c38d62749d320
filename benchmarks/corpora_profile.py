"""What each part of preparing a file costs, in CPU seconds per gigabyte, and the unavoidable part.

    python benchmarks/corpora_profile.py                # of 200 MB of text, made as for corpora.py
    python benchmarks/corpora_profile.py --bytes 500M --rounds 5
    python benchmarks/corpora_profile.py FOLDER         # of one language, such as xx.txt

Each part has the time of its own thread, minus that of the parts it calls; the remainder of the
total over all threads is the interpreter, waiting and freeing memory. The floor (read the column,
SHA-256 it, write it) is measured alternately with it if the text is generated.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.corpora import read_hash_write, write_parquet
from raydt.corpora.prepared.manifest import Manifest
from raydt.corpora.preparing import appended, assemble, buckets, duplicates, prepare, shuffle
from raydt.corpora.sources import files, read_parquet
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.units import approximate_bytes, parse_bytes

# Of each: whose, its name, what it does, and why it has to be there.
FLOOR, TEXT = "unavoidable in any preparation", "checks of the text"
SHUFFLE, TWICE = "shuffle in bounded memory", "splits without shared documents"
PARTS: tuple[tuple[Any, str, str, str], ...] = (
    (read_parquet._Column, "_read_group", "read and unpack parquet", FLOOR),
    (files, "read_text", "read and check lines", TEXT),
    (shuffle, "hash_file", "SHA-256 of the source", FLOOR),
    (assemble.ShardWriter, "_hash", "SHA-256 of the streams", FLOOR),
    (assemble.ShardWriter, "_write", "write the streams, count characters", FLOOR),
    (read_parquet, "_documents", "UTF-8, controls, separators", TEXT),
    (shuffle, "count_few", "read the beginning, to count documents", TEXT),
    (buckets.Buckets, "_take", "split and send to buckets", SHUFFLE),
    (appended.AppendedFiles, "flush", "write the buckets", SHUFFLE),
    (buckets.Buckets, "read", "read the buckets", SHUFFLE),
    (assemble, "_sorted", "sort the buckets", SHUFFLE),
    (assemble, "pieces", "excerpts of val and test", TWICE),
    (duplicates.HeldOut, "add", "remember what is held out", TWICE),
    (duplicates.HeldOut, "close", "sort what is held out", TWICE),
    (duplicates, "sampled_begins", "where shingles begin", TWICE),
    (duplicates.HeldOut, "find", "look shingles and documents up", TWICE),
)
Seconds = dict[str, float]


class Clock:
    """CPU seconds of each part, of whatever thread."""

    def __init__(self) -> None:
        self.seconds: Seconds = defaultdict(float)
        self._lock = threading.Lock()
        self._inner = threading.local()

    def of(self, work: Callable[..., Any], what: str) -> Callable[..., Any]:
        """Wraps a function to add up its own seconds; for a generator those of each step."""

        def run(*values: Any, **named: Any) -> Any:
            found = self._timed(what, lambda: work(*values, **named))
            return self._steps(what, found) if isinstance(found, Iterator) else found

        return run

    def _steps(self, what: str, items: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while (item := self._timed(what, lambda: next(items, end))) is not end:
            yield item

    def _timed(self, what: str, work: Callable[[], Any]) -> Any:
        inner: list[float] = self._inner.__dict__.setdefault("seconds", [])
        inner.append(0.0)
        before = time.thread_time()
        try:
            return work()
        finally:
            spent = time.thread_time() - before
            own = spent - inner.pop()
            if inner:
                inner[-1] += spent
            with self._lock:
                self.seconds[what] += own


def main() -> None:
    """Print a line per part, for the fastest round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--bytes", default="200M", help="of text that is made [200M]")
    parser.add_argument("--rounds", type=int, default=3)
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raydt-bench-") as made:
        if parsed.folder is None:
            write_parquet(Path(made) / "xx.parquet", parse_bytes(parsed.bytes))
        profile(parsed.folder or Path(made), Path(made), parsed.rounds)


def profile(folder: Path, scratch: Path, rounds: int) -> None:
    """Prepare a folder's language in rounds, by turns with the floor."""
    clock = Clock()
    for owner, name, what, _ in PARTS:
        setattr(owner, name, clock.of(getattr(owner, name), what))
    corpus = locate(FilesCorpus(folder))
    (language,) = corpus.languages
    (path,) = corpus.files[language]
    found: list[tuple[float, Seconds]] = []
    floors: list[float] = []
    for _ in range(rounds + 1):  # the first loads what is loaded once, and counts for nothing
        clock.seconds.clear()
        with tempfile.TemporaryDirectory(dir=scratch) as out:
            before = time.process_time()
            prepared = prepare.prepare_language(corpus, language, 0, 0, 0, Path(out))
            found.append((time.process_time() - before, dict(clock.seconds)))
            if path.suffix == ".parquet":
                before = time.process_time()
                read_hash_write(path, Path(out) / "floor.bin")
                floors.append(time.process_time() - before)
    print_profile(min(found[1:], key=lambda each: each[0]), prepared.manifest, floors[1:], path)


def print_profile(
    found: tuple[float, Seconds], manifest: Manifest, floors: list[float], path: Path
) -> None:
    """A line per part, a sum for each reason."""
    total, seconds = found
    gigabytes = manifest.source.num_text_bytes / 1e9
    print(
        f"{approximate_bytes(manifest.source.num_text_bytes)}B of text in {path.suffix}, load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; CPU s/GB"
    )

    def line(what: str, spent: float) -> None:
        print(f"{what:<42} {spent / gigabytes:6.2f} {spent / total:5.0%}")

    for reason in (FLOOR, TEXT, SHUFFLE, TWICE):
        mine = [(seconds.get(what, 0.0), what) for _, _, what, why in PARTS if why == reason]
        line(reason, sum(each for each, _ in mine))
        for each, what in sorted(mine, reverse=True):
            if each:
                line(f"  {what}", each)
    line("the rest: interpreter, threads, memory", total - sum(seconds.values()))
    line("all threads", total)
    if floors:
        line("read, SHA-256 and write alone", min(floors))
        splits = sum(seconds.get(what, 0.0) for _, _, what, why in PARTS if why == TWICE)
        without = min(floors) / (total - splits)
        print(f"they are {min(floors) / total:.2f} of it; {without:.2f} without the splits' rules")


if __name__ == "__main__":
    main()
