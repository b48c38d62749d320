"""Splits by a column that names documents, such as an id or a URL.

Documents with the same name are held out together: translations in other languages, at whatever
index, and several documents of one name in one language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.sources.documents import NUL
from raydt.corpora.sources.files import read_files
from raydt.corpora.spec import FilesCorpus
from raydt.corpora.splits import name_number


def numbers_of_names(
    spec: FilesCorpus, paths: Sequence[Path], first_index: int
) -> Iterator[NDArray[np.float64]] | None:
    """The numbers of the names of the documents from `first_index` on, in arrays; NaN for a
    document without a name. None if the corpus is split by index."""
    if spec.split_by is None:
        return None
    return _numbers(replace(spec, column=spec.split_by, normalise="none"), paths, first_index)


def _numbers(
    spec: FilesCorpus, paths: Sequence[Path], first_index: int
) -> Iterator[NDArray[np.float64]]:
    # Rows are the same whichever column is read, so a row without a name keeps its index.
    index = 0
    for block in read_files(spec, paths):
        skipped = max(0, first_index - index)
        index += len(block.documents)
        names = block.documents.slice(min(skipped, len(block.documents))).to_pylist()
        seed = spec.split_seed
        yield np.array(
            [name_number(name, seed) if (name := each.rstrip(NUL)) else nan for each in names]
        )
