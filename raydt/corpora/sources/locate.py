"""Find the files of each language of a corpus, by names only.

A command does this once and passes the result on, so that the check, the preparation and its
processes see the same files, and a large folder is listed only once.
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

_NAMES = "ASCII letters, digits, _ . -"


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder in a corpus that is not read, and the reason."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path.name}: {self.reason}"


@dataclass(frozen=True)
class Corpus:
    """The specification of a corpus, and its files.

    Files are listed, not opened. Sizes are not included: a file may change, so its reader stamps it
    when reading.
    """

    spec: CorpusSpec
    # By language, sorted, in the order of reading; empty if the corpus is not files.
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    skipped: tuple[SkippedFile, ...] = ()

    @property
    def languages(self) -> list[str]:
        """Names of the languages; empty for the Hub, and if a folder cannot be listed."""
        return list(LANGUAGES) if isinstance(self.spec, ControlledCorpus) else list(self.files)


def locate(spec: CorpusSpec) -> Corpus:
    """Find the files of a corpus; raises `OSError` if a folder cannot be listed."""
    if not isinstance(spec, FilesCorpus):
        return Corpus(spec)
    found = _Listing(spec)
    if spec.is_glob:
        found.in_glob(str(spec.path))
    elif spec.path.is_dir():
        found.in_folder(spec.path)
    return found.corpus()


class _Listing:
    """Collects the files of a corpus."""

    def __init__(self, spec: FilesCorpus) -> None:
        self._spec = spec
        # Files named after their language, and files in a folder named after it.
        self._named: dict[str, list[Path]] = {}
        self._inside: dict[str, list[Path]] = {}
        self._skipped: list[SkippedFile] = []
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
            self._skipped += [SkippedFile(path, reason) for path in paths if path in gone]
            if taken:
                files[name] = tuple(taken)
        return Corpus(self._spec, files, tuple(self._skipped))

    def in_folder(self, folder: Path) -> None:
        """`de.txt` beside `de.jsonl` or `de/` are all German and read as one text; `data/` and
        `train/` contain languages."""
        for path in self._listed(folder):
            if path.is_dir():
                if is_layer(path.name) or self._has_languages(path):
                    self.in_folder(path)
                elif LANGUAGE_NAME.fullmatch(path.name):
                    self._inside.setdefault(path.name, []).extend(self._below(path))
                else:
                    self._skip(path, f"the folder's name cannot be a language's ({_NAMES})")
            elif self._is_text(path):
                name = bare_name(path)
                if self._spec.format and file_format(path) is None:
                    name = unpacked_name(path.name).partition(".")[0]
                if LANGUAGE_NAME.fullmatch(name):
                    self._named.setdefault(name, []).append(path)
                else:
                    self._skip(path, f"no name of a language before the suffix ({_NAMES})")

    def in_glob(self, pattern: str) -> None:
        """Files by the language in their names, which is the same everywhere in a path."""
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
                self._skip(path, "a folder: the pattern must match files, such as those in it")
            if match is None or not path.is_file():
                continue
            language = match["language"]
            if pattern.endswith(PLACEHOLDER):
                language = unpacked_name(language)
                if is_suffix(language):
                    self._skip(path, f"{language} is a suffix, not a language")
                    continue
            # An explicit suffix in the pattern is intended, and so is a name without one.
            is_meant = is_spelt or "." not in unpacked_name(path.name)
            if file_format(path) or (is_meant and is_readable_by_name(path)) or self._spec.format:
                self._named.setdefault(language, []).append(path)
            else:
                self._skip(path, why_not_read(path))

    def _listed(self, folder: Path) -> Iterator[Path]:
        """The contents of a folder, sorted; empty if a link leads back to a parent."""
        status = folder.stat()
        if (status.st_dev, status.st_ino) in self._seen:
            self._skip(folder, "a link to a folder that is already read")
            return
        self._seen.add((status.st_dev, status.st_ino))
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue  # a hidden file
            if path.is_dir() or path.is_file():
                yield path
            else:
                self._skip(path, "not a file: a broken link, or a device")

    def _below(self, folder: Path) -> Iterator[Path]:
        """The text files in the folder of a language, at any depth."""
        for path in self._listed(folder):
            if path.is_dir():
                yield from self._below(path)
            elif self._is_text(path):
                yield path

    def _is_text(self, path: Path) -> bool:
        known = file_format(path) is not None or self._spec.format is not None
        if known and not is_about(path):
            return True
        self._skip(path, why_not_read(path))
        return False

    def _has_languages(self, folder: Path) -> bool:
        """Whether a folder without a language's name has subfolders with one."""
        if CODE.fullmatch(folder.name):
            return False
        return any(CODE.fullmatch(path.name) and path.is_dir() for path in folder.iterdir())

    def _skip(self, path: Path, reason: str) -> None:
        self._skipped.append(SkippedFile(path, reason))


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
