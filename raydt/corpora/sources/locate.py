"""Which files are the text of each language; looks at names only, and once.

What a command found at its beginning is passed on to all that follows: the check, the preparation
and its processes see the same files, and a folder of many is listed once.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raydt.corpora.controlled.languages import LANGUAGES
from raydt.corpora.sources.formats import bare_name, file_format
from raydt.corpora.spec import (
    LANGUAGE_NAME,
    PLACEHOLDER,
    ControlledCorpus,
    CorpusSpec,
    FilesCorpus,
)


@dataclass(frozen=True)
class Corpus:
    """What was typed, and what was found there.

    Files are listed and not opened. Their sizes are no part of it: who reads a file stamps it when
    it is read, as it may have changed since.
    """

    spec: CorpusSpec
    # By language, sorted, each in the order they are read; none where the corpus is no files.
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def languages(self) -> list[str]:
        """Names of the languages there are; none where a folder cannot be listed, or of the Hub."""
        return list(LANGUAGES) if isinstance(self.spec, ControlledCorpus) else list(self.files)


def locate(spec: CorpusSpec) -> Corpus:
    """Look at what a corpus has; raises `OSError` for a folder that may not be listed."""
    if not isinstance(spec, FilesCorpus):
        return Corpus(spec)
    found = _in_glob(str(spec.path)) if spec.is_glob else _in_folder(spec.path)
    return Corpus(spec, {name: tuple(found[name]) for name in sorted(found)})


def _in_folder(folder: Path) -> dict[str, list[Path]]:
    """Files by language: `de.txt` beside `de.jsonl` or `de/` are all German, read as one text."""
    if not folder.is_dir():
        return {}
    single: dict[str, list[Path]] = {}
    inside: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        if path.is_dir():
            inside[path.name] = [each for each in path.iterdir() if file_format(each)]
        elif file_format(path) and path.is_file():
            single.setdefault(bare_name(path), []).append(path)
    found = {
        name: sorted(single.get(name, ())) + sorted(inside.get(name, ()))
        for name in single.keys() | inside.keys()
        if LANGUAGE_NAME.fullmatch(name)
    }
    return {name: paths for name, paths in found.items() if paths}


def _in_glob(pattern: str) -> dict[str, list[Path]]:
    """Files of a glob by the language in their names; a name has the same one everywhere in it."""
    before, *after = pattern.split(PLACEHOLDER)
    expression = re.compile(
        _expression(before)
        + f"(?P<language>{LANGUAGE_NAME.pattern}?)"  # lazy: `en-0001.txt` is en of {language}-*
        + "(?P=language)".join(map(_expression, after))
    )
    found: dict[str, list[Path]] = {}
    for name in glob.iglob("*".join((before, *after)), recursive=True):  # noqa: PTH207
        match = expression.fullmatch(name)
        if match is not None and Path(name).is_file() and file_format(Path(name)):
            found.setdefault(match["language"], []).append(Path(name))
    return {name: sorted(paths) for name, paths in found.items()}


def _expression(pattern: str) -> str:
    """A glob as a regular expression: `*` within a name, `**` across folders, `[...]`."""
    parts = re.split(r"(\*\*/|\*\*|\*|\[[^]]+\])", pattern)
    known = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*"}
    return "".join(
        known[part]
        if part in known
        else part.replace("[!", "[^")
        if part.startswith("[")
        else re.escape(part)
        for part in parts
    )
