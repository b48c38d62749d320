"""How fast and in how much memory a corpus is prepared and read, beside others in one run.

    python benchmarks/corpora.py                      # speed, of 200 MB
    python benchmarks/corpora.py --memory-bytes 2G    # and the memory a large file takes

Text is made by drawing words of a vocabulary of 60,000 by Zipf's law; no two documents share a
sentence. Needs `pip install 'raydt[bench]'` for ByT5, and says so where it is not there.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raydt.corpora.batches import WindowBatches
from raydt.corpora.prepare import prepare_language
from raydt.corpora.spec import FilesCorpus
from raydt.units import approximate_bytes, parse_bytes

BYT5_BYTES = 4_000_000  # of the same text: at 1 MB/s all of it would take minutes
VOCABULARY = 60_000


def main() -> None:
    """Print a line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", default="200M", help="of text, for speed [200M]")
    parser.add_argument("--memory-bytes", help="of text, for memory [not measured]")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many [3]")
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
    """Local parquet to shards, against the raw column and against ByT5."""
    path = folder / "xx.parquet"
    num_bytes = write_parquet(path, num_bytes)
    print(f"parquet (zstd) of {approximate_bytes(num_bytes)}B of text, best of {rounds}:")

    def prepare() -> None:
        shutil.rmtree(folder / "prepared", ignore_errors=True)
        prepare_language(FilesCorpus(folder), "xx", 0, 0, 0, folder / "prepared")

    # In turn, so that a machine that is busy for a while is busy for both.
    raw, ours = [], []
    for _ in range(rounds):
        raw.append(num_bytes / seconds(lambda: read_raw(path)))
        ours.append(num_bytes / seconds(prepare))
    line("raw column buffers, pyarrow", max(raw))
    line("raydt: parquet to shards", max(ours), f"{max(ours) / max(raw):.2f} of raw (target 0.7)")
    byt5 = measure_byt5(path, folder)
    if byt5 is not None:
        line("ByT5Tokenizer, datasets.map", byt5, f"raydt {max(ours) / byt5:.0f}x (target 100x)")


def read_raw(path: Path) -> int:
    """Read the column and look at its buffers; nothing is kept."""
    with pq.ParquetFile(path, memory_map=True) as file:
        batches = file.iter_batches(4096, columns=["text"], use_threads=False)
        return sum(batch.column(0).buffers()[2].size for batch in batches)


def measure_byt5(path: Path, folder: Path) -> float | None:
    """Bytes/s of the tokenizer everybody uses for bytes; `None` if it is not installed."""
    if find_spec("transformers") is None:
        print("  ByT5Tokenizer: not measured, `pip install 'raydt[bench]'` first")
        return None
    import datasets
    from transformers import ByT5Tokenizer

    datasets.disable_progress_bars()
    texts = next(pq.ParquetFile(path).iter_batches(BYT5_BYTES // 2000)).column(0).to_pylist()
    num_bytes = sum(len(text.encode()) for text in texts)
    data = datasets.Dataset.from_dict({"text": texts})
    tokenizer = ByT5Tokenizer()
    took = seconds(
        lambda: data.map(
            lambda rows: tokenizer(rows["text"]),
            batched=True,
            remove_columns=["text"],
            cache_file_name=str(folder / "byt5.arrow"),
        )
    )
    return num_bytes / took


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
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    print(f"preparing {approximate_bytes(num_bytes)}B: {done.stdout.strip()} (target 500 MB)")


def measure_peak(folder: Path) -> None:
    """Prepare, and print the time and the peak of this process."""
    took = seconds(lambda: prepare_language(FilesCorpus(folder), "xx", 0, 0, 0, folder / "out"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"{took:.1f} s, peak {peak:.0f} MB")


def write_parquet(path: Path, num_bytes: int) -> int:
    """Text of about so many bytes in a column `text`; the bytes there are."""
    rng = np.random.default_rng(0)
    letters = np.array(list("eeeetttaaooiinnsshhrrddlluc"))
    words = pa.array([" " + "".join(rng.choice(letters, rng.integers(2, 11)))
                      for _ in range(VOCABULARY)], pa.large_binary())  # fmt: skip
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
