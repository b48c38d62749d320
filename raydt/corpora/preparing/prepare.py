"""From a corpus to languages on disk: written once, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import Timeout

from raydt.corpora.prepared.evaluation import HeldOutSplit, at_most, check_evaluation
from raydt.corpora.prepared.language import PreparedLanguage, open_language
from raydt.corpora.prepared.manifest import Source
from raydt.corpora.prepared.stamps import hash_file
from raydt.corpora.preparing.aligned import Lost, lost_documents
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
    """Prepare several languages, name -> bytes of train; `on_language` hears of each that is ready.

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
            # An absent corpus or a full disk is every language's problem, and said once.
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
    """The language with at least these bytes of each split, from `root` or written there.

    Of `val` and `test` None is what `evaluation` makes of what there is.

    One process at a time writes a language; what it had done when it was killed, the next takes
    up. `on_bytes` hears how far it is. `corpus_languages` are those that are prepared with it, to
    be told apart from it where the corpus itself cannot list its languages.

    What is there already, whole, from the same source and large enough, is taken and not written
    again. `InputError` if the corpus cannot give so much, or `root` cannot be written.
    """
    problems = check_corpus(corpus, {language: train_bytes}, val_bytes, test_bytes)
    if problems:
        raise InputError(problems)
    held_out: dict[HeldOutSplit, int | None] = {"val": val_bytes, "test": test_bytes}
    named: dict[Split, int] = {"train": train_bytes}
    asked: dict[Split, int] = {"train": train_bytes}
    for split, num_bytes in held_out.items():
        asked[split] = at_most(split, num_bytes)
        if num_bytes is not None:
            named[split] = num_bytes
    folder = root / corpus.spec.key / language
    try:
        prepared = _find_or_write(corpus, language, asked, root, on_bytes, corpus_languages)
    except OSError as error:
        path = error.filename or folder
        raise bad(f"folder {root}", "one that raydt can write to", f"{path}: {error}") from error
    problems = prepared.shortages(named)
    for split in held_out:
        if split not in named and (problem := check_evaluation(prepared.manifest, split)):
            problems.append(problem)
    if problems:
        raise InputError(problems)
    return prepared


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
    lost: Lost | None = None
    if isinstance(spec, FilesCorpus) and spec.aligned == "yes":
        _check_files(corpus, corpus_languages)
        work = root / WORK / spec.key
        lost = lost_documents(spec, corpus.files, work, language, corpus_languages)
        key = f"{spec.key}-{lost.key}" if lost.key else spec.key
    folder = root / key / language
    existing = _find(corpus, language, folder, lost)
    work = root / WORK / key / language
    if existing is not None and _is_enough(existing, asked):
        _sweep(work)
        return existing
    work.parent.mkdir(parents=True, exist_ok=True)
    with locked(work.with_name(f"{language}.lock")):
        # Another process may have written it while this one waited.
        existing = _find(corpus, language, folder, lost)
        if existing is not None:
            if _is_enough(existing, asked):
                return existing
            # Only ever longer: whoever has the shorter one open finds its bytes again.
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
            shutil.rmtree(work, ignore_errors=True)  # the source is to change; begin anew then
            raise
        put_in_place(manifest, new, folder, work)
    return open_language(folder)


def _check_files(corpus: Corpus, languages: Sequence[str]) -> None:
    """That all languages of an aligned corpus that are asked for can be read."""
    problems = check_corpus(corpus, dict.fromkeys(languages or corpus.languages, 1), 0, 0)
    if problems:
        raise InputError(problems)


def _sweep(work: Path) -> None:
    """Remove what a process that was killed at its very end left of a language that is there."""
    if work.is_dir():
        try:
            with locked(work.with_name(f"{work.name}.lock"), timeout=0):
                shutil.rmtree(work, ignore_errors=True)
        except Timeout:
            return  # another process is at work


def _is_enough(existing: PreparedLanguage, asked: dict[Split, int]) -> bool:
    """Whether there is no more to be had, or no more is asked for."""
    return existing.manifest.source.is_all or not existing.shortages(asked)


def _find(
    corpus: Corpus, language: str, folder: Path, lost: Lost | None
) -> PreparedLanguage | None:
    """What is prepared in a folder, if it is whole and still from this source."""
    try:
        prepared = open_language(folder)
        whole = prepared.is_whole()
    except InputError:
        return None  # half-written, damaged or of another format: to be written again
    spec, source = corpus.spec, prepared.manifest.source
    if not whole or prepared.name != language or source.aligned != (lost and lost.digest):
        return None
    if isinstance(spec, ControlledCorpus):
        return prepared if source.same_text(generated_source(spec, language)) else None
    if not isinstance(spec, FilesCorpus):
        return prepared  # a commit does not change, and `main` stays what it was at first
    return prepared if _same_files(source, corpus.files[language]) else None


def _same_files(source: Source, paths: Sequence[Path]) -> bool:
    """Whether these files are those that were read; hashes only where the times differ."""
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
