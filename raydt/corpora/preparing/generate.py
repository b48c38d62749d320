"""Generate a controlled language on disk. It is generated in random order, so nothing is
shuffled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydt import __version__
from raydt.corpora.controlled.catalog import generate, generator_version
from raydt.corpora.prepared.contamination import Contamination
from raydt.corpora.prepared.language import split_path
from raydt.corpora.prepared.manifest import Manifest, Source, SplitRecord
from raydt.corpora.spec import ControlledCorpus
from raydt.corpora.splits import SEPARATOR, SPLITS, Split

_SPLIT_RULE = "a random stream for each split, seeded by corpus, language and split"


def generated_source(spec: ControlledCorpus, language: str) -> Source:
    """The source of a controlled language: its seed and the version of the generator."""
    return Source(corpus=spec.name, seed=spec.seed, generator=generator_version(language))


def write_generated(
    spec: ControlledCorpus, language: str, asked: Mapping[Split, int], folder: Path
) -> Manifest:
    """Generate every split in its requested length, and return the manifest."""
    records: dict[Split, SplitRecord] = {}
    for split in SPLITS:
        stream = generate(language, split, asked[split], spec.seed)
        with split_path(folder, split).open("wb") as file:
            file.write(stream.data)
            file.flush()
            os.fsync(file.fileno())
        records[split] = _record(stream)
    return Manifest(
        language=language,
        source=generated_source(spec, language),
        licence=None,
        split_rule=_SPLIT_RULE,
        split_seed=spec.seed,
        normalisation="none",
        duplicates_rule=None,
        dropped={},
        contamination=Contamination("a controlled language is no natural one"),
        splits=records,
        raydt_version=__version__,
    )


def _record(stream: NDArray[np.uint8]) -> SplitRecord:
    num_separators = int(np.count_nonzero(stream == SEPARATOR))
    # In UTF-8, every byte except those of the form 10xxxxxx starts a character.
    num_characters = int(np.count_nonzero((stream & 0xC0) != 0x80)) - num_separators
    num_text_bytes = len(stream) - num_separators
    is_cut = len(stream) > 0 and stream[-1] != SEPARATOR
    return SplitRecord(
        num_bytes=len(stream),
        num_characters=num_characters,
        num_documents=num_separators + int(is_cut),
        num_excerpts=num_separators + int(is_cut),
        bytes_per_character=num_text_bytes / num_characters if num_characters else None,
        sha256=hashlib.sha256(stream.data).hexdigest(),
    )
