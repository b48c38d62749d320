"""Prepare languages of a corpus on disk. Each is written once and atomically."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import Timeout

from raydt.corpora.prepared.evaluation import HeldOutSplit, at_most, check_evaluation
from raydt.corpora.prepared.language import PreparedLanguage, open_language
from raydt.corpora.prepared.manifest import Source
from raydt.corpora.prepared.stamps import hash_file
from raydt.corpora.preparing.aligned import DroppedDocuments, dropped_documents
from raydt.corpora.preparing.generate import generated_source, write_generated
from raydt.corpora.preparing.place import WORK, put_in_place
from raydt.corpora.preparing.shuffle import OnBytes, shuffle_text
from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.files import stamp
from raydt.corpora.sources.locate import Corpus
from raydt.corpora.spec import ControlledCorpus, FilesCorpus
from raydt.corpora.splits import Split
from raydt.errors import InputError, Problem, bad
from raydt.locks import locked


def prepare_corpus(
    corpus: Corpus,
    train_bytes: Mapping[str, int],
    val_bytes: int | None,
    test_bytes: int | None,
    root: Path,
    on_language: Callable[[str], None] | None = None,
    on_bytes: OnBytes | None = None,
) -> dict[str, PreparedLanguage]:
    """Prepare several languages, name -> bytes of train; calls `on_language` for each when it is
    ready.

    Raises one `InputError` with the problems of all languages.
    """
    prepared: dict[str, PreparedLanguage] = {}
    problems: list[Problem] = []
    for language, num_bytes in train_bytes.items():
        try:
            prepared[language] = prepare_language(
                corpus,
                language,
                num_bytes,
                val_bytes,
                test_bytes,
                root,
                on_bytes,
                corpus_languages=tuple(train_bytes),
            )
        except InputError as error:
            # A missing corpus or a full disk is a problem of every language; report it once.
            problems += [problem for problem in error.problems if problem not in problems]
        else:
            if on_language is not None:
                on_language(language)
    if problems:
        raise InputError(problems)
    return prepared


def prepare_language(
    corpus: Corpus,
    language: str,
    train_bytes: int,
    val_bytes: int | None,
    test_bytes: int | None,
    root: Path,
    on_bytes: OnBytes | None = None,
    corpus_languages: tuple[str, ...] = (),
) -> PreparedLanguage:
    """The language with at least these bytes of each split, existing in `root` or written there.

    `val_bytes` and `test_bytes` None: as much as `evaluation` needs of what there is.

    One process at a time writes a language; the next one resumes the work of a killed one.
    `on_bytes` receives the progress. `corpus_languages` are the languages prepared with it, for
    language identification, if the corpus cannot list its languages.

    A complete language from the same source that is large enough is not written again. Raises
    `InputError` if the corpus is too small, or `root` is not writable.
    """
    problems = check_corpus(corpus, {language: train_bytes}, val_bytes, test_bytes)
    if problems:
        raise InputError(problems)
    asked: dict[Split, int] = {
        "train": train_bytes,
        "val": at_most("val", val_bytes),
        "test": at_most("test", test_bytes),
    }
    folder = root / corpus.spec.key / language
    try:
        prepared = _find_or_write(corpus, language, asked, root, on_bytes, corpus_languages)
    except OSError as error:
        path = error.filename or folder
        raise bad(f"folder {root}", "a writable folder", f"{path}: {error}") from error
    problems = _shortages(prepared, train_bytes, val_bytes, test_bytes)
    if problems:
        raise InputError(problems)
    return prepared


def check_prepared(
    corpus: Corpus,
    train_bytes: Mapping[str, int],
    val_bytes: int | None,
    test_bytes: int | None,
    root: Path,
) -> list[Problem]:
    """Problems of the languages that were prepared before, completely and from the same files.

    A plan thus reports what only the splits show, without reading text. Empty for other corpora.
    """
    spec = corpus.spec
    if not isinstance(spec, FilesCorpus):
        return []
    problems = []
    for language, num_bytes in train_bytes.items():
        try:
            prepared = open_language(root / spec.key / language)
        except InputError:
            continue  # to be prepared
        source = prepared.manifest.source
        if source.is_all and _same_files(source, corpus.files.get(language, ())):
            problems += _shortages(prepared, num_bytes, val_bytes, test_bytes)
    return problems


def _shortages(
    prepared: PreparedLanguage, train_bytes: int, val_bytes: int | None, test_bytes: int | None
) -> list[Problem]:
    """The splits of which there is too little."""
    held_out: dict[HeldOutSplit, int | None] = {"val": val_bytes, "test": test_bytes}
    problems = prepared.shortages({"train": train_bytes})
    for split, num_bytes in held_out.items():
        if num_bytes is not None:
            problems += prepared.shortages({split: num_bytes})
        elif problem := check_evaluation(prepared.manifest, split):
            problems.append(problem)
    return problems


def _find_or_write(
    corpus: Corpus,
    language: str,
    asked: dict[Split, int],
    root: Path,
    on_bytes: OnBytes | None,
    corpus_languages: tuple[str, ...],
) -> PreparedLanguage:
    spec = corpus.spec
    key = spec.key
    lost: DroppedDocuments | None = None
    if isinstance(spec, FilesCorpus) and spec.aligned == "yes":
        _check_files(corpus, corpus_languages)
        work = root / WORK / spec.key
        lost = dropped_documents(spec, corpus.files, work, language, corpus_languages)
        key = f"{spec.key}-{lost.key}" if lost.key else spec.key
    folder = root / key / language
    existing = _find(corpus, language, folder, lost)
    work = root / WORK / key / language
    if existing is not None and _is_enough(existing, asked):
        _sweep(work)
        return existing
    work.parent.mkdir(parents=True, exist_ok=True)
    with locked(work.with_name(f"{language}.lock")):
        # Another process may have written it while this one was waiting.
        existing = _find(corpus, language, folder, lost)
        if existing is not None:
            if _is_enough(existing, asked):
                return existing
            # Never shorter than before, so readers of the shorter one find the same bytes.
            asked = {
                split: max(num_bytes, existing.manifest.splits[split].num_bytes)
                for split, num_bytes in asked.items()
            }
        new = work / "new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            if isinstance(spec, ControlledCorpus):
                manifest = write_generated(spec, language, asked, new)
            else:
                paths = corpus.files.get(language, ())
                others = (*corpus.languages, *corpus_languages)
                manifest = shuffle_text(
                    spec, language, paths, asked, others, work, new, on_bytes, lost
                )
        except InputError:
            shutil.rmtree(work, ignore_errors=True)  # the source must change first; then start over
            raise
        put_in_place(manifest, new, folder, work)
    return open_language(folder)


def _check_files(corpus: Corpus, languages: Sequence[str]) -> None:
    """Check that all requested languages of an aligned corpus can be read."""
    problems = check_corpus(corpus, dict.fromkeys(languages or corpus.languages, 1), 0, 0)
    if problems:
        raise InputError(problems)


def _sweep(work: Path) -> None:
    """Remove the work of a process that was killed right after finishing its language."""
    if work.is_dir():
        try:
            with locked(work.with_name(f"{work.name}.lock"), timeout=0):
                shutil.rmtree(work, ignore_errors=True)
        except Timeout:
            return  # another process is working


def _is_enough(existing: PreparedLanguage, asked: dict[Split, int]) -> bool:
    """Whether no more is requested, or the source has no more."""
    return existing.manifest.source.is_all or not existing.shortages(asked)


def _find(
    corpus: Corpus, language: str, folder: Path, lost: DroppedDocuments | None
) -> PreparedLanguage | None:
    """The prepared language in a folder, if it is complete and still from this source."""
    try:
        prepared = open_language(folder)
        whole = prepared.is_whole()
    except InputError:
        return None  # partial, damaged or in another format: write it again
    spec, source = corpus.spec, prepared.manifest.source
    if not whole or prepared.name != language or source.aligned != (lost and lost.digest):
        return None
    if isinstance(spec, ControlledCorpus):
        return prepared if source.same_text(generated_source(spec, language)) else None
    if not isinstance(spec, FilesCorpus):
        return prepared  # a commit does not change, and `main` stays at its first commit
    return prepared if _same_files(source, corpus.files[language]) else None


def _same_files(source: Source, paths: Sequence[Path]) -> bool:
    """Whether these files are those that were read; hashes them only if their times differ."""
    before = source.files or ()
    if len(before) != len(paths):
        return False
    for file, path in zip(before, paths, strict=True):
        now = stamp(path)
        if now.num_bytes != file.num_bytes:
            return False
        is_as_it_was = (now.modified_ns, now.changed_ns) == (file.modified_ns, file.changed_ns)
        if not is_as_it_was and hash_file(path) != file.sha256:
            return False
    return True
