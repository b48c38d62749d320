"""From a corpus to languages on disk: written once, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydt import __version__
from raydt.corpora.check import check_corpus
from raydt.corpora.controlled.catalog import GENERATOR_VERSION, generate
from raydt.corpora.files import hash_file, read_file
from raydt.corpora.manifest import FILE_NAME, Manifest, Source, SplitRecord, write_manifest
from raydt.corpora.prepared import PreparedLanguage, open_language, split_path
from raydt.corpora.spec import ControlledCorpus, CorpusSpec, FilesCorpus
from raydt.corpora.splits import SEPARATOR, SPLIT_RULE, SPLIT_SEED, SPLITS, Split
from raydt.errors import InputError, Problem, bad

_ABANDONED_SECONDS = 24 * 3600
_CONTROLLED_SPLIT_RULE = "a random stream for each split, seeded by corpus, language and split"


@dataclass(frozen=True)
class _Text:
    """What is to be stored."""

    source: Source
    splits: Mapping[Split, NDArray[np.uint8]]
    dropped: Mapping[str, int]
    split_rule: str
    split_seed: int


def prepare_corpus(
    spec: CorpusSpec,
    train_bytes: Mapping[str, int],
    val_bytes: int,
    test_bytes: int,
    root: Path,
    on_language: Callable[[str], None] | None = None,
) -> dict[str, PreparedLanguage]:
    """Prepare several languages, name -> bytes of train; `on_language` hears of each that is ready.

    Raises one `InputError` with the problems of all languages.
    """
    prepared: dict[str, PreparedLanguage] = {}
    problems: list[Problem] = []
    for language, num_bytes in train_bytes.items():
        try:
            prepared[language] = prepare_language(
                spec, language, num_bytes, val_bytes, test_bytes, root
            )
        except InputError as error:
            # An absent corpus or a full disk is every language's problem, and said once.
            problems += [problem for problem in error.problems if problem not in problems]
        else:
            if on_language is not None:
                on_language(language)
    if problems:
        raise InputError(problems)
    return prepared


def prepare_language(
    spec: CorpusSpec,
    language: str,
    train_bytes: int,
    val_bytes: int,
    test_bytes: int,
    root: Path,
) -> PreparedLanguage:
    """The language with at least these bytes of each split, from `root` or written there.

    What is there already, whole, from the same source and large enough, is taken and not written
    again. `InputError` if the corpus cannot give so much, or `root` cannot be written.
    """
    problems = check_corpus(spec, {language: train_bytes}, val_bytes, test_bytes)
    if problems:
        raise InputError(problems)
    asked: dict[Split, int] = {"train": train_bytes, "val": val_bytes, "test": test_bytes}
    folder = root / spec.key / language
    try:
        prepared = _find_or_write(spec, language, asked, folder)
    except OSError as error:
        path = error.filename or folder
        raise bad(f"folder {root}", "one that raydt can write to", f"{path}: {error}") from error
    shortages = prepared.shortages(asked)
    if shortages:
        raise InputError(shortages)
    return prepared


def _find_or_write(
    spec: CorpusSpec, language: str, asked: dict[Split, int], folder: Path
) -> PreparedLanguage:
    existing = _find(spec, language, folder)
    if existing is not None:
        # All of a file is stored at once, so one that is too short stays too short.
        if isinstance(spec, FilesCorpus) or not existing.shortages(asked):
            return existing
        # Only ever longer: whoever has the shorter one open finds its bytes again.
        asked = {
            split: max(num_bytes, existing.manifest.splits[split].num_bytes)
            for split, num_bytes in asked.items()
        }
    text = _read_text(spec, language, asked)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    with tempfile.TemporaryDirectory(prefix=f".{language}.", dir=folder.parent) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        _write(text, language, new)
        while True:
            try:
                new.rename(folder)
                break
            except OSError:
                if not folder.exists():
                    raise
            # Another process was faster, or this one replaces what is no longer wanted.
            existing = _find(spec, language, folder)
            if existing is not None:
                if isinstance(spec, FilesCorpus) or not existing.shortages(asked):
                    return existing
                if any(
                    existing.manifest.splits[split].num_bytes > asked[split] for split in SPLITS
                ):
                    return _find_or_write(spec, language, asked, folder)
            _move_aside(folder, Path(scratch))
        _sync_folder(folder.parent)
    return open_language(folder)


def _find(spec: CorpusSpec, language: str, folder: Path) -> PreparedLanguage | None:
    """What is prepared in a folder, if it is whole and still from this source."""
    try:
        prepared = open_language(folder)
        whole = prepared.is_whole()
    except InputError:
        return None  # half-written, damaged or of another format: to be written again
    source = prepared.manifest.source
    if not whole or prepared.name != language:
        return None
    if isinstance(spec, ControlledCorpus):
        return prepared if source.same_text(_controlled_source(spec)) else None
    status = spec.file(language).stat()
    if (source.num_bytes, source.modified_ns) == (status.st_size, status.st_mtime_ns):
        return prepared
    if source.num_bytes == status.st_size and source.sha256 == hash_file(spec.file(language)):
        return prepared
    return None


def _controlled_source(spec: ControlledCorpus) -> Source:
    return Source(corpus=spec.name, seed=spec.seed, generator=GENERATOR_VERSION)


def _read_text(spec: CorpusSpec, language: str, asked: Mapping[Split, int]) -> _Text:
    if isinstance(spec, ControlledCorpus):
        return _Text(
            source=_controlled_source(spec),
            splits={split: generate(language, split, asked[split], spec.seed) for split in SPLITS},
            dropped={},
            split_rule=_CONTROLLED_SPLIT_RULE,
            split_seed=spec.seed,
        )
    path = spec.file(language)
    # Before the text: a file that changes while it is read must look changed the next time.
    modified_ns = path.stat().st_mtime_ns
    text = read_file(path)
    return _Text(
        source=Source(
            corpus=spec.name,
            file=str(path.resolve()),
            num_bytes=text.num_bytes,
            modified_ns=modified_ns,
            sha256=text.sha256,
        ),
        splits={split: np.frombuffer(text.splits[split], dtype=np.uint8) for split in SPLITS},
        dropped=text.dropped,
        split_rule=SPLIT_RULE,
        split_seed=SPLIT_SEED,
    )


def _write(text: _Text, language: str, folder: Path) -> None:
    """All files of a language, the manifest last, on disk before this returns."""
    for split in SPLITS:
        with split_path(folder, split).open("wb") as file:
            file.write(text.splits[split].data)
            file.flush()
            os.fsync(file.fileno())
    manifest = Manifest(
        language=language,
        source=text.source,
        licence=None,
        split_rule=text.split_rule,
        split_seed=text.split_seed,
        dropped=text.dropped,
        splits={split: _record(text.splits[split]) for split in SPLITS},
        raydt_version=__version__,
    )
    path = folder / FILE_NAME
    write_manifest(manifest, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    _sync_folder(folder)


def _record(stream: NDArray[np.uint8]) -> SplitRecord:
    num_separators = int(np.count_nonzero(stream == SEPARATOR))
    # In UTF-8 every byte but those of the form 10xxxxxx begins a character.
    num_characters = int(np.count_nonzero((stream & 0xC0) != 0x80)) - num_separators
    num_text_bytes = len(stream) - num_separators
    is_cut = len(stream) > 0 and stream[-1] != SEPARATOR
    return SplitRecord(
        num_bytes=len(stream),
        num_characters=num_characters,
        num_documents=num_separators + int(is_cut),
        bytes_per_character=num_text_bytes / num_characters if num_characters else None,
        sha256=hashlib.sha256(stream.data).hexdigest(),
    )


def _move_aside(folder: Path, scratch: Path) -> None:
    """Out of the way in one step; whoever has its files open keeps them."""
    try:
        if folder.is_dir():
            folder.rename(Path(tempfile.mkdtemp(prefix="old.", dir=scratch)) / "old")
        else:
            folder.unlink()
    except FileNotFoundError:
        return  # another process took it away first


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left of this language."""
    for scratch in folder.parent.glob(f".{folder.name}.*"):
        try:
            if time.time() - scratch.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(scratch)
        except FileNotFoundError:
            continue  # its owner finished, or another process sweeps here too


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
