"""Speed and memory of preparing and reading a corpus, compared with others in the same run.

    python benchmarks/corpora.py                      # speed, of 200 MB
    python benchmarks/corpora.py --memory-bytes 2G    # and the memory a large file takes

Text is made by drawing words of a vocabulary of 60,000 by Zipf's law; no two documents share a
sentence. ByT5 needs `pip install 'raydt[bench]'`; without it the script says so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from io import FileIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raydt.corpora.background import SerialWorker
from raydt.corpora.prepared.batches import WindowBatches
from raydt.corpora.preparing.duplicates import HeldOut
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.documents import from_column, parts
from raydt.corpora.sources.locate import locate
from raydt.corpora.sources.read_parquet import read_parquet
from raydt.corpora.spec import FilesCorpus
from raydt.cpus import num_cpus
from raydt.units import approximate_bytes, parse_bytes

BYT5_BYTES = 2_000_000  # of the same text per round: at 1 MB/s all of it would take minutes
VOCABULARY = 60_000


def main() -> None:
    """Print a line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", default="200M", help="of text, for speed [200M]")
    parser.add_argument("--memory-bytes", help="of text, for memory [not measured]")
    parser.add_argument("--rounds", type=int, default=5, help="of measuring [5]")
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.peak_of:
        measure_peak(parsed.peak_of)
        return
    with tempfile.TemporaryDirectory(prefix="raydt-bench-") as folder:
        measure_speed(Path(folder), parse_bytes(parsed.bytes), parsed.rounds)
        measure_batches(parsed.rounds)
        if parsed.memory_bytes:
            measure_memory(Path(folder), parse_bytes(parsed.memory_bytes))


def measure_speed(folder: Path, num_bytes: int, rounds: int) -> None:
    """Local parquet to shards, compared with the raw column and with ByT5."""
    path = folder / "xx.parquet"
    num_bytes = write_parquet(path, num_bytes)
    print(
        f"parquet (zstd) of {approximate_bytes(num_bytes)}B of text, {rounds} rounds on "
        f"{num_cpus()} cores, load {os.getloadavg()[0]:.1f}:"
    )

    def prepare() -> None:
        prepare_language(locate(FilesCorpus(folder)), "xx", 0, 0, 0, folder / "prepared")

    # Interleaved, so that temporary load affects all, with medians of ratios within a round. CPU
    # seconds hardly depend on other load.
    raw, floor, ours = Timed(num_bytes), Timed(num_bytes), Timed(num_bytes)
    tokenize = build_byt5(path, folder)
    for _ in range(rounds):
        raw.time(lambda: read_raw(path))
        floor.time(lambda: read_hash_write(path, folder / "floor.bin"))
        ours.time(prepare)
        if tokenize is not None:
            tokenize[1].time(tokenize[0])
        (folder / "floor.bin").unlink()
        shutil.rmtree(folder / "prepared")
    raw.line("raw column buffers, pyarrow", "one thread, from the page cache")
    floor.line("read, SHA-256, write", f"{floor.over(raw)} of raw: no rule could be faster")
    ours.line("raydt: parquet to shards", f"{ours.over(raw)} of raw (target 0.7)")
    if tokenize is not None:
        byt5 = tokenize[1]
        byt5.line("ByT5Tokenizer, datasets.map", f"raydt is {ours.over(byt5)} of it (target 100)")
    measure_stages(path)


def measure_stages(path: Path) -> None:
    """Each stage alone, on one thread."""
    blocks = [block.documents for block in read_parquet(path, FilesCorpus(path.parent), 0)]
    data = [parts(documents)[0] for documents in blocks]
    num_bytes = sum(map(len, data))
    rng = np.random.default_rng(0)
    order = [pa.array(rng.permutation(len(documents))) for documents in blocks]
    held_out = HeldOut()
    held_out.add(blocks[0])
    held_out.close()
    stages: dict[str, Callable[[], object]] = {
        "UTF-8, NUL, separators": lambda: [
            from_column(documents.cast(pa.large_string()), "none", Counter())
            for documents in blocks
        ],
        "shuffle, once": lambda: [d.take(o) for d, o in zip(blocks, order, strict=True)],
        "near and equal duplicates": lambda: [held_out.find(documents) for documents in blocks],
        "SHA-256": lambda: [hashlib.sha256(each.data) for each in data],
    }
    print("stages of it, each alone on one thread:")
    for name, work in stages.items():
        line(name, num_bytes / min(seconds(work) for _ in range(3)))


def read_hash_write(path: Path, out: Path) -> None:
    """The unavoidable part of any preparation: read, hash and write, each in a thread."""
    digest = hashlib.sha256()
    hashing, writing = SerialWorker(), SerialWorker()
    with out.open("wb", buffering=0) as file, pq.ParquetFile(path, memory_map=True) as parquet:
        for batch in parquet.iter_batches(4096, columns=["text"], use_threads=False):
            data = batch.column(0).buffers()[2]
            hashing.do(partial(digest.update, data))
            writing.do(partial(_write, file, data))
        for each in (hashing, writing):
            each.finish()
            each.close()
        os.fsync(file.fileno())


def _write(file: FileIO, data: pa.Buffer) -> None:
    left = memoryview(data)
    while len(left):
        left = left[file.write(left) :]


class Timed:
    """The rounds of one task on a number of bytes."""

    def __init__(self, num_bytes: int) -> None:
        self._num_bytes = num_bytes
        self._seconds: list[float] = []
        self._cpu_seconds: list[float] = []

    def time(self, work: Callable[[], object]) -> None:
        """One more round."""
        cpu_before = time.process_time()
        self._seconds.append(seconds(work))
        self._cpu_seconds.append(time.process_time() - cpu_before)

    @property
    def bytes_per_second(self) -> float:
        """Of the best round."""
        return self._num_bytes / min(self._seconds)

    def over(self, other: Timed) -> str:
        """Speed relative to another's, by wall clock and by CPU seconds: medians over rounds."""
        by_clock = self._median_over(other, other._seconds, self._seconds)
        by_cpu = self._median_over(other, other._cpu_seconds, self._cpu_seconds)
        return f"{by_clock:.2f}, by CPU seconds {by_cpu:.2f}"

    def _median_over(self, other: Timed, theirs: list[float], own: list[float]) -> float:
        median = statistics.median(a / b for a, b in zip(theirs, own, strict=True))
        return median * self._num_bytes / other._num_bytes

    def line(self, name: str, remark: str) -> None:
        """Print it."""
        cpu = f"{min(self._cpu_seconds) * 1e9 / self._num_bytes:.1f} CPU s/GB"
        line(name, self.bytes_per_second, f"{cpu:>14}  {remark}")


def read_raw(path: Path) -> int:
    """Read the column and look at its buffers; nothing is kept."""
    with pq.ParquetFile(path, memory_map=True) as file:
        batches = file.iter_batches(4096, columns=["text"], use_threads=False)
        return sum(batch.column(0).buffers()[2].size for batch in batches)


def build_byt5(path: Path, folder: Path) -> tuple[Callable[[], object], Timed] | None:
    """A round of the tokenizer everybody uses for bytes; `None` if it is not installed."""
    if find_spec("transformers") is None:
        print("  ByT5Tokenizer: not measured, `pip install 'raydt[bench]'` first")
        return None
    import datasets
    from transformers import ByT5Tokenizer

    datasets.disable_progress_bars()
    texts = next(pq.ParquetFile(path).iter_batches(BYT5_BYTES // 2000)).column(0).to_pylist()
    data = datasets.Dataset.from_dict({"text": texts})
    tokenizer = ByT5Tokenizer()

    def tokenize() -> object:
        return data.map(
            lambda rows: tokenizer(rows["text"]),
            batched=True,
            remove_columns=["text"],
            load_from_cache_file=False,
            cache_file_name=str(folder / "byt5.arrow"),
        )

    return tokenize, Timed(sum(len(text.encode()) for text in texts))


def measure_batches(rounds: int) -> None:
    """Batches of a memory-mapped stream on one thread."""
    with tempfile.NamedTemporaryFile() as file:
        np.random.default_rng(0).integers(1, 255, 10**8, dtype=np.uint8).tofile(file.name)
        data = np.memmap(file.name, dtype=np.uint8, mode="r")
        for window, batch_windows in ((128, 16), (128, 512), (1024, 32), (1024, 512)):
            batches = WindowBatches(data, window, batch_windows, seed=0)
            num_batches = max(1, 10**8 // (window * batch_windows))

            def read(batches: WindowBatches = batches, count: int = num_batches) -> None:
                for _ in range(count):
                    batches.next_batch()

            took = min(seconds(read) for _ in range(rounds))
            speed = num_batches * window * batch_windows / took
            line(f"batches [{batch_windows}, {window} + 1]", speed, "target 300 MB/s")


def measure_memory(folder: Path, num_bytes: int) -> None:
    """Peak of a process that prepares one large file and does nothing else."""
    big = folder / "big"
    big.mkdir()
    num_bytes = write_parquet(big / "xx.parquet", num_bytes)
    done = subprocess.run(
        [sys.executable, __file__, "--peak-of", str(big)],
        capture_output=True,
        text=True,
        check=True,
    )
    print(f"preparing {approximate_bytes(num_bytes)}B: {done.stdout.strip()} (target 500 MB)")


def measure_peak(folder: Path) -> None:
    """Prepare, and print the time and the peak of this process."""
    took = seconds(
        lambda: prepare_language(locate(FilesCorpus(folder)), "xx", 0, 0, 0, folder / "out")
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"{took:.1f} s, peak {peak:.0f} MB")


def write_parquet(path: Path, num_bytes: int) -> int:
    """Text of about this many bytes in a column `text`; returns the actual bytes."""
    rng = np.random.default_rng(0)
    letters = np.array(list("eeeetttaaooiinnsshhrrddlluc"))
    drawn = ("".join(rng.choice(letters, rng.integers(2, 11))) for _ in range(VOCABULARY))
    words = pa.array([f" {word}" for word in drawn], pa.large_binary())
    weights = 1 / np.arange(10, VOCABULARY + 10)
    cumulative = np.cumsum(weights / weights.sum())
    written = 0
    schema = pa.schema([("text", pa.large_string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while written < num_bytes:
            drawn = np.searchsorted(cumulative, rng.random(2_000_000)).clip(0, VOCABULARY - 1)
            text = words.take(pa.array(drawn))
            starts = np.frombuffer(text.buffers()[1], dtype=np.int64)
            cuts = np.unique(rng.integers(0, len(drawn), 6000))
            offsets = np.ascontiguousarray(starts[np.concatenate([[0], cuts, [len(drawn)]])])
            buffers = [None, pa.py_buffer(offsets), text.buffers()[2]]
            column = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
            writer.write_table(pa.table([column], schema=schema))
            written += int(offsets[-1])
    return written


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def line(name: str, bytes_per_second: float, remark: str = "") -> None:
    """A measurement."""
    print(f"  {name:<34} {bytes_per_second / 1e6:9.1f} MB/s  {remark}", flush=True)


if __name__ == "__main__":
    main()
