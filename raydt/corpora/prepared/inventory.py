"""The prepared languages in a folder, with facts that need several of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raydt.corpora.prepared.manifest import FILE_NAME, REPEATED_SOMEWHERE, Manifest, read_manifest

_ENGLISH = "en"


@dataclass(frozen=True)
class Entry:
    """A prepared language, and its byte premium if the corpus is line-parallel."""

    manifest: Manifest
    byte_premium: float | None

    @property
    def num_duplicates(self) -> int:
        """Documents that were dropped as exact or near duplicates of another split."""
        dropped = self.manifest.dropped.items()
        known = (" equal to one of", " near one of", REPEATED_SOMEWHERE)
        return sum(n for reason, n in dropped if any(each in reason for each in known))


def prepared_languages(root: Path) -> list[Entry]:
    """All languages prepared in `root`, by corpus and name; `InputError` for a broken manifest.

    A corpus of files counts as line-parallel with English if both have the same number of
    documents, including blank ones. The byte premium is the ratio of the bytes of a language to
    those of its English translation, over all documents read.
    """
    manifests = [read_manifest(path.parent) for path in sorted(root.glob(f"[!.]*/*/{FILE_NAME}"))]
    english: Mapping[str, Manifest] = {
        manifest.source.corpus: manifest for manifest in manifests if manifest.language == _ENGLISH
    }
    return [
        Entry(manifest, _premium(manifest, english.get(manifest.source.corpus)))
        for manifest in manifests
    ]


def _premium(manifest: Manifest, english: Manifest | None) -> float | None:
    if english is None or manifest.source.files is None:
        return None
    own, other = manifest.source, english.source
    if own.num_documents != other.num_documents or not own.num_text_bytes:
        return None
    return own.num_text_bytes / other.num_text_bytes if other.num_text_bytes else None
