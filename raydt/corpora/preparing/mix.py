"""Mixtures of prepared languages, prepared as a language is: written once, whole or not at all.

A mixture is made of the beginnings of its languages' splits, so that no document is in a split of
the mixture that it is not in of its language. A longer mixture begins with a shorter one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
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
from raydt.corpora.preparing.place import WORK, put_in_place
from raydt.corpora.preparing.turns import take_turns
from raydt.corpora.sources.documents import from_parts
from raydt.corpora.splits import SEPARATOR, SPLITS, Split
from raydt.errors import InputError, bad
from raydt.locks import locked

HELD_OUT: tuple[HeldOutSplit, ...] = ("val", "test")
_WRITTEN_BYTES = 2**22  # at once
_DOCUMENTS_AT_ONCE = 2**14


@dataclass(frozen=True)
class Mix:
    """A mixture that is wanted: languages and their shares, which add up to 1, and bytes of train.

    `evaluated`: the language whose `val` and `test` it has, in place of mixed ones. Of such a one
    train is exactly its share of that language's first bytes, and of the others' by turns.
    """

    name: str
    shares: Mapping[str, Fraction]
    train_bytes: int
    evaluated: str | None = None


class TooShortError(Exception):
    """A language that has too little for its part of a mixture; `num_bytes` would be enough."""

    def __init__(self, language: str, num_bytes: int) -> None:
        super().__init__(f"{language} of less than {num_bytes} bytes")
        self.language = language
        self.num_bytes = num_bytes


def prepare_mix(
    mix: Mix,
    languages: Mapping[str, PreparedLanguage],
    held_out_bytes: Mapping[HeldOutSplit, int | None],
    root: Path,
) -> PreparedLanguage:
    """The mixture with at least its bytes of train, from `root` or written there; of `val` and
    `test` so many (None: as many as any sweep reads), or all that the languages give.

    `TooShortError` if a language has too little; `InputError` if `root` cannot be written.
    """
    parts = {name: languages[name] for name in mix.shares}
    key = next(iter(parts.values())).folder.parent.name
    folder, work = root / key / mix.name, root / WORK / key / mix.name
    # Of what is held out as much as any sweep reads, unless more is asked for: then what is there
    # is either that, or all there is.
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
            if existing is not None:  # only ever longer
                stored = existing.manifest.splits
                asked = {split: max(asked[split], stored[split].num_bytes) for split in SPLITS}
            manifest = _write(mix, parts, asked, new)
            put_in_place(manifest, new, folder, work)
    except OSError as error:
        path = error.filename or folder
        raise bad(f"folder {root}", "one that raydt can write to", f"{path}: {error}") from error
    return open_language(folder)


def _find(folder: Path, texts: str) -> PreparedLanguage | None:
    """What is there, if it is this mixture of these texts."""
    try:
        existing = open_language(folder)
        if not existing.is_whole():
            return None
    except InputError:
        return None  # not there, half-written or damaged: to be written again
    return existing if existing.manifest.source.mixed == texts else None


def _is_enough(
    existing: PreparedLanguage, parts: Mapping[str, PreparedLanguage], asked: Mapping[Split, int]
) -> bool:
    stored = existing.manifest.splits
    drawn_from = {part.language: part.drawn_from for part in existing.manifest.parts or ()}
    if drawn_from != {name: _hashes(part) for name, part in parts.items()}:
        return False  # of a language that is longer now there may be more
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
        if mix.evaluated is None:
            records[split], used = _mixed(streams, mix.shares, asked[split], path)
        else:
            records[split], used = _joined(streams, mix, path)
        for name, num_bytes in used.items():
            taken[name][split] = num_bytes
        if split == "train" and records[split].num_bytes < mix.train_bytes:
            # The one that is furthest behind its share is the one that has no more.
            short = min(used, key=lambda name: used[name] / mix.shares[name])
            needed = ceil(mix.shares[short] * mix.train_bytes)
            raise TooShortError(short, max(needed, stored[short] + 1))
    return _manifest(mix, parts, records, taken)


def _mixed(
    streams: Mapping[str, NDArray[np.uint8]],
    shares: Mapping[str, Fraction],
    num_bytes: int,
    path: Path,
) -> tuple[SplitRecord, dict[str, int]]:
    """Whole documents by turns until there are so many bytes; the record, and bytes by language."""
    names = list(streams)
    used = dict.fromkeys(names, 0)
    pieces: list[NDArray[np.uint8]] = []
    waiting = 0
    with ShardWriter(path) as shard:
        turns = take_turns(list(streams.values()), [shares[name] for name in names])
        while sum(used.values()) < num_bytes and (turn := next(turns, None)) is not None:
            number, begin, end = turn
            pieces.append(streams[names[number]][begin:end])
            used[names[number]] = end
            waiting += end - begin
            if waiting >= _WRITTEN_BYTES:
                _put(shard, pieces)
                waiting = 0
        _put(shard, pieces)
    return shard.record(), used


def _joined(
    streams: Mapping[str, NDArray[np.uint8]], mix: Mix, path: Path
) -> tuple[SplitRecord, dict[str, int]]:
    """The first bytes of the language that is evaluated, cut where its share ends, as its scratch
    cell reads them; then documents of the others by turns, the last one cut as well. Their order
    in the file is of no matter: all of it is one size, whose windows training reads in any order.
    """
    first = mix.evaluated
    assert first is not None
    wanted = int(mix.shares[first] * mix.train_bytes)
    used = {first: min(wanted, len(streams[first]))}
    others = [name for name in streams if name != first]
    used |= dict.fromkeys(others, 0)
    left = mix.train_bytes - wanted
    with ShardWriter(path) as shard:
        _put_stream(shard, streams[first][: used[first]])
        if len(others) == 1:  # the last of whose documents may be cut already
            used[others[0]] = min(left, len(streams[others[0]]))
            _put_stream(shard, streams[others[0]][: used[others[0]]])
        else:
            shares = [mix.shares[name] / (1 - mix.shares[first]) for name in others]
            for number, begin, end in take_turns([streams[name] for name in others], shares):
                end = min(end, begin + left)
                _put(shard, [streams[others[number]][begin:end]])
                used[others[number]] = end
                left -= end - begin
                if not left:
                    break
    return shard.record(), used


def _put_stream(shard: ShardWriter, data: NDArray[np.uint8]) -> None:
    """Write documents of a stream, of which the last may be cut."""
    ends = np.flatnonzero(data == SEPARATOR) + 1
    if len(data) and (not len(ends) or ends[-1] < len(data)):
        ends = np.append(ends, len(data))
    for begin in range(0, len(ends), _DOCUMENTS_AT_ONCE):
        some = ends[begin : begin + _DOCUMENTS_AT_ONCE]
        start = int(ends[begin - 1]) if begin else 0
        offsets = np.concatenate([[0], some - start]).astype(np.int64)
        shard.write(from_parts(data[start : some[-1]], offsets), len(some))


def _put(shard: ShardWriter, pieces: list[NDArray[np.uint8]]) -> None:
    """Write documents, and forget them."""
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
        split_rule=f"as of {', '.join(parts)}: of each split the first documents, by turns"
        if mix.evaluated is None
        else f"the first bytes of {mix.evaluated}, then documents of the others by turns",
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
