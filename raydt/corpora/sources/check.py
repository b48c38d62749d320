"""Checks of a corpus before anything starts, by names and sizes, without reading files."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from raydt.config.evaluation import LEAST_BYTES
from raydt.corpora.controlled.names import check_name
from raydt.corpora.options import UTF8
from raydt.corpora.sources.formats import SUFFIXES, compression, file_format
from raydt.corpora.sources.kinds import mixed_kinds
from raydt.corpora.sources.locate import Corpus
from raydt.corpora.spec import LANGUAGE_NAME, PLACEHOLDER, ControlledCorpus, FilesCorpus, HubCorpus
from raydt.corpora.splits import OPTIONS
from raydt.errors import InputError, Problem
from raydt.units import parse_bytes

_SHOWN = 5


def languages_and_sizes(corpus: Corpus, names: Sequence[str] | None, train: str) -> dict[str, int]:
    """Bytes of train by language, from the command line: named languages or all, a size or `all`.

    `all` is 0, a minimum: files are stored whole anyway. Raises `InputError` with all problems.
    """
    spec = corpus.spec
    problems = []
    if names is None and isinstance(spec, HubCorpus):
        problems.append(
            Problem("--languages", f"names, because {spec.name} does not list any", "none")
        )
    if train == "all" and not isinstance(spec, FilesCorpus):
        problems.append(Problem("--train-bytes", f"a size, because {spec.name} is endless", "all"))
    num_bytes = 0
    if train != "all":
        try:
            num_bytes = parse_bytes(train)
        except InputError as error:
            problems += error.problems
    asked = names if names is not None else corpus.languages
    if not asked and not problems:
        folder_problem = _check_folder(corpus)
        requirement = f"at least one language: {SUFFIXES}{skipped(corpus)}"
        nothing = Problem(f"corpus {spec.name}", requirement, "none")
        problems.append(folder_problem or nothing)
    if problems:
        raise InputError(problems)
    return dict.fromkeys(asked, num_bytes)


def check_corpus(
    corpus: Corpus,
    train_bytes: Mapping[str, int],
    val_bytes: int | None,
    test_bytes: int | None,
) -> list[Problem]:
    """All problems of using these languages (name -> bytes of train) with splits of these sizes;
    None: what there is, but at least `LEAST_BYTES`.

    Cheap, and so not complete: problems that only reading shows, such as bytes that are not UTF-8,
    are found when the languages are prepared.
    """
    folder_problem = _check_folder(corpus)
    if folder_problem is not None:
        return [folder_problem]
    held_out = sum(LEAST_BYTES if asked is None else asked for asked in (val_bytes, test_bytes))
    return [
        problem
        for language, num_bytes in train_bytes.items()
        for problem in check_language(corpus, language, num_bytes, held_out)
    ]


def check_language(
    corpus: Corpus, language: str, train_bytes: int, held_out_bytes: int = 0
) -> list[Problem]:
    """The problems of one language that needs these bytes of train, and of val plus test."""
    spec = corpus.spec
    if not LANGUAGE_NAME.fullmatch(language):
        return [Problem("language", "a name of letters, digits, _ . and -", repr(language))]
    if isinstance(spec, ControlledCorpus):
        return check_name(language)
    if isinstance(spec, HubCorpus):
        return []  # only the Hub knows its configs, and a plan should need no network
    if language not in corpus.files:
        close = difflib.get_close_matches(language, corpus.files, n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        there = ", ".join(corpus.files) or "no languages"
        requirement = f"one of those in {spec.name}: {there}{skipped(corpus)}"
        return [Problem("language", requirement, f"{language!r}{hint}")]
    if spec.split_by is not None and (problem := _check_split_by(spec, corpus.files[language])):
        return [problem]
    mixed = mixed_kinds(spec, language, corpus.files[language])
    if mixed is not None:
        return [mixed]
    return _check_size(spec, corpus.files[language], train_bytes, held_out_bytes)


def skipped(corpus: Corpus) -> str:
    """The skipped files of a folder, for the message that a language is missing."""
    if not corpus.skipped:
        return ""
    shown = [str(each) for each in corpus.skipped[:_SHOWN]]
    left = len(corpus.skipped) - len(shown)
    more = [f"and {left} more"] if left else []
    return f". Skipped: {'; '.join([*shown, *more])}. `raydt corpora --look` shows all"


def _check_folder(corpus: Corpus) -> Problem | None:
    spec = corpus.spec
    if not isinstance(spec, FilesCorpus) or spec.path.is_dir():
        return None
    if spec.is_glob:
        if corpus.files:
            return None
        requirement = f"a pattern of {SUFFIXES} files{skipped(corpus)}"
        return Problem(f"corpus {spec.name}", requirement, "no file")
    requirement = f"a folder of <language> files: {SUFFIXES}"
    if spec.path.exists():
        requirement += f", such as {spec.path.parent}, or a pattern with {PLACEHOLDER}"
        return Problem(f"corpus {spec.name}", requirement, "a file")
    if any(sign in str(spec.path) for sign in "*[{"):
        requirement = f"a folder, or a pattern with {PLACEHOLDER} in place of the language's name"
    return Problem(f"corpus {spec.name}", requirement, "nothing there")


def _check_split_by(spec: FilesCorpus, paths: Sequence[Path]) -> Problem | None:
    if spec.aligned == "yes":
        return Problem("corpus option split_by", "no aligned=yes with it", repr(spec.split_by))
    kinds = {spec.format or file_format(path) or "txt" for path in paths}
    if kinds & {"txt", "conllu"} or spec.field is not None:
        requirement = "files with named columns (.jsonl, .parquet, .csv or .tsv with a header)"
        return Problem("corpus option split_by", requirement, str(paths[0]))
    return None


def _check_size(
    spec: FilesCorpus, paths: Sequence[Path], train_bytes: int, held_out_bytes: int
) -> list[Problem]:
    sizes = []
    for path in paths:
        try:
            sizes.append(path.stat().st_size)
        except OSError as error:
            found = error.strerror or str(error)
            return [Problem(f"file {path}", "a readable file", found)]
    named = f"file {paths[0]}" if len(paths) == 1 else f"the {len(paths)} files like {paths[0]}"
    if not any(sizes):
        return [Problem(named, "at least one document", "an empty file")]
    is_plain = spec.encoding == UTF8 and all(
        (spec.format or file_format(path) or "txt") == "txt" and not compression(path)
        for path in paths
    )
    # A separator replaces each newline, and the last line may lack its newline.
    if is_plain and sum(sizes) + len(sizes) < train_bytes + held_out_bytes:
        requirement = (
            f"{train_bytes} bytes to train on ({OPTIONS['train']}) "
            f"and {held_out_bytes} of val and test"
        )
        return [Problem(named, requirement, f"{sum(sizes)} bytes")]
    return []
