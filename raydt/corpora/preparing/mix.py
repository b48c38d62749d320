"""Prepare mixtures of prepared languages. Like a language, a mixture is written once and
atomically.

A mixture consists of the beginnings of its languages' splits, so every document stays in its split.
A longer mixture starts with a shorter one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydt import __version__
from raydt.corpora.prepared.contamination import mixed_contamination
from raydt.corpora.prepared.evaluation import HeldOutSplit, at_most
from raydt.corpora.prepared.language import PreparedLanguage, open_language, split_path
from raydt.corpora.prepared.manifest import Manifest, Part, Source, SplitRecord
from raydt.corpora.preparing.assemble import ShardWriter
from raydt.corpora.preparing.interleave import document_ends, interleave
from raydt.corpora.preparing.place import WORK, put_in_place
from raydt.corpora.sources.documents import from_parts
from raydt.corpora.splits import SPLITS, Split
from raydt.errors import InputError, bad
from raydt.locks import locked

HELD_OUT: tuple[HeldOutSplit, ...] = ("val", "test")
_WRITTEN_BYTES = 2**22  # written at a time

# A language and the begin and end of a document, or of its beginning, in the language's stream.
Piece = tuple[str, int, int]


@dataclass(frozen=True)
class Mix:
    """A mixture to prepare: languages with shares that add up to 1, and the bytes of train.

    `evaluated` is the language of `val` and `test`; None: they are mixed, too. With `evaluated`,
    train consists of the first bytes of that language, exactly its share, and of interleaved
    documents of the others.
    """

    name: str
    shares: Mapping[str, Fraction]
    train_bytes: int
    evaluated: str | None = None


class TooShortError(Exception):
    """A language is too short for its part of a mixture; `num_bytes` would be enough."""

    def __init__(self, language: str, num_bytes: int) -> None:
        super().__init__(f"{language}: expected at least {num_bytes} bytes")
        self.language = language
        self.num_bytes = num_bytes


def prepare_mix(
    mix: Mix,
    languages: Mapping[str, PreparedLanguage],
    held_out_bytes: Mapping[HeldOutSplit, int | None],
    root: Path,
) -> PreparedLanguage:
    """Open the mixture in `root`, with at least its bytes of train, or write it there. `val` and
    `test` have `held_out_bytes` (None: as many as any sweep reads), or all that the languages have.

    Raises `TooShortError` if a language is too short, and `InputError` if `root` is not writable.
    """
    parts = {name: languages[name] for name in mix.shares}
    key = next(iter(parts.values())).folder.parent.name
    folder, work = root / key / mix.name, root / WORK / key / mix.name
    # Hold out as much as any sweep reads, unless more is requested. An existing split then has
    # either that or everything.
    asked: dict[Split, int] = {"train": mix.train_bytes}
    asked |= {s: max(at_most(s, None), at_most(s, each)) for s, each in held_out_bytes.items()}
    try:
        work.parent.mkdir(parents=True, exist_ok=True)
        with locked(work.with_name(f"{work.name}.lock")):
            existing = _find(folder, _texts(mix, parts))
            if existing is not None and _is_enough(existing, parts, asked):
                return existing
            new = work / "new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            if existing is not None:  # never shorter than before
                stored = existing.manifest.splits
                asked = {split: max(asked[split], stored[split].num_bytes) for split in SPLITS}
            manifest = _write(mix, parts, asked, new)
            put_in_place(manifest, new, folder, work)
    except OSError as error:
        path = error.filename or folder
        raise bad(f"folder {root}", "a writable folder", f"{path}: {error}") from error
    return open_language(folder)


def _find(folder: Path, texts: str) -> PreparedLanguage | None:
    """The existing mixture, if it is this mixture of these texts."""
    try:
        existing = open_language(folder)
        if not existing.is_whole():
            return None
    except InputError:
        return None  # missing, partial or damaged: write it again
    return existing if existing.manifest.source.mixed == texts else None


def _is_enough(
    existing: PreparedLanguage, parts: Mapping[str, PreparedLanguage], asked: Mapping[Split, int]
) -> bool:
    stored = existing.manifest.splits
    drawn_from = {part.language: part.drawn_from for part in existing.manifest.parts or ()}
    if drawn_from != {name: _hashes(part) for name, part in parts.items()}:
        return False  # a language that has become longer may contribute more
    return stored["train"].num_bytes >= asked["train"] and all(
        stored[split].num_bytes >= asked[split] or asked[split] == at_most(split, None)
        for split in HELD_OUT
    )


def _write(
    mix: Mix,
    parts: Mapping[str, PreparedLanguage],
    asked: Mapping[Split, int],
    folder: Path,
) -> Manifest:
    records: dict[Split, SplitRecord] = {}
    taken: dict[str, dict[Split, int]] = {name: dict.fromkeys(SPLITS, 0) for name in parts}
    for split in SPLITS:
        path = split_path(folder, split)
        if mix.evaluated is not None and split != "train":
            whole = parts[mix.evaluated]
            shutil.copyfile(split_path(whole.folder, split), path)
            records[split] = whole.manifest.splits[split]
            taken[mix.evaluated][split] = records[split].num_bytes
            continue
        stored = {name: part.manifest.splits[split].num_bytes for name, part in parts.items()}
        streams = {name: part.prefix(split, stored[name]) for name, part in parts.items()}
        pieces = (
            _mixed(list(streams), streams, mix.shares, asked[split])
            if mix.evaluated is None
            else _joined(streams, mix, mix.evaluated)
        )
        records[split], used = _write_pieces(pieces, streams, path)
        for name, num_bytes in used.items():
            taken[name][split] = num_bytes
        if split == "train" and records[split].num_bytes < mix.train_bytes:
            # The exhausted language is the one furthest behind its share.
            short = min(used, key=lambda name: used[name] / mix.shares[name])
            needed = ceil(mix.shares[short] * mix.train_bytes)
            raise TooShortError(short, max(needed, stored[short] + 1))
    return _manifest(mix, parts, records, taken)


def _mixed(
    names: Sequence[str],
    streams: Mapping[str, NDArray[np.uint8]],
    shares: Mapping[str, Fraction],
    num_bytes: int,
) -> Iterator[Piece]:
    """Interleaved documents of the languages `names`, until they reach `num_bytes`."""
    total = 0
    for number, begin, end in interleave(
        [streams[name] for name in names], [shares[name] for name in names]
    ):
        if total >= num_bytes:
            return
        yield names[number], begin, end
        total += end - begin


def _joined(streams: Mapping[str, NDArray[np.uint8]], mix: Mix, first: str) -> Iterator[Piece]:
    """The first bytes of the evaluated language `first`, which its scratch cell reads too, then
    interleaved documents of the others; both parts are cut to their exact size. The order in the
    file does not matter: training reads all windows of the file, in random order.
    """
    wanted = int(mix.shares[first] * mix.train_bytes)
    yield from _cut(_of_one(first, streams[first]), wanted)
    others = [name for name in streams if name != first]
    left = mix.train_bytes - wanted
    if len(others) == 1:
        yield from _cut(_of_one(others[0], streams[others[0]]), left)
    else:
        shares = {name: mix.shares[name] / (1 - mix.shares[first]) for name in others}
        yield from _cut(_mixed(others, streams, shares, left), left)


def _of_one(name: str, stream: NDArray[np.uint8]) -> Iterator[Piece]:
    """The documents of a stream; the last one may have been cut when it was prepared."""
    begin = 0
    for end in chain(document_ends(stream), [len(stream)]):
        if end > begin:
            yield name, begin, end
        begin = end


def _cut(pieces: Iterable[Piece], num_bytes: int) -> Iterator[Piece]:
    """The first `num_bytes` of pieces."""
    left = num_bytes
    for name, begin, end in pieces:
        end = min(end, begin + left)
        yield name, begin, end
        left -= end - begin
        if not left:
            return


def _write_pieces(
    pieces: Iterable[Piece], streams: Mapping[str, NDArray[np.uint8]], path: Path
) -> tuple[SplitRecord, dict[str, int]]:
    """Write a split; returns its record, and the bytes taken from each language."""
    used = dict.fromkeys(streams, 0)
    waiting: list[NDArray[np.uint8]] = []
    num_waiting_bytes = 0
    with ShardWriter(path) as shard:
        for name, begin, end in pieces:
            waiting.append(streams[name][begin:end])
            used[name] = end
            num_waiting_bytes += end - begin
            if num_waiting_bytes >= _WRITTEN_BYTES:
                _put(shard, waiting)
                num_waiting_bytes = 0
        _put(shard, waiting)
    return shard.record(), used


def _put(shard: ShardWriter, pieces: list[NDArray[np.uint8]]) -> None:
    """Write documents and clear the list."""
    if pieces:
        offsets = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        shard.write(from_parts(np.concatenate(pieces), offsets), len(pieces))
        pieces.clear()


def _manifest(
    mix: Mix,
    languages: Mapping[str, PreparedLanguage],
    records: Mapping[Split, SplitRecord],
    taken: Mapping[str, Mapping[Split, int]],
) -> Manifest:
    parts = {name: language.manifest for name, language in languages.items()}
    first = next(iter(parts.values()))
    licences = {part.licence for part in parts.values()}
    return Manifest(
        language=mix.name,
        source=Source(corpus=first.source.corpus, mixed=_texts(mix, languages)),
        licence=None if None in licences else ", ".join(sorted(map(str, licences))),
        split_rule=f"the first documents of each split of {', '.join(parts)}, interleaved"
        if mix.evaluated is None
        else f"the first bytes of {mix.evaluated}, then documents of the others, interleaved",
        split_seed=first.split_seed,
        normalisation=first.normalisation,
        duplicates_rule=first.duplicates_rule,
        dropped={},
        contamination=mixed_contamination(
            {name: float(share) for name, share in mix.shares.items()},
            {name: part.contamination for name, part in parts.items()},
        ),
        splits=dict(records),
        raydt_version=__version__,
        parts=tuple(
            Part(name, str(share), taken[name], _hashes(languages[name]))
            for name, share in mix.shares.items()
        ),
    )


def _texts(mix: Mix, parts: Mapping[str, PreparedLanguage]) -> str:
    of_each = [
        (str(mix.shares[name]), part.manifest.source.text_digest, name == mix.evaluated)
        for name, part in parts.items()
    ]
    return hashlib.sha256(repr(of_each).encode()).hexdigest()


def _hashes(language: PreparedLanguage) -> dict[Split, str]:
    return {split: record.sha256 for split, record in language.manifest.splits.items()}
