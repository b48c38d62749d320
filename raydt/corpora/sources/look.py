"""A preview of how a corpus would be read, from the beginnings of its files, within a second."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from raydt.corpora.options import UTF8
from raydt.corpora.sources.check import check_language
from raydt.corpora.sources.files import format_of, read_file
from raydt.corpora.sources.formats import bare_name, compression
from raydt.corpora.sources.kinds import is_split, mixed_kinds
from raydt.corpora.sources.locate import Corpus
from raydt.corpora.spec import FilesCorpus
from raydt.errors import InputError

_LOOK_BYTES = 2**16  # read of a text at a time
_ROWS_SECONDS = 0.3  # for counting the rows of many parquet files
_SAMPLES = 3
_COUNTED_BYTES = 2**24  # of text whose lines are counted, which takes milliseconds
_MOSTLY = 0.9
_FEW_RETURNS = 3
_NUMBERED = re.compile(rb"\s*\d+\t")
_PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<error>")
_TAG_BYTES = 20
# A language's code: de, pt_BR, deu_Latn.
_LETTERS = re.compile(r"[a-z]{2}([_-]([A-Z]{2}|[A-Z][a-z]{3}))*|[a-z]{3}_[A-Z][a-z]{3}")


@dataclass(frozen=True)
class LanguageFiles:
    """A preview of a language."""

    language: str
    files: tuple[Path, ...]
    num_bytes: int  # as stored
    formats: tuple[str, ...]  # such as "txt (gzip)"
    num_rows: int | None = None  # including blank ones; None if unknown
    is_counted: bool = False  # False: estimated from the first rows
    samples: tuple[str, ...] = ()  # the first documents
    problem: str | None = None  # why it cannot be read as it is
    notes: tuple[str, ...] = ()  # why it is probably meant differently


def look(corpus: Corpus, languages: Sequence[str], seconds: float) -> list[LanguageFiles]:
    """A preview of each language; no more files are opened once `seconds` have passed."""
    assert isinstance(corpus.spec, FilesCorpus)
    until = time.monotonic() + seconds
    return [_look_at(corpus, corpus.spec, name, time.monotonic() < until) for name in languages]


def notes(documents: Sequence[bytes], spec: FilesCorpus, paths: Sequence[Path]) -> list[str]:
    """Why the first documents of a language are probably not the intended text."""
    texts = [text for text in documents if text.strip(b"\0 \t\r\n")]
    if not texts or any(format_of(spec, path) != "txt" for path in paths):
        return []
    found = _as_table(texts) if spec.field is None else []
    if texts[0].lstrip(b"\xef\xbb\xbf \t")[:_TAG_BYTES].lower().startswith(_PAGES):
        found.append(
            "it looks like an HTML or XML page: probably a server's answer instead of a file"
        )
    if any(text.startswith(b"<doc id=") for text in texts):
        found.append(
            "lines such as <doc id=...> are read as text: `wikiextractor --json` writes rows "
            "without them (?format=jsonl)"
        )
    if all(text.count(b"\r") > _FEW_RETURNS for text in texts):
        found.append(
            "lines end in CR only, so all of them are one document: `tr '\\r' '\\n'` converts them"
        )
    if _share(texts, re.compile(rb'\s*\{\s*"')) > _MOSTLY:
        found.append("nearly all lines look like JSON: ?format=jsonl reads a column of them")
    return found


def _as_table(texts: Sequence[bytes]) -> list[str]:
    """A note if nearly all lines have the same number of tabs, with the field of the longest
    text."""
    nums = Counter(text.count(b"\t") for text in texts)
    num_tabs, num = nums.most_common(1)[0]
    if not num_tabs or num <= _MOSTLY * len(texts):
        return []
    rows = [text.split(b"\t") for text in texts if text.count(b"\t") == num_tabs]
    lengths = [sum(map(len, column)) for column in zip(*rows, strict=True)]
    longest = lengths.index(max(lengths))
    begin = " begin with a number and a tab" if _share(texts, _NUMBERED) > _MOSTLY else ""
    said = begin or f" have {num_tabs} tab{'s' if num_tabs > 1 else ''}"
    return [f"nearly all lines{said}: ?field={longest + 1} reads only the longest field"]


def first_documents(spec: FilesCorpus, paths: Sequence[Path]) -> list[bytes]:
    """Some documents at the beginning of the first file that has any."""
    for path in paths:
        for block in read_file(spec, path, block_bytes=_LOOK_BYTES):
            return block.documents.to_pylist()  # type: ignore[no-any-return]
    return []


def _look_at(corpus: Corpus, spec: FilesCorpus, language: str, may_open: bool) -> LanguageFiles:
    paths = corpus.files.get(language, ())
    problems = check_language(corpus, language, 1)
    found = LanguageFiles(
        language=language,
        files=tuple(paths),
        num_bytes=sum(_size(path) for path in paths),
        formats=tuple(dict.fromkeys(_format(spec, path) for path in paths)),
        problem="; ".join(map(str, problems)) or None,
        notes=tuple(notes_on_names(language, paths)),
    )
    if not may_open or not paths:
        return found
    try:
        documents, num_rows, is_counted = _beginning(spec, paths)
    except InputError as error:
        return replace(found, problem=found.problem or str(error))
    # If there are several kinds, the user must choose one first.
    read = [] if mixed_kinds(spec, language, paths) else notes(documents, spec, paths)
    return replace(
        found,
        num_rows=num_rows,
        is_counted=is_counted,
        samples=tuple(_shown(text) for text in documents if text.strip(b"\0 \t\r\n"))[:_SAMPLES],
        notes=(*read, *found.notes, *_blank(documents)),
    )


def notes_on_names(language: str, paths: Sequence[Path]) -> list[str]:
    """Why these files are probably not one text of this language, by their names."""
    found = []
    by_name: dict[Path, list[Path]] = {}
    for path in paths:
        by_name.setdefault(path.with_name(bare_name(path)), []).append(path)
    twice = next((alike for alike in by_name.values() if len(alike) > 1), None)
    if twice is not None:
        found.append(
            f"{' and '.join(path.name for path in twice)} are probably the same text: a pattern "
            f"such as {{language}}{twice[0].name.removeprefix(language)} reads one of them"
        )
    if is_split(language):
        found.append(
            f"{language} is probably a split, not a language: in a folder of its language, such as "
            f"de/{paths[0].name}, ?only={language} reads just it"
        )
    inside = [path for path in paths if path.parent.name == language]
    named = [path for path in inside if _LETTERS.fullmatch(bare_name(path))]
    if named and len(named) == len(paths) and not _LETTERS.fullmatch(language):
        pattern = f"*/{{language}}{named[0].name.removeprefix(bare_name(named[0]))}"
        found.append(f"its files have names of languages: the pattern {pattern} reads them as such")
    return found


def _blank(documents: Sequence[bytes]) -> list[str]:
    if not documents:
        return ["it has no documents"]
    if any(text.strip(b"\0 \t\r\n") for text in documents):
        return []
    return [f"the first {len(documents):,} documents are all blank"]


def _beginning(spec: FilesCorpus, paths: Sequence[Path]) -> tuple[list[bytes], int, bool]:
    """Documents of the first block, the number of rows of all files, and whether it is exact."""
    documents: list[bytes] = []
    num_bytes_read = 0
    is_whole = False
    for path in paths:
        for number, block in enumerate(read_file(spec, path, block_bytes=_LOOK_BYTES)):
            if number:
                break
            documents = block.documents.to_pylist()
            num_bytes_read = block.num_bytes_read
        else:
            is_whole = len(paths) == 1
        if documents:
            break
    if all(format_of(spec, path) == "parquet" for path in paths):
        return documents, *_parquet_rows(paths)
    num_bytes = sum(_size(path) for path in paths)
    if (
        not is_whole
        and num_bytes <= _COUNTED_BYTES
        and all(_has_a_row_a_line(spec, path) for path in paths)
    ):
        return documents, sum(_count_lines(path) for path in paths), True
    if is_whole or not num_bytes_read:
        return documents, len(documents), is_whole
    return documents, round(len(documents) * num_bytes / num_bytes_read), False


def _has_a_row_a_line(spec: FilesCorpus, path: Path) -> bool:
    is_plain = spec.encoding == UTF8 and not compression(path)
    return is_plain and format_of(spec, path) == "txt" and spec.documents == "line"


def _count_lines(path: Path) -> int:
    """The number of lines of a file; the last one may lack its newline."""
    data = path.read_bytes()
    return data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


def _parquet_rows(paths: Sequence[Path]) -> tuple[int, bool]:
    """Rows of all files, and whether the number is exact or estimated from those opened in time."""
    until = time.monotonic() + _ROWS_SECONDS
    num_rows = num_bytes = 0
    for path in paths:
        if num_rows and time.monotonic() > until:
            break
        try:
            num_rows += int(pyarrow.parquet.read_metadata(path).num_rows)
        except (OSError, pa.ArrowException):
            continue
        num_bytes += _size(path)
    else:
        return num_rows, True
    return round(num_rows * sum(map(_size, paths)) / max(1, num_bytes)), False


def _share(texts: Sequence[bytes], pattern: re.Pattern[bytes]) -> float:
    return sum(pattern.match(text) is not None for text in texts) / len(texts)


def _format(spec: FilesCorpus, path: Path) -> str:
    packed = compression(path)
    return f"{format_of(spec, path)}{f' ({packed})' if packed else ''}"


def _shown(text: bytes) -> str:
    return " ".join(text.rstrip(b"\0").decode("utf-8", "replace").split())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
