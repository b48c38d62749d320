"""Where the CPU seconds of preparing a file go, by what its threads do.

    python benchmarks/corpora_profile.py FOLDER        # of one language, such as xx.txt

Each part has the time of its own thread; the whole is of all threads, and what is left of it is
reading, the checks of the text and the interpreter.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raydt.corpora.preparing import assemble, buckets, duplicates, shuffle
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus

# Of each: whose, its name and what it does. None of them calls another.
PARTS: tuple[tuple[Any, str, str], ...] = (
    (shuffle, "count_few", "read the beginning, to count documents"),
    (shuffle, "hash_file", "SHA-256 of the source"),
    (buckets.Buckets, "_take", "split and send to buckets"),
    (buckets.Buckets, "read", "read the buckets"),
    (duplicates.HeldOut, "add", "remember what is held out"),
    (duplicates.HeldOut, "close", "sort what is held out"),
    (duplicates.HeldOut, "find", "find duplicates"),
    (assemble, "pieces", "excerpts of val and test"),
    (assemble.ShardWriter, "_hash", "SHA-256 of the streams"),
    (assemble.ShardWriter, "_write", "write the streams, count characters"),
)


def main() -> None:
    """Print a line per part, of the round that took least."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parsed = parser.parse_args()
    seconds: dict[str, float] = defaultdict(float)
    lock = threading.Lock()
    for owner, name, what in PARTS:
        setattr(owner, name, timed(getattr(owner, name), what, seconds, lock))
    rounds = []
    corpus = locate(FilesCorpus(parsed.folder))
    (language,) = corpus.languages
    for _ in range(parsed.rounds):
        seconds.clear()
        with tempfile.TemporaryDirectory() as folder:
            before = time.process_time()
            prepare_language(corpus, language, 0, 0, 0, Path(folder))
            rounds.append((time.process_time() - before, dict(seconds)))
    total, parts = min(rounds, key=lambda each: each[0])
    for what, spent in sorted(parts.items(), key=lambda each: -each[1]):
        print(f"{what:<42} {spent:7.3f} s {spent / total:5.0%}")
    rest = total - sum(parts.values())
    print(f"{'read, check and the rest':<42} {rest:7.3f} s {rest / total:5.0%}")
    print(f"{'all threads':<42} {total:7.3f} s")


def timed(
    work: Callable[..., Any], what: str, seconds: dict[str, float], lock: threading.Lock
) -> Callable[..., Any]:
    """The same work, whose CPU seconds are added up."""

    def run(*values: Any, **named: Any) -> Any:
        before = time.thread_time()
        try:
            return work(*values, **named)
        finally:
            spent = time.thread_time() - before
            with lock:
                seconds[what] += spent

    return run


if __name__ == "__main__":
    main()
