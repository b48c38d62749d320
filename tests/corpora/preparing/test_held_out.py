"""`val` and `test` that stand for the language: of few documents, and of long ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raydt.config.evaluation import LEAST_BYTES
from raydt.corpora.preparing import buckets
from raydt.corpora.preparing.buckets import GAPS
from raydt.corpora.preparing.few import FLOOR, GAP_BYTES
from raydt.corpora.preparing.prepare import prepare_corpus, prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus, parse_corpus
from raydt.corpora.splits import SPLITS, Split, SplitKeys, SplitRule
from tests.corpora.articles import articles, lengths_of, split_texts, words

WINDOW_BYTES = 64


def text_windows(texts: list[str], step: int) -> set[bytes]:
    return {
        each[at : at + WINDOW_BYTES]
        for each in (text.encode() for text in texts)
        for at in range(0, len(each) - WINDOW_BYTES, step)
    }


@pytest.mark.parametrize(
    ("num", "low", "high"),
    [
        (115, 3_500, 9_000),
        (115, 20_000, 40_000),
        (80, 3_500, 9_000),
        (40, 3_500, 9_000),
        (10, 20_000, 40_000),
        (1, 400_000, 500_000),
    ],
)
def test_few_long_documents_give_excerpts(
    tmp_path: Path, root: Path, num: int, low: int, high: int
) -> None:
    corpus = articles(tmp_path / "long", lengths_of(num, low, high))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    documents = corpus.file("en").read_text().splitlines()
    total = sum(len(document.encode()) for document in documents)
    splits = language.manifest.splits
    texts = split_texts(language)
    for split in ("val", "test"):
        assert splits[split].num_documents >= min(num, FLOOR)
        assert splits[split].num_excerpts == len(texts[split]) >= FLOOR
        assert LEAST_BYTES <= splits[split].num_bytes < 0.15 * total
    assert splits["train"].num_documents == num
    assert splits["train"].num_bytes > 0.7 * total
    # Each excerpt stands in one document, and nothing is in two splits.
    for split in SPLITS:
        assert all(sum(each in document for document in documents) == 1 for each in texts[split])
    num_gap_bytes = language.manifest.dropped[GAPS]
    assert 0 < num_gap_bytes <= 2 * GAP_BYTES * (splits["val"].num_excerpts * 2 + num * 2)
    stored = sum(len(each.encode()) for split in SPLITS for each in texts[split])
    assert stored + num_gap_bytes == total
    # Any text in two splits that is eight bytes longer than a window would be seen.
    train, val, test = (
        text_windows(texts[split], step) for split, step in zip(SPLITS, (8, 1, 1), strict=True)
    )
    assert not train & val
    assert not train & test
    assert not val & test


def test_between_an_excerpt_and_train_there_is_a_gap(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "long", lengths_of(80))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    documents = [line.encode() for line in corpus.file("en").read_text().splitlines()]
    texts = split_texts(language)
    whose: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for split in SPLITS:
        for text in texts[split]:
            (index,) = (i for i, document in enumerate(documents) if text.encode() in document)
            begin = documents[index].find(text.encode())
            spans = whose.setdefault(index, {name: [] for name in SPLITS})
            spans[split].append((begin, begin + len(text.encode())))
    for spans in whose.values():
        # 80 are enough for each to give to one split alone.
        assert not (spans["val"] and spans["test"])
        for begin, end in spans["val"] + spans["test"]:
            for low, high in spans["train"]:
                assert high <= begin - GAP_BYTES + 4 or low >= end + GAP_BYTES - 4


@pytest.mark.parametrize("num", [40, 80, 150, 250, 600])
def test_few_short_documents_are_held_out_whole(tmp_path: Path, root: Path, num: int) -> None:
    corpus = articles(tmp_path / "short", lengths_of(num, 700, 1_400))
    language = prepare_language(locate(corpus), "en", 1, 1_000, 1_000, root)
    documents = corpus.file("en").read_text().splitlines()
    texts = split_texts(language)
    assert language.manifest.dropped.get(GAPS, 0) == 0
    assert sorted(text for split in SPLITS for text in texts[split]) == sorted(documents)
    expected = max(round(0.05 * num), min(FLOOR, int(0.15 * num)))
    for split in ("val", "test"):
        assert language.manifest.splits[split].num_documents == expected


def test_parallel_documents_are_held_out_whole_and_in_all_languages(
    tmp_path: Path, root: Path
) -> None:
    folder = tmp_path / "parallel"
    lengths = lengths_of(115, 3_500, 9_000)
    articles(folder, lengths, "en", 0)
    articles(folder, [n // 2 for n in lengths], "de", 1)
    corpus = FilesCorpus(folder, aligned="yes")
    prepared = prepare_corpus(locate(corpus), {"en": 1, "de": 1}, None, None, root)
    where: dict[str, dict[Split, set[int]]] = {}
    for name, language in prepared.items():
        documents = corpus.file(name).read_text().splitlines()
        where[name] = {
            split: {i for text in texts for i, doc in enumerate(documents) if text in doc}
            for split, texts in split_texts(language).items()
        }
        assert language.manifest.splits["val"].num_documents == int(0.15 * 115)
    assert where["en"] == where["de"]
    assert sum(map(len, where["en"].values())) == 115
    assert not where["en"]["train"] & (where["de"]["val"] | where["de"]["test"])


def test_a_copy_of_an_article_does_not_bring_its_excerpt_to_train(
    tmp_path: Path, root: Path
) -> None:
    folder = tmp_path / "copies"
    corpus = articles(folder, lengths_of(80))
    text = corpus.file("en").read_text()
    # A copy of every tenth, and one within a longer document.
    lines = text.splitlines()
    copies = [*lines[::10], f"{words(99, 3000)} {lines[5]} {words(98, 3000)}"]
    corpus.file("en").write_text(text + "".join(f"{line}\n" for line in copies))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    texts = split_texts(language)
    dropped = language.manifest.dropped
    assert dropped["train documents near one of val or test"] >= len(copies)
    train = "\0".join(texts["train"])
    assert not any(each in train for each in (*texts["val"], *texts["test"]))


def test_interrupted_and_taken_up_again_they_are_the_same(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = articles(tmp_path / "long", lengths_of(115))
    whole = prepare_language(locate(corpus), "en", 1, None, None, tmp_path / "whole")
    monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 10_000)
    monkeypatch.setattr(buckets, "_CHECKPOINT_BYTES", 1)
    monkeypatch.setattr(buckets, "_CHECKPOINT_SECONDS", 0)
    num_left = [30]

    def stop(*_: object) -> None:
        num_left[0] -= 1
        if num_left[0] == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_language(locate(corpus), "en", 1, None, None, root, stop)
    work = next(root.glob(".work/*/en"))
    assert json.loads((work / "plan.json").read_text())["lengths"]
    assert (work / "buckets" / "checkpoint.json").exists()
    again = prepare_language(locate(corpus), "en", 1, None, None, root)
    assert again.manifest.splits == whole.manifest.splits
    assert again.manifest.dropped == whole.manifest.dropped


def test_documents_too_long_to_be_held_are_read_twice(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = articles(tmp_path / "long", lengths_of(60))
    whole = prepare_language(locate(corpus), "en", 1, None, None, tmp_path / "whole")
    monkeypatch.setattr("raydt.corpora.preparing.shuffle._LOOK_AHEAD_BYTES", 1)
    assert prepare_language(locate(corpus), "en", 1, None, None, root).manifest == whole.manifest


def test_shares_and_seed_are_options(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "short", lengths_of(300, 200, 400))
    kept = {}
    for options in ("?val_share=0.2&test_share=0.3", "?val_share=0.2&test_share=0.3&split_seed=7"):
        spec = parse_corpus(f"{corpus.name}{options}")
        assert spec.name == f"{corpus.name}{options}"
        language = prepare_language(locate(spec), "en", 1, None, None, root)
        numbers = {split: each.num_documents for split, each in language.manifest.splits.items()}
        assert numbers == {"train": 150, "val": 60, "test": 90}
        kept[options] = split_texts(language)
    first, second = kept.values()
    assert first["test"] != second["test"]
    # Of many the share is that of the random numbers.
    split, _ = SplitKeys(0, SplitRule(0.2, 0.3)).draw(20_000)
    assert np.bincount(split) / 20_000 == pytest.approx([0.5, 0.2, 0.3], abs=0.02)
