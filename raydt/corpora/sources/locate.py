"""Which files are the text of a language; looks at names only."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Literal, TypeAlias

from raydt.corpora.spec import LANGUAGE_NAME, PLACEHOLDER, FilesCorpus

Format: TypeAlias = Literal["txt", "jsonl", "parquet"]
_SUFFIX = re.compile(r"(?:\.(txt|jsonl)(\.gz|\.zst)?|\.(parquet))$")
SUFFIXES = ".txt, .jsonl (also .gz, .zst) or .parquet"


def file_format(path: Path) -> Format | None:
    """What kind of text a file holds, by its name; `None` of any other file."""
    match = _SUFFIX.search(path.name)
    if match is None:
        return None
    if match[3]:
        return "parquet"
    return "txt" if match[1] == "txt" else "jsonl"


def compression(path: Path) -> Literal["gzip", "zstd"] | None:
    """How a file is compressed, by its name."""
    if path.suffix == ".gz":
        return "gzip"
    return "zstd" if path.suffix == ".zst" else None


def languages(spec: FilesCorpus) -> list[str]:
    """Names of the languages there are, sorted; none where a folder cannot be listed."""
    if spec.is_glob:
        return sorted(_matches(spec))
    if not spec.path.is_dir():
        return []
    names = set()
    for path in spec.path.iterdir():
        if path.is_dir():
            name = path.name if any(map(file_format, path.iterdir())) else ""
        else:
            name = _SUFFIX.sub("", path.name) if file_format(path) else ""
        names.add(name)
    return sorted(name for name in names if LANGUAGE_NAME.fullmatch(name))


def language_files(spec: FilesCorpus, language: str) -> list[Path]:
    """The files of a language in the order they are read; none if there is no such language.

    `de.txt` beside `de.jsonl` or `de/` are all German: more than one is read as one text.
    """
    if spec.is_glob:
        return sorted(_matches(spec).get(language, []))
    if not spec.path.is_dir():
        return []
    single = [
        path
        for path in spec.path.glob(f"{glob.escape(language)}.*")
        if path.is_file() and file_format(path) and _SUFFIX.sub("", path.name) == language
    ]
    folder = spec.path / language
    inside = folder.iterdir() if folder.is_dir() else ()
    return sorted(single) + sorted(path for path in inside if file_format(path))


def _matches(spec: FilesCorpus) -> dict[str, list[Path]]:
    """Files of a glob by the language in their names; a name has the same one everywhere in it."""
    before, *after = str(spec.path).split(PLACEHOLDER)
    pattern = re.compile(
        _expression(before)
        + f"(?P<language>{LANGUAGE_NAME.pattern}?)"  # lazy: `en-0001.txt` is en of {language}-*
        + "(?P=language)".join(map(_expression, after))
    )
    found: dict[str, list[Path]] = {}
    for name in glob.iglob("*".join((before, *after)), recursive=True):  # noqa: PTH207
        match = pattern.fullmatch(name)
        if match is not None and Path(name).is_file() and file_format(Path(name)):
            found.setdefault(match["language"], []).append(Path(name))
    return found


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
