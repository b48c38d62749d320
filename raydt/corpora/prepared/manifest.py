"""The manifest of a prepared language: its sources, splits and rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raydt.corpora.prepared.contamination import Contamination
from raydt.corpora.splits import SPLITS, Split
from raydt.errors import bad

# Increased with every change of the stored data; languages in another format are prepared again.
FORMAT = 5
FILE_NAME = "manifest.json"
# Reasons why documents of an aligned corpus are dropped; the inventory looks for the second.
BLANK_SOMEWHERE = "documents blank in a language of the corpus"
REPEATED_SOMEWHERE = "documents in two splits in a language of the corpus"


@dataclass(frozen=True)
class SourceFile:
    """A file as it was when it was read."""

    path: str
    num_bytes: int
    modified_ns: int
    sha256: str
    changed_ns: int | None = None  # of its inode; None in older manifests


@dataclass(frozen=True)
class Source:
    """Where the text comes from; `None` for what does not apply to this kind of corpus."""

    corpus: str  # with its options
    seed: int | None = None  # of a controlled language
    generator: int | None = None
    files: tuple[SourceFile, ...] | None = None
    revision: str | None = None  # commit of a dataset of the Hub
    num_documents: int | None = None  # read, including blank and dropped ones
    num_text_bytes: int | None = None  # of these, without those that an aligned corpus drops
    is_all: bool = False  # the source has no more
    aligned: str | None = None  # digest of the documents that an aligned corpus drops everywhere
    mixed: str | None = None  # digest of a mixture's texts and shares

    def same_text(self, other: Source) -> bool:
        """Whether both have the same text, wherever and whenever it was read."""
        return self._identity() == other._identity()

    def _identity(self) -> tuple[object, ...]:
        hashes = None if self.files is None else tuple(file.sha256 for file in self.files)
        drawn = (self.seed, self.generator)
        read = (hashes, self.revision, self.num_documents, self.aligned, self.mixed)
        return drawn + read

    @property
    def text_digest(self) -> str:
        """SHA-256 (hex) of everything that decides its bytes: see `same_text`."""
        return hashlib.sha256(repr(self._identity()).encode()).hexdigest()


@dataclass(frozen=True)
class SplitRecord:
    """One stored split."""

    num_bytes: int
    num_characters: int  # without separators
    num_documents: int  # with text in it; the last one of a controlled language may be truncated
    num_excerpts: int  # each ends with a separator; more than documents if long ones are cut
    bytes_per_character: float | None  # None for an empty split
    sha256: str


@dataclass(frozen=True)
class Part:
    """The part of a mixture in one language: the first documents of each split, whole."""

    language: str
    share: str  # requested share of the bytes, exactly: "7/10"
    num_bytes: Mapping[Split, int]  # taken
    drawn_from: Mapping[Split, str]  # SHA-256 of the language's own splits


@dataclass(frozen=True)
class Manifest:
    """Everything known about a prepared language, or about a mixture."""

    language: str
    source: Source
    licence: str | None  # None: unknown
    split_rule: str
    split_seed: int
    normalisation: str  # of Unicode: none, NFC, NFKC, NFD or NFKD
    duplicates_rule: str | None  # None: duplicates are impossible
    dropped: Mapping[str, int]  # reason -> number of documents
    contamination: Contamination
    splits: Mapping[Split, SplitRecord]
    raydt_version: str
    format: int = FORMAT
    parts: tuple[Part, ...] | None = None  # of a mixture

    @property
    def languages(self) -> tuple[str, ...]:
        """The language itself, or those of the mixture."""
        return (self.language,) if self.parts is None else tuple(p.language for p in self.parts)

    @property
    def num_bytes(self) -> int:
        """Of all splits."""
        return sum(record.num_bytes for record in self.splits.values())

    @property
    def num_characters(self) -> int:
        """The characters of all splits, without separators."""
        return sum(record.num_characters for record in self.splits.values())

    @property
    def num_documents(self) -> int:
        """The documents of all splits; one with an excerpt in `val` counts there and in `train`."""
        return sum(record.num_documents for record in self.splits.values())

    @property
    def num_excerpts(self) -> int:
        """The excerpts of all splits; each ends with a separator."""
        return sum(record.num_excerpts for record in self.splits.values())


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON."""
    path.write_text(json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a prepared language; `InputError` if it cannot be read."""
    path = folder / FILE_NAME
    try:
        fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if fields["format"] != FORMAT:
            raise bad(str(path), f"format {FORMAT} (prepare the language again)", fields["format"])
        files = fields["source"]["files"]
        if files is not None:
            fields["source"]["files"] = tuple(SourceFile(**file) for file in files)
        fields["source"] = Source(**fields["source"])
        among = tuple(fields["contamination"].pop("among"))
        fields["contamination"] = Contamination(**fields["contamination"], among=among)
        fields["splits"] = {split: SplitRecord(**fields["splits"][split]) for split in SPLITS}
        if fields.get("parts") is not None:
            fields["parts"] = tuple(Part(**part) for part in fields["parts"])
        return Manifest(**fields)
    except OSError as error:
        raise bad(str(folder), "a prepared language", error.strerror or error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise bad(str(path), "a manifest of raydt (prepare the language again)", error) from error
