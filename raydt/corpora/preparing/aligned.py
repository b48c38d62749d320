"""Aligned corpora, in which document i has the same content in every language, and must stay
aligned.

A document that one language drops, because it is blank or in two splits, is dropped in all.
Otherwise the streams of two languages would be shifted against each other from there on, and the
first 6 MB of one would not be the translation of the first 6 MB of the other.

The documents that each language would drop are found by reading all files of the requested
languages; other languages in the folder are ignored. So adding a language may drop documents of the
others. The prepared languages then get other folders (`DroppedDocuments.key`), and existing ones
are kept. The findings are cached beside the work of the other passes until a file changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt.corpora.prepared.manifest import BLANK_SOMEWHERE, REPEATED_SOMEWHERE
from raydt.corpora.preparing.divergence import where_they_diverge
from raydt.corpora.preparing.duplicates import DUPLICATES_RULE, HeldOut
from raydt.corpora.preparing.few import count_few, few_rule, split_few
from raydt.corpora.sources.documents import not_blank
from raydt.corpora.sources.files import read_files, stamp
from raydt.corpora.spec import FilesCorpus
from raydt.corpora.splits import SPLITS, Split, SplitKeys
from raydt.errors import InputError, Problem
from raydt.locks import locked

_ORDER: tuple[Split, ...] = ("test", "val", "train")  # as they are assembled


@dataclass(frozen=True)
class DroppedDocuments:
    """Indices of documents (L,), sorted: those blank in some language, and those that are in two
    splits in some language and blank in none."""

    blank: NDArray[np.int64]
    repeated: NDArray[np.int64]

    @property
    def indices(self) -> NDArray[np.int64]:
        """All dropped indices."""
        return np.union1d(self.blank, self.repeated)

    @property
    def dropped(self) -> dict[str, int]:
        """Reason -> number of documents."""
        return {BLANK_SOMEWHERE: len(self.blank), REPEATED_SOMEWHERE: len(self.repeated)}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the dropped indices. If it changes, the texts of all languages
        change."""
        lists = [self.blank.tolist(), self.repeated.tolist()]
        return hashlib.sha256(json.dumps(lists).encode()).hexdigest()

    @property
    def key(self) -> str:
        """A part of the name of the folder for texts without these documents."""
        return self.digest[:8] if len(self.indices) else ""


@dataclass(frozen=True)
class _DroppedInLanguage:
    """The documents that one language alone would drop, by index; cached as JSON."""

    num_documents: int
    blank: list[int]
    repeated: list[int]


def dropped_documents(
    spec: FilesCorpus,
    files: Mapping[str, Sequence[Path]],
    work: Path,
    first: str,
    asked: Collection[str] = (),
) -> DroppedDocuments:
    """What is dropped in every language of an aligned corpus, of which `files` has all and `asked`
    those that are prepared; none: all that there are.

    `work` keeps what was found. `first` is the language that is looked at first: of processes that
    prepare a language each, none waits for another as long as there is something else to find.
    Blank lines at the end of a file count for nothing. `InputError` if the languages differ in how
    many documents they have, with where they part.
    """
    names = [name for name in files if not asked or name in asked]
    at = names.index(first) if first in names else 0
    found = {
        name: _dropped_in_language(spec, name, files[name], work)
        for name in (*names[at:], *names[:at])
    }
    counts = {name: found[name].num_documents for name in names}
    usual = max(set(counts.values()), key=list(counts.values()).count)
    model = next(name for name in names if counts[name] == usual)
    problems = [
        Problem(
            f"{name} of {spec.name}",
            f"{usual} documents, like the languages it is aligned with",
            f"{count} documents; "
            f"{where_they_diverge(spec, {each: files[each] for each in (model, name)})}",
        )
        for name, count in counts.items()
        if count != usual
    ]
    if problems:
        raise InputError(problems)
    blank = _union(lost.blank for lost in found.values())
    repeated = _union(lost.repeated for lost in found.values())
    return DroppedDocuments(blank[blank < usual], np.setdiff1d(repeated, blank))


def _union(lists: Iterable[list[int]]) -> NDArray[np.int64]:
    return np.unique(np.array([index for each in lists for index in each], dtype=np.int64))


def _dropped_in_language(
    spec: FilesCorpus, language: str, paths: Sequence[Path], work: Path
) -> _DroppedInLanguage:
    plan = {
        "files": [list(stamp(path)) for path in paths],
        "rules": [str(spec.split_rule), few_rule(spec.split_rule), DUPLICATES_RULE],
    }
    path = work / f"{language}.lost.json"
    work.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        try:
            before = json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            before = {}
        if before.pop("plan", None) == plan:
            return _DroppedInLanguage(**before)
        found = _find(spec, paths)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({"plan": plan, **vars(found)}), "utf-8")
        temporary.replace(path)
    return found


def _find(spec: FilesCorpus, paths: Sequence[Path]) -> _DroppedInLanguage:
    """The number of documents, and the indices of those that are blank or in two splits."""
    rule = spec.split_rule
    lengths = count_few(read_files(spec, paths), is_parallel=True)
    few = None if lengths is None else split_few(lengths, rule, is_parallel=True)
    held_out = HeldOut(is_few=few is not None)
    blank: list[int] = []
    repeated: list[int] = []
    num_documents = 0
    for split in _ORDER:
        first = 0
        for documents, splits in _blocks(spec, paths, SplitKeys(0, rule, few)):
            keep = not_blank(documents)
            if split == _ORDER[0]:
                blank += (first + np.flatnonzero(~keep)).tolist()
                last = np.flatnonzero(keep)
                num_documents = first + int(last[-1]) + 1 if len(last) else num_documents
            chosen = np.flatnonzero(keep & (splits == SPLITS.index(split)))
            some = documents.take(pa.array(chosen))
            equal, near = held_out.find(some)
            repeated += (first + chosen[equal | near]).tolist()
            if split != "train":
                held_out.add(some.filter(pa.array(~(equal | near))))
            first += len(documents)
        held_out.close()
    return _DroppedInLanguage(num_documents, blank, repeated)


def _blocks(
    spec: FilesCorpus, paths: Sequence[Path], keys: SplitKeys
) -> Iterator[tuple[pa.LargeBinaryArray, NDArray[np.int8]]]:
    """Documents (D,) and the split of each (D,)."""
    for block in read_files(spec, paths):
        yield block.documents, keys.draw(len(block.documents))[0]
