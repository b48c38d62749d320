"""Which files are the text of each language; looks at names only, and once.

What a command found at its beginning is passed on to all that follows: the check, the preparation
and its processes see the same files, and a folder of many is listed once.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raydt.corpora.controlled.languages import LANGUAGES
from raydt.corpora.sources.formats import (
    bare_name,
    file_format,
    is_about,
    is_readable_by_name,
    is_suffix,
    unpacked_name,
    why_not_read,
)
from raydt.corpora.sources.kinds import CODE, chosen, is_layer, together
from raydt.corpora.spec import (
    LANGUAGE_NAME,
    PLACEHOLDER,
    ControlledCorpus,
    CorpusSpec,
    FilesCorpus,
)

_NAMES = "letters of ASCII, digits, _ . -"


@dataclass(frozen=True)
class PassedOver:
    """A file or folder in a corpus that is not read, and why, in words."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path.name}: {self.reason}"


@dataclass(frozen=True)
class Corpus:
    """What was typed, and what was found there.

    Files are listed and not opened. Their sizes are no part of it: who reads a file stamps it when
    it is read, as it may have changed since.
    """

    spec: CorpusSpec
    # By language, sorted, each in the order they are read; none where the corpus is no files.
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def languages(self) -> list[str]:
        """Names of the languages there are; none where a folder cannot be listed, or of the Hub."""
        return list(LANGUAGES) if isinstance(self.spec, ControlledCorpus) else list(self.files)


def locate(spec: CorpusSpec) -> Corpus:
    """Look at what a corpus has; raises `OSError` for a folder that may not be listed."""
    if not isinstance(spec, FilesCorpus):
        return Corpus(spec)
    found = _Found(spec)
    if spec.is_glob:
        found.in_glob(str(spec.path))
    elif spec.path.is_dir():
        found.in_folder(spec.path)
    return found.corpus()


class _Found:
    """What is found while a corpus is looked through."""

    def __init__(self, spec: FilesCorpus) -> None:
        self._spec = spec
        # Files that are named as their language, and files in a folder that is.
        self._named: dict[str, list[Path]] = {}
        self._inside: dict[str, list[Path]] = {}
        self._passed: list[PassedOver] = []
        self._seen: set[tuple[int, int]] = set()

    def corpus(self) -> Corpus:
        for name, language in together(self._named).items():
            if LANGUAGE_NAME.fullmatch(language):
                self._named.setdefault(language, []).extend(self._named.pop(name))
        files: dict[str, tuple[Path, ...]] = {}
        for name in sorted(self._named.keys() | self._inside.keys()):
            paths = sorted(self._named.get(name, ())) + sorted(self._inside.get(name, ()))
            taken = chosen(self._spec, paths, self._spec.base)
            gone = set(paths) - set(taken)
            reason = f"not one of only={self._spec.only}"
            self._passed += [PassedOver(path, reason) for path in paths if path in gone]
            if taken:
                files[name] = tuple(taken)
        return Corpus(self._spec, files, tuple(self._passed))

    def in_folder(self, folder: Path) -> None:
        """`de.txt` beside `de.jsonl` or `de/` are all German, read as one text; `data/` and
        `train/` have languages in them."""
        for path in self._listed(folder):
            if path.is_dir():
                if is_layer(path.name) or self._has_languages(path):
                    self.in_folder(path)
                elif LANGUAGE_NAME.fullmatch(path.name):
                    self._inside.setdefault(path.name, []).extend(self._below(path))
                else:
                    self._pass_over(path, f"a folder whose name can be no language's ({_NAMES})")
            elif self._is_text(path):
                name = bare_name(path)
                if self._spec.format and file_format(path) is None:
                    name = unpacked_name(path.name).partition(".")[0]
                if LANGUAGE_NAME.fullmatch(name):
                    self._named.setdefault(name, []).append(path)
                else:
                    self._pass_over(path, f"no language's name before the suffix ({_NAMES})")

    def in_glob(self, pattern: str) -> None:
        """Files by the language in their names; a name has the same one everywhere in it."""
        before, *after = pattern.split(PLACEHOLDER)
        expression = re.compile(
            _expression(before)
            + f"(?P<language>{LANGUAGE_NAME.pattern}?)"  # lazy: `en-0001.txt` is en of {language}-*
            + "(?P=language)".join(map(_expression, after))
        )
        is_spelt = not pattern.endswith("*")
        for name in sorted(glob.iglob("*".join((before, *after)), recursive=True)):  # noqa: PTH207
            match, path = expression.fullmatch(name), Path(name)
            if match is not None and path.is_dir():
                self._pass_over(
                    path, "a folder: the pattern has to name files, such as those in it"
                )
            if match is None or not path.is_file():
                continue
            language = match["language"]
            if pattern.endswith(PLACEHOLDER):
                language = unpacked_name(language)
                if is_suffix(language):
                    self._pass_over(path, f"{language} is a suffix and no language")
                    continue
            # A suffix that somebody has spelt out is meant, and so is a name without one.
            is_meant = is_spelt or "." not in unpacked_name(path.name)
            if file_format(path) or (is_meant and is_readable_by_name(path)) or self._spec.format:
                self._named.setdefault(language, []).append(path)
            else:
                self._pass_over(path, why_not_read(path))

    def _listed(self, folder: Path) -> Iterator[Path]:
        """What is in a folder, in order; nothing where a link leads back to one it was in."""
        status = folder.stat()
        if (status.st_dev, status.st_ino) in self._seen:
            self._pass_over(folder, "a link to a folder that is read already")
            return
        self._seen.add((status.st_dev, status.st_ino))
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue  # hidden, as everywhere
            if path.is_dir() or path.is_file():
                yield path
            else:
                self._pass_over(path, "no file: a link to nothing, or a device")

    def _below(self, folder: Path) -> Iterator[Path]:
        """The text in the folder of a language, at any depth."""
        for path in self._listed(folder):
            if path.is_dir():
                yield from self._below(path)
            elif self._is_text(path):
                yield path

    def _is_text(self, path: Path) -> bool:
        known = file_format(path) is not None or self._spec.format is not None
        if known and not is_about(path):
            return True
        self._pass_over(path, why_not_read(path))
        return False

    def _has_languages(self, folder: Path) -> bool:
        """Whether a folder, which has no language's name, has folders that do."""
        if CODE.fullmatch(folder.name):
            return False
        return any(CODE.fullmatch(path.name) and path.is_dir() for path in folder.iterdir())

    def _pass_over(self, path: Path, reason: str) -> None:
        self._passed.append(PassedOver(path, reason))


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
