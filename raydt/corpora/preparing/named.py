"""Documents that are split by a column that names them, such as an id or an address.

Pages of two languages that say the same, at whatever index, have the same name: they are held out
together. So are several documents of one name in one language.
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
    """Of the documents from `first_index` on the numbers of their names, in arrays; NaN of one
    without a name. None where the corpus is split by index."""
    if spec.split_by is None:
        return None
    return _numbers(replace(spec, column=spec.split_by, normalise="none"), paths, first_index)


def _numbers(
    spec: FilesCorpus, paths: Sequence[Path], first_index: int
) -> Iterator[NDArray[np.float64]]:
    # Rows are the same whichever column is read, so that one without a name keeps its index.
    index = 0
    for block in read_files(spec, paths):
        skipped = max(0, first_index - index)
        index += len(block.documents)
        names = block.documents.slice(min(skipped, len(block.documents))).to_pylist()
        seed = spec.split_seed
        yield np.array(
            [name_number(name, seed) if (name := each.rstrip(NUL)) else nan for each in names]
        )
