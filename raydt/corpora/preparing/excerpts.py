"""The layout of a held-out split, such that every prefix has many documents.

A cell reads the first 32 kB of `val`, which would be only two or three long documents. So each
document is a ring of pieces of about `excerpt_bytes`, starting at a random one. First comes one
piece of every document, in order; then one more of each, then two, four and so on. No byte is lost,
and in no prefix does a document have more than about twice the share of another of the same length.

A piece ends like a document, with the separator. D = documents, P = pieces, N = bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt.corpora.sources.documents import from_parts, parts
from raydt.corpora.splits import SEPARATOR

_ROUNDING = 2**20  # the digits of a place below this step are random as well


def num_pieces(documents: pa.LargeBinaryArray, excerpt_bytes: int) -> NDArray[np.int64]:
    """The number of pieces of about `excerpt_bytes` in each document (D,); 0 bytes: one."""
    text_bytes = np.diff(parts(documents)[1]) - 1
    if excerpt_bytes == 0:
        return np.ones_like(text_bytes)
    return np.maximum(1, np.rint(text_bytes / excerpt_bytes)).astype(np.int64)


def pieces(
    documents: pa.LargeBinaryArray,
    places: NDArray[np.float64],
    excerpt_bytes: int,
    begin: int,
    end: int | None,
) -> pa.LargeBinaryArray:
    """The pieces `begin` to `end` of the rings of documents (D,) with `places` (D,); (P,).

    Neighbouring pieces stay together. Cuts are at character boundaries.
    """
    count = num_pieces(documents, excerpt_bytes)
    if int(count.max(initial=1)) == 1:
        return documents if begin == 0 else documents.slice(0, 0)
    stop = count if end is None else np.minimum(count, end)
    # By the document's place, which depends on its index: parallel documents start at about the
    # same content.
    entry = (places * _ROUNDING % 1 * count).astype(np.int64)
    # From the starting piece to the end of the document, then from its beginning.
    before = np.stack([entry + begin, np.maximum(entry + begin, count) - count], axis=1)
    after = np.stack([np.minimum(entry + stop, count), entry + stop - count], axis=1)
    document, part = np.nonzero(after > before)
    text_bytes = np.diff(parts(documents)[1]) - 1
    length, number = text_bytes[document], count[document]
    first = before[document, part] * length // number
    last = after[document, part] * length // number
    return cut(documents, document, first, last)


def cut(
    documents: pa.LargeBinaryArray,
    owners: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> pa.LargeBinaryArray:
    """The bytes `begins` to `ends` (P,) of the text of the documents `owners` (P,), as documents.

    Both are moved back to a character boundary.
    """
    data, offsets = parts(documents)
    begins = _to_character(data, offsets[owners] + begins)
    ends = _to_character(data, offsets[owners] + ends)
    lengths = ends - begins + 1
    new = np.concatenate([[0], np.cumsum(lengths)])
    cut_out = np.full(new[-1], SEPARATOR, dtype=np.uint8)
    # A loop, because an index per byte would take eight times the memory and as much time.
    for at, begin, end in zip(new[:-1].tolist(), begins.tolist(), ends.tolist(), strict=True):
        cut_out[at : at + end - begin] = data[begin:end]
    return from_parts(cut_out, new)


def _to_character(data: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.int64]:
    for _ in range(3):  # a character has at most four bytes, and all but the first are 10xxxxxx
        at = at - ((data[at] & 0xC0) == 0x80)
    return at
