"""Sentences of a treebank (CoNLL-U) as documents, without annotations."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from conllu import parse_incr
from conllu.exceptions import ParseException
from conllu.models import TokenList

from raydt.corpora.options import Unit
from raydt.corpora.sources.documents import Block, from_column
from raydt.corpora.sources.open_text import Text, open_text
from raydt.corpora.spec import FilesCorpus
from raydt.errors import bad

_SENTENCES = 2**12  # per block
_FIELDS = 10
_BEGINS: dict[Unit, tuple[str, ...]] = {
    "line": (),
    "paragraph": ("newpar", "newdoc", "newpar id", "newdoc id"),
    "file": (),
}


def read_conllu(
    path: Path, spec: FilesCorpus, start: int, block_bytes: int | None = None
) -> Iterator[Block]:
    """The documents of a file from document `start` on: sentences, or paragraphs or the whole file
    with a space between sentences. `InputError` if it is not CoNLL-U."""
    number = 0
    with open_text(path, spec) as text:
        held: list[str] = []
        for document in _documents(path, spec, text):
            number += 1
            if number > start:
                held.append(document)
            if len(held) == (_SENTENCES if block_bytes is None else 16):
                yield _block(held, number, spec, text)
                held = []
        if held:
            yield _block(held, number, spec, text)


def _block(texts: list[str], position: int, spec: FilesCorpus, text: Text) -> Block:
    counts: Counter[str] = Counter()
    documents = from_column(pa.array(texts, pa.large_string()), spec.normalise, counts)
    return Block(documents, {"offset": position}, text.num_bytes_read, counts)


def _documents(path: Path, spec: FilesCorpus, text: Text) -> Iterator[str]:
    begins = _BEGINS[spec.documents]
    held: list[str] = []
    number = 0
    stream = io.TextIOWrapper(io.BufferedReader(_Raw(text)), "utf-8")
    try:
        for sentence in parse_incr(stream):
            if sentence and len(sentence[0]) != _FIELDS:
                raise ValueError(f"{len(sentence[0])} fields per line instead of {_FIELDS}")
            number += 1
            is_first = any(name in sentence.metadata for name in begins)
            if held and (spec.documents == "line" or is_first):
                yield " ".join(held)
                held = []
            held.append(_text(sentence))
    except (ParseException, UnicodeDecodeError, ValueError) as error:
        found = f"{str(error).splitlines()[0][:200]} after sentence {number}"
        raise bad(f"file {path}", "CoNLL-U in UTF-8", found) from error
    if held:
        yield " ".join(held)


def _text(sentence: TokenList) -> str:
    """The text of a sentence, or its words joined if the text is not given."""
    said = sentence.metadata.get("text")
    if said:
        return str(said)
    words, last = [], 0
    for token in sentence:
        first, end = _span(token["id"])
        if first <= last or token["form"] is None:
            continue  # a part of a multiword token, or an empty node
        last = end
        is_apart = (token.get("misc") or {}).get("SpaceAfter") != "No"
        words.append(f"{token['form']} " if is_apart else token["form"])
    return "".join(words).strip()


def _span(number: object) -> tuple[int, int]:
    """The words of a line: `3`, `3-4`; none for an empty node (`3.1`)."""
    if isinstance(number, int):
        return number, number
    if isinstance(number, tuple) and number[1] == "-":
        return int(number[0]), int(number[2])
    return 0, 0


class _Raw(io.RawIOBase):
    """Adapts a text to the standard library's I/O."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; 0 at the end."""
        held = self._held or self._text.read(len(buffer))
        now, self._held = held[: len(buffer)], held[len(buffer) :]
        buffer[: len(now)] = now
        return len(now)
