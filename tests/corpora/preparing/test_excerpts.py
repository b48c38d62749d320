"""Held-out documents in pieces, so that any beginning of a split has many of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydt.corpora.preparing.excerpts import cut, num_pieces, pieces
from raydt.corpora.preparing.few import FEW
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.documents import from_list
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import parse_corpus
from raydt.corpora.splits import SPLITS
from tests.corpora.articles import articles, lengths_of, split_texts

# Texts with characters of one to four bytes.
TEXTS = st.text(st.sampled_from("ab ß日😀"), min_size=1, max_size=900)


@given(st.lists(TEXTS, min_size=1, max_size=12), st.integers(100, 300), st.data())
@settings(deadline=None)
def test_no_byte_is_lost_by_rounds(texts: list[str], excerpt_bytes: int, data: Any) -> None:
    documents = from_list([text.encode() for text in texts])
    drawn = st.lists(st.floats(0, 1, exclude_max=True), min_size=len(texts), max_size=len(texts))
    places = np.array(data.draw(drawn))
    most = int(num_pieces(documents, excerpt_bytes).max())
    found: list[bytes] = []
    begin, end = 0, 1
    while begin < most:
        made = pieces(documents, places, excerpt_bytes, begin, end)
        found += made.to_pylist()
        if begin == 0:
            assert len(made) == len(texts)
            assert max(map(len, made.to_pylist())) <= 1.5 * excerpt_bytes + 4
        begin, end = end, 2 * end
    for piece in found:
        piece.decode()
        assert piece.endswith(b"\0")
    # Once each: the same bytes in all, and every piece in a text.
    together = b"".join(found).replace(b"\0", b"")
    assert sorted(together) == sorted("".join(texts).encode())
    assert all(any(piece[:-1] in text.encode() for text in texts) for piece in found)


def test_pieces_are_cut_where_characters_begin() -> None:
    documents = from_list(["日本語".encode(), b"abc"])
    owners = np.array([0, 0, 1])
    made = cut(documents, owners, np.array([0, 5, 1]), np.array([5, 9, 3]))
    assert made.to_pylist() == ["日\0".encode(), "本語\0".encode(), b"bc\0"]


@pytest.mark.parametrize("num", [115, 300, 1100])
def test_a_prefix_has_many_documents(tmp_path: Path, root: Path, num: int) -> None:
    corpus = articles(tmp_path / "long", lengths_of(num, 4_000, 8_000))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    documents = corpus.file("en").read_text().splitlines()
    for split in ("val", "test"):
        stored = language.manifest.splits[split].num_documents
        for num_bytes in (8_000, 32_000):
            data = language.prefix(split, num_bytes).tobytes()
            heads = [piece[:40].decode("utf-8", "ignore") for piece in data.split(b"\0")[:-1]]
            found = {
                i for head in heads for i, document in enumerate(documents) if head in document
            }
            # Pieces are of a kilobyte, give or take a half.
            assert len(found) >= min(stored, num_bytes // 1500)


def test_excerpts_of_0_bytes_are_whole_documents(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "long", lengths_of(FEW + 100, 2_000, 4_000))
    whole = parse_corpus(f"{corpus.name}?excerpt_bytes=0")
    language = prepare_language(locate(whole), "en", 1, None, None, root)
    documents = set(corpus.file("en").read_text().splitlines())
    texts = split_texts(language)
    assert all(set(texts[split]) <= documents for split in SPLITS)
    cut_up = prepare_language(locate(corpus), "en", 1, None, None, root)
    for split in ("val", "test"):
        ours, theirs = cut_up.manifest.splits[split], language.manifest.splits[split]
        assert ours.num_documents == theirs.num_documents == theirs.num_excerpts
        assert ours.num_excerpts > 2 * ours.num_documents
        assert ours.num_characters == theirs.num_characters
    assert (cut_up.folder / "train.bin").read_bytes() == (
        language.folder / "train.bin"
    ).read_bytes()
