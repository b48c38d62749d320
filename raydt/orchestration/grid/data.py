"""The data of a cell as named datasets, which reach MLflow through the journal."""

from __future__ import annotations

import json

import numpy as np
from xxhash import xxh3_128

from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.spec import FilesCorpus, HubCorpus, parse_corpus
from raydt.corpora.splits import SEPARATOR, SPLITS, Split
from raydt.grid.read_data import ReadData

_CHUNK_BYTES = 2**20  # fits into the cache, for the second pass


def read_data(language: PreparedLanguage, *num_bytes: int) -> tuple[ReadData, ...]:
    """The first bytes of train, val and test as datasets, without splits that are not read."""
    source_type, source = _source(language)
    return tuple(
        _read(language, split, size, source_type, source)
        for split, size in zip(SPLITS, num_bytes, strict=True)
        if size
    )


def _read(
    language: PreparedLanguage, split: Split, num_bytes: int, source_type: str, source: str
) -> ReadData:
    # A fast digest, only to tell data apart; `PreparedLanguage.digest` protects integrity.
    data, digest, num_documents = language.prefix(split, num_bytes), xxh3_128(), 0
    for start in range(0, num_bytes, _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES]
        digest.update(chunk.data)
        num_documents += int(np.count_nonzero(chunk == SEPARATOR))
    return ReadData(
        language=language.name,
        split=split,
        digest=digest.hexdigest(),
        num_bytes=num_bytes,
        num_documents=num_documents + int(data[-1] != SEPARATOR),
        source_type=source_type,
        source=source,
    )


def _source(language: PreparedLanguage) -> tuple[str, str]:
    """The source in MLflow's form: its type, and the JSON for `mlflow.data.get_source`."""
    source, parts = language.manifest.source, language.manifest.parts
    if parts is not None:
        mixed = {part.language: part.share for part in parts}
        return "code", json.dumps({"tags": {"corpus": source.corpus, "mixture": mixed}})
    spec = parse_corpus(source.corpus)
    if isinstance(spec, HubCorpus):
        config = spec.config_of(language.name)
        said = {"path": spec.dataset, "config_name": config, "split": spec.split}
        return "hugging_face", json.dumps({**said, "revision": source.revision})
    if isinstance(spec, FilesCorpus):
        return "local", json.dumps({"uri": str(spec.path)})
    return "code", json.dumps({"tags": {"corpus": source.corpus, "generator": source.generator}})
