"""What is wrong with a corpus, seen before anything starts: names and sizes, and no reading."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from raydt.corpora.controlled.languages import LANGUAGES
from raydt.corpora.controlled.names import check_name
from raydt.corpora.spec import LANGUAGE_NAME, ControlledCorpus, CorpusSpec
from raydt.errors import Problem

_SUFFIX = ".txt"


def available_languages(spec: CorpusSpec) -> list[str]:
    """Names of the languages of a corpus; none where a folder cannot be listed. Of controlled
    languages those with a name of their own: that of a dialled one is made up by whoever wants it.
    """
    if isinstance(spec, ControlledCorpus):
        return list(LANGUAGES)
    if not spec.path.is_dir():
        return []
    stems = (path.stem for path in spec.path.glob(f"*{_SUFFIX}"))
    return sorted(stem for stem in stems if LANGUAGE_NAME.fullmatch(stem))


def check_corpus(
    spec: CorpusSpec, train_bytes: Mapping[str, int], val_bytes: int, test_bytes: int
) -> list[Problem]:
    """Every problem of using these languages (name -> bytes of train) with splits of these sizes.

    Cheap, and so not complete: what only reading shows, such as bytes that are not UTF-8, is found
    when the languages are prepared.
    """
    folder_problem = _check_folder(spec)
    if folder_problem is not None:
        return [folder_problem]
    return [
        problem
        for language, num_bytes in train_bytes.items()
        for problem in check_language(spec, language, num_bytes + val_bytes + test_bytes)
    ]


def check_language(spec: CorpusSpec, language: str, num_bytes: int) -> list[Problem]:
    """The problems of one language that is asked for `num_bytes`, all splits together."""
    if not LANGUAGE_NAME.fullmatch(language):
        return [Problem("language", "a name of letters, digits, _ . and -", repr(language))]
    if isinstance(spec, ControlledCorpus):
        return check_name(language)
    available = available_languages(spec)
    if language not in available:
        close = difflib.get_close_matches(language, available, n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        there = ", ".join(available) or "no languages"
        return [Problem("language", f"one that {spec.name} has: {there}", f"{language!r}{hint}")]
    return _check_size(spec.file(language), num_bytes)


def _check_folder(spec: CorpusSpec) -> Problem | None:
    if isinstance(spec, ControlledCorpus) or spec.path.is_dir():
        return None
    found = "a file" if spec.path.exists() else "nothing there"
    return Problem(f"corpus {spec.name}", f"a folder with <language>{_SUFFIX} files", found)


def _check_size(path: Path, num_bytes: int) -> list[Problem]:
    try:
        size = path.stat().st_size
    except OSError as error:
        found = error.strerror or str(error)
        return [Problem(f"file {path}", "a file that can be read", found)]
    if size == 0:
        return [Problem(f"file {path}", "at least one document", "an empty file")]
    # A separator replaces each newline, and the last line need not have one.
    if size + 1 < num_bytes:
        requirement = f"{num_bytes} bytes of train, val and test together"
        return [Problem(f"file {path}", requirement, f"{size} bytes")]
    return []
