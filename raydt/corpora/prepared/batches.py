"""Batches of windows of bytes for training and evaluation.

T = window, B = rows, N = bytes of data.

A row has T + 1 bytes: each of the last T is a target, and its context are the bytes before it in
the row. Rows end at the bytes o, o + T, o + 2T, ... and N, with a random offset 1 <= o <= T per
epoch, so that a small corpus is not cut at the same places every time. Together the rows of an
epoch have every byte as a target exactly once: the first and the last row are full rows, too, but
overlap targets of other rows, and `num_ignored` counts these.

The last row is extended backwards into text, which serves as context. The first is extended with
separators: a text begins like a document. Wrapping around from the end of the data to its beginning
would save a row, but add one false continuation per epoch, and give the first byte a context that
it has in no evaluation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from raydt.corpora.splits import SEPARATOR
from raydt.errors import InputError, Problem

_MAX_AHEAD = 64  # batches
_AHEAD_BYTES = 2**18  # gathered at once; fits the cache


@dataclass(frozen=True)
class Batch:
    """Rows of bytes, and the number of leading targets of each that belong to another row."""

    windows: NDArray[np.uint8]  # (B, T + 1), C-contiguous
    num_ignored: NDArray[np.int64]  # (B,), of the T targets of each row
    num_targets: int  # that count in the global batch, over all ranks


@dataclass(frozen=True)
class _Epoch:
    index: int
    offset: int
    order: NDArray[np.int64]  # rows in the order they are read


class WindowBatches:
    """Endless batches, epoch after epoch, each with its own order and offset.

    `data` is (N,) uint8 and may be memory-mapped. `batch_windows` is the number of rows of the
    global batch, over all ranks; rank r of W reads the r-th of W equal blocks, so that training
    does not depend on W. If N < T, the only row of an epoch has all data, with separators before
    it. Raises `InputError` for empty data or inconsistent numbers.
    """

    def __init__(
        self,
        data: NDArray[np.uint8],
        window: int,
        batch_windows: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        assert 0 <= rank < world_size
        _check(data, window)
        if batch_windows < 1 or batch_windows % world_size:
            requirement = f"a positive multiple of the {world_size} ranks"
            raise InputError([Problem("windows per batch", requirement, str(batch_windows))])
        self._rows = _Rows(data, window)
        self._batch_windows = batch_windows
        self._seed = seed
        rows_per_rank = batch_windows // world_size
        self._mine = slice(rank * rows_per_rank, (rank + 1) * rows_per_rank)
        self._epoch: _Epoch
        self._row: int
        self._num_ahead = min(_MAX_AHEAD, max(1, _AHEAD_BYTES // (rows_per_rank * (window + 1))))
        self._go_to(self._start_epoch(0), 0)

    def next_batch(self) -> Batch:
        """This rank's rows of the next global batch, (batch_windows / world_size, T + 1).

        A batch at the end of an epoch is filled with rows of the next epoch.
        """
        if not self._ahead:
            self._gather_ahead()
        batch, self._position = self._ahead.popleft()
        return batch

    def _gather_ahead(self) -> None:
        """Gather several batches at once, because for small ones the calls dominate."""
        size = self._batch_windows
        num_whole = min(self._num_ahead, (len(self._epoch.order) - self._row) // size)
        if num_whole > 1:  # all of one epoch
            indices = self._epoch.order[self._row : self._row + num_whole * size]
            offsets = np.full_like(indices, self._epoch.offset)
            ends = range(self._row + size, self._row + (num_whole + 1) * size, size)
            positions = [{"epoch": self._epoch.index, "row": end} for end in ends]
            self._row += num_whole * size
        else:
            indices, offsets, position = self._draw()
            positions = [position]
        targets = self._rows.num_targets(indices, offsets).reshape(-1, size).sum(axis=1).tolist()
        mine = (x.reshape(-1, size)[:, self._mine].ravel() for x in (indices, offsets))
        rows = self._rows.gather(*mine)
        num_rows = len(rows.windows) // len(positions)
        for number, (position, num_targets) in enumerate(zip(positions, targets, strict=True)):
            own = slice(number * num_rows, (number + 1) * num_rows)
            batch = Batch(rows.windows[own], rows.num_ignored[own], num_targets)
            self._ahead.append((batch, position))

    def _draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
        """Rows and offsets (batch_windows,) of the batch at `_row`, and the position after it."""
        indices = np.empty(self._batch_windows, dtype=np.int64)
        offsets = np.empty(self._batch_windows, dtype=np.int64)
        filled = 0
        while filled < self._batch_windows:
            if self._row == len(self._epoch.order):
                self._epoch = self._start_epoch(self._epoch.index + 1)
                self._row = 0
            taken = self._epoch.order[self._row : self._row + self._batch_windows - filled]
            indices[filled : filled + len(taken)] = taken
            offsets[filled : filled + len(taken)] = self._epoch.offset
            filled += len(taken)
            self._row += len(taken)
        return indices, offsets, {"epoch": self._epoch.index, "row": self._row}

    def state(self) -> dict[str, int]:
        """The position of the next batch; the same on all ranks."""
        return dict(self._position)

    def load_state(self, state: Mapping[str, int]) -> None:
        """Resume at `state`, which must come from the same data, window and seed."""
        epoch = self._start_epoch(state["epoch"])
        if not 0 <= state["row"] <= len(epoch.order):
            requirement = f"one of the {len(epoch.order)} rows of epoch {epoch.index}"
            raise InputError([Problem("data position", requirement, str(state["row"]))])
        self._go_to(epoch, state["row"])

    def _go_to(self, epoch: _Epoch, row: int) -> None:
        self._epoch = epoch
        self._row = row
        self._position = {"epoch": epoch.index, "row": row}  # of the batch that is next handed out
        self._ahead: deque[tuple[Batch, dict[str, int]]] = deque()

    def _start_epoch(self, index: int) -> _Epoch:
        rng = np.random.default_rng([self._seed, index])
        offset = self._rows.clip_offset(int(rng.integers(1, self._rows.window + 1)))
        return _Epoch(index, offset, rng.permutation(self._rows.count(offset)))


class EvaluationWindows:
    """All bytes of `data` (N,) as targets exactly once, in order, one row per stride.

    The first row has its T bytes as targets, each further one the next `stride` bytes (at most T;
    by default T), each with at least T - stride bytes of context. There are 1 + ceil(max(0, N - T)
    / stride) rows, gathered on demand.
    """

    def __init__(self, data: NDArray[np.uint8], window: int, stride: int | None = None) -> None:
        _check(data, window)
        self._rows = _Rows(data, window)
        self._num_bytes = len(data)
        self._window = window
        self._stride = window if stride is None else min(stride, window)
        assert self._stride >= 1

    def __len__(self) -> int:
        return 1 + -(-max(0, self._num_bytes - self._window) // self._stride)

    def rows(self, start: int, stop: int) -> Batch:
        """Rows `start` to `stop`, (stop - start, T + 1)."""
        firsts = np.array([self.first_target(index) for index in range(start, stop + 1)])
        return self._rows.between(firsts[:-1], firsts[1:])

    def first_target(self, index: int) -> int:
        """The index in `data` of the first target of a row."""
        if index == 0:
            return 0
        return min(self._window + (index - 1) * self._stride, self._num_bytes)


class _Rows:
    """The rows of one array of bytes for every offset o: row k ends at o + kT, or at N."""

    def __init__(self, data: NDArray[np.uint8], window: int) -> None:
        self.window = window
        self._num_bytes = len(data)
        # Only rows that end at or before T need padding before the data; others are views.
        head = np.full(window + 1, SEPARATOR, dtype=np.uint8)
        self._early = sliding_window_view(np.concatenate([head, data[:window]]), window + 1)
        self._others = sliding_window_view(data, window + 1) if len(data) > window else None

    def clip_offset(self, offset: int) -> int:
        """`offset`, or N if the data is no longer than one row."""
        return offset if self._num_bytes >= self.window else self._num_bytes

    def count(self, offset: int) -> int:
        """Number of rows in an epoch."""
        return 1 + -(-(self._num_bytes - offset) // self.window)

    def gather(self, indices: NDArray[np.int64], offsets: NDArray[np.int64]) -> Batch:
        """Rows `indices` (B,) of epochs with `offsets` (B,)."""
        return self.between(*self._ends(indices, offsets))

    def num_targets(
        self, indices: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Number of targets that count in each row; (B,)."""
        first_target, end = self._ends(indices, offsets)
        return end - first_target

    def _ends(
        self, indices: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        first_target = np.maximum(offsets + (indices - 1) * self.window, 0)
        return first_target, np.minimum(offsets + indices * self.window, self._num_bytes)

    def between(self, first_target: NDArray[np.int64], end: NDArray[np.int64]) -> Batch:
        """Rows (B,) that end at `end`, whose targets count from `first_target` on."""
        is_early = end <= self.window
        if self._others is None:
            windows = self._early[end]
        else:
            windows = self._others[np.maximum(end - self.window - 1, 0)]
            windows[is_early] = self._early[end[is_early]]
        num_targets = end - first_target
        return Batch(windows, self.window - num_targets, int(num_targets.sum()))


def _check(data: NDArray[np.uint8], window: int) -> None:
    assert data.ndim == 1
    assert data.dtype == np.uint8
    problems = []
    if len(data) == 0:
        problems.append(Problem("data to read windows from", "at least one byte", "none"))
    if window < 1:
        problems.append(Problem("window", "at least one byte", str(window)))
    if problems:
        raise InputError(problems)
