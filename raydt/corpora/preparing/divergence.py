"""Where two translations of one text with different numbers of lines diverge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt.corpora.sources.documents import parts
from raydt.corpora.sources.files import read_files
from raydt.corpora.spec import FilesCorpus

_SHOWN = 40  # characters of a document


def where_they_diverge(spec: FilesCorpus, files: Mapping[str, Sequence[Path]]) -> str:
    """Text that names the approximate document at which the two languages of `files` diverge.

    Assumes that one language has some consecutive documents that the other lacks, and finds the
    position that makes the lengths of the others most similar. It is approximate because it uses
    only lengths.
    """
    lengths = {name: _lengths(spec, paths) for name, paths in files.items()}
    (one, first), (other, second) = sorted(lengths.items(), key=lambda item: len(item[1]))
    at = divergence_index(first, second)
    shown = "; ".join(f"{name} {_document(spec, files[name], at)!r}" for name in (one, other))
    return f"they diverge at about document {at + 1}: {shown}"


def divergence_index(fewer: NDArray[np.int64], more: NDArray[np.int64]) -> int:
    """The index at which `more` (M,) has M - F documents that `fewer` (F,) lacks; both are
    lengths."""
    num_missing = len(more) - len(fewer)
    short, long = np.log1p(fewer), np.log1p(more)
    scale = np.median(long) - np.median(short) if len(fewer) else 0.0
    before = np.abs(long[: len(short)] - short - scale)
    after = np.abs(long[num_missing:] - short - scale)
    costs = np.concatenate([[0], np.cumsum(before)])
    costs += np.concatenate([np.cumsum(after[::-1])[::-1], [0]])
    return int(costs.argmin())


def _lengths(spec: FilesCorpus, paths: Sequence[Path]) -> NDArray[np.int64]:
    each = [np.diff(parts(block.documents)[1]) - 1 for block in read_files(spec, paths)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *each])


def _document(spec: FilesCorpus, paths: Sequence[Path], index: int) -> str:
    """The beginning of a document; a remark after the last one."""
    for block in read_files(spec, paths):
        if index < len(block.documents):
            document: pa.LargeBinaryScalar = block.documents[index]
            text = document.as_py().rstrip(b"\0").decode("utf-8", "replace")
            return str(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
        index -= len(block.documents)
    return "(no more)"
