from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raydt.corpora.prepared.batches import Batch, EvaluationWindows, WindowBatches
from raydt.errors import InputError

sizes = st.integers(1, 255)
windows = st.integers(1, 64)
seeds = st.integers(0, 1000)


def numbered(num_bytes: int) -> NDArray[np.uint8]:
    """Up to 255 bytes that each tell their position: byte p is p + 1."""
    return np.arange(1, num_bytes + 1).astype(np.uint8)


def noise(num_bytes: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(1, 256, num_bytes).astype(np.uint8)


def read_epoch(batches: WindowBatches, num_bytes: int) -> Batch:
    """Single rows until they have `num_bytes` targets."""
    rows: list[Batch] = []
    while num_bytes > 0:
        rows.append(batches.next_batch())
        num_bytes -= rows[-1].windows.shape[1] - 1 - int(rows[-1].num_ignored[0])
    return Batch(
        np.concatenate([row.windows for row in rows]),
        np.concatenate([row.num_ignored for row in rows]),
        sum(row.num_targets for row in rows),
    )


def times_a_target(rows: Batch, num_bytes: int, window: int) -> NDArray[np.int64]:
    """How often each byte of `numbered` is a target; every row must be a piece of the text."""
    assert rows.windows.shape == (len(rows.num_ignored), window + 1)
    assert rows.windows.dtype == np.uint8
    assert rows.windows.flags.c_contiguous
    assert rows.num_ignored.dtype == np.int64
    assert (rows.num_ignored >= 0).all()
    assert (rows.num_ignored < window).all()
    padded = np.concatenate([np.zeros(window + 1, dtype=np.uint8), numbered(num_bytes)])
    times = np.zeros(num_bytes, dtype=np.int64)
    for row, num_ignored in zip(rows.windows, rows.num_ignored, strict=True):
        end = int(row[-1])
        assert np.array_equal(row, padded[end : end + window + 1])
        times[end - window + num_ignored : end] += 1
    return times


def evaluation_rows(data: NDArray[np.uint8], window: int) -> Batch:
    rows = EvaluationWindows(data, window)
    return rows.rows(0, len(rows))


def same(first: Batch, second: Batch) -> bool:
    return np.array_equal(first.windows, second.windows) and np.array_equal(
        first.num_ignored, second.num_ignored
    )


@settings(max_examples=200, deadline=None)
@given(num_bytes=sizes, window=windows, seed=seeds)
def test_each_byte_is_a_target_once_an_epoch(num_bytes: int, window: int, seed: int) -> None:
    batches = WindowBatches(numbered(num_bytes), window, 1, seed)
    for epoch in range(3):
        rows = read_epoch(batches, num_bytes)
        assert (times_a_target(rows, num_bytes, window) == 1).all()
        assert batches.state() == {"epoch": epoch, "row": len(rows.num_ignored)}
        # An offset costs a row, and the tail its own: no more than that is read in vain.
        assert len(rows.num_ignored) <= -(-num_bytes // window) + 1


@settings(max_examples=200, deadline=None)
@given(num_bytes=sizes, window=windows)
def test_evaluation_reads_each_byte_once_and_in_order(num_bytes: int, window: int) -> None:
    rows = evaluation_rows(numbered(num_bytes), window)
    assert (times_a_target(rows, num_bytes, window) == 1).all()
    targets = [
        row[1 + num_ignored :]
        for row, num_ignored in zip(rows.windows, rows.num_ignored, strict=True)
    ]
    assert np.array_equal(np.concatenate(targets), numbered(num_bytes))
    assert len(targets) == -(-num_bytes // window)


def test_the_first_byte_follows_a_separator_and_the_tail_follows_text() -> None:
    rows = evaluation_rows(numbered(7), 3)
    assert rows.windows.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [4, 5, 6, 7]]
    assert rows.num_ignored.tolist() == [0, 0, 2]


def test_data_shorter_than_a_window_is_read_whole_in_one_row() -> None:
    batch = WindowBatches(numbered(3), 5, 2, seed=0).next_batch()
    assert batch.windows.tolist() == [[0, 0, 0, 1, 2, 3]] * 2
    assert batch.num_ignored.tolist() == [2, 2]


def test_epochs_cut_the_data_at_different_places_in_different_orders() -> None:
    batches = WindowBatches(numbered(128), 32, 1, seed=0)
    epochs = [read_epoch(batches, 128).windows[:, -1].tolist() for _ in range(20)]
    cuts = {frozenset(ends) for ends in epochs}
    assert len(cuts) > 10
    assert any(ends != sorted(ends) for ends in epochs)


def test_seeds_differ_and_a_seed_repeats() -> None:
    def first(seed: int) -> Batch:
        return WindowBatches(noise(10_000), 64, 8, seed).next_batch()

    assert same(first(1), first(1))
    assert not same(first(1), first(2))


def test_a_batch_goes_on_into_the_next_epoch() -> None:
    data = numbered(100)
    singles = WindowBatches(data, 16, 1, seed=5)
    one_by_one = [singles.next_batch() for _ in range(30)]
    batches = WindowBatches(data, 16, 5, seed=5)
    rows = np.concatenate([batches.next_batch().windows for _ in range(6)])
    assert np.array_equal(rows, np.concatenate([batch.windows for batch in one_by_one]))
    # A batch may be larger than an epoch, too.
    assert np.array_equal(WindowBatches(data, 16, 30, seed=5).next_batch().windows, rows)


@settings(max_examples=60, deadline=None)
@given(num_bytes=sizes, window=windows, seed=seeds, before=st.integers(0, 40))
def test_a_resumed_reader_goes_on_exactly(
    num_bytes: int, window: int, seed: int, before: int
) -> None:
    batches = WindowBatches(noise(num_bytes), window, 4, seed)
    for _ in range(before):
        batches.next_batch()
    state = json.loads(json.dumps(batches.state()))
    resumed = WindowBatches(noise(num_bytes), window, 4, seed)
    resumed.load_state(state)
    assert resumed.state() == batches.state()
    for _ in range(10):
        assert same(batches.next_batch(), resumed.next_batch())
    assert resumed.state() == batches.state()


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_ranks_share_the_rows_of_one_global_batch(world_size: int) -> None:
    data = noise(1000)
    alone = WindowBatches(data, 32, 12, seed=3)
    ranks = [WindowBatches(data, 32, 12, 3, rank, world_size) for rank in range(world_size)]
    for _ in range(10):
        whole = alone.next_batch()
        parts = [rank.next_batch() for rank in ranks]
        assert {len(part.windows) for part in parts} == {12 // world_size}
        assert np.array_equal(np.concatenate([part.windows for part in parts]), whole.windows)
        together = np.concatenate([part.num_ignored for part in parts])
        assert np.array_equal(together, whole.num_ignored)
    assert all(rank.state() == alone.state() for rank in ranks)


def test_batches_are_copies_and_data_may_be_mapped(tmp_path: Path) -> None:
    data = noise(5000)
    data.tofile(tmp_path / "data.bin")
    mapped = np.memmap(tmp_path / "data.bin", dtype=np.uint8, mode="r")
    batch = WindowBatches(mapped, 100, 10, seed=0).next_batch()
    assert same(batch, WindowBatches(data, 100, 10, seed=0).next_batch())
    assert type(batch.windows) is np.ndarray
    batch.windows[:] = 0
    assert np.array_equal(mapped, data)


def test_numbers_that_do_not_fit_are_input_errors() -> None:
    with pytest.raises(InputError, match="positive multiple of the 4 ranks, got 10"):
        WindowBatches(numbered(100), 8, 10, seed=0, rank=0, world_size=4)
    with pytest.raises(InputError) as caught:
        EvaluationWindows(numbered(0), 0)
    assert len(caught.value.problems) == 2
    batches = WindowBatches(numbered(100), 8, 10, seed=0)
    with pytest.raises(InputError, match="got 99"):
        batches.load_state({"epoch": 0, "row": 99})
