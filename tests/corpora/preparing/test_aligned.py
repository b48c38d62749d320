"""Line-parallel corpora: what one language drops, all drop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raydt.corpora.prepared.inventory import prepared_languages
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.prepared.manifest import BLANK_SOMEWHERE, REPEATED_SOMEWHERE
from raydt.corpora.preparing.few import split_few
from raydt.corpora.preparing.parallel import prepare_parallel
from raydt.corpora.preparing.prepare import prepare_corpus, prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.corpora.splits import SPLITS, SplitRule, split_documents
from raydt.errors import InputError

NUM_LINES = 400
FEW = split_few([1] * NUM_LINES, SplitRule(), is_parallel=True)


def text_of(language: str) -> list[str]:
    """Lines that no two of are alike, each with its number at its beginning."""
    rng = np.random.default_rng(len(language) + ord(language[0]))
    words = ["".join(rng.choice(list("abcdefghij"), 7)) for _ in range(3000)]
    return [f"{number} {' '.join(rng.choice(words, 60))}" for number in range(NUM_LINES)]


@pytest.fixture
def corpus(tmp_path: Path) -> FilesCorpus:
    """`de` says in train what it says in test, `en` is blank in one line, `fi` is clean."""
    folder = tmp_path / "bible"
    folder.mkdir()
    splits = split_documents(NUM_LINES, FEW)
    texts = {language: text_of(language) for language in ("de", "en", "fi")}
    held_out, again = int(splits["test"][0]), int(splits["train"][5])
    texts["de"][again] = f"{again} {texts['de'][held_out].partition(' ')[2]}"
    texts["en"][int(splits["train"][9])] = "  "
    for language, lines in texts.items():
        (folder / f"{language}.txt").write_text("".join(f"{line}\n" for line in lines))
    return FilesCorpus(folder, aligned="yes")


def numbers(language: PreparedLanguage) -> list[list[int]]:
    """The numbers of the lines of each split, in their order."""
    streams = [(language.folder / f"{split}.bin").read_bytes() for split in SPLITS]
    return [
        [int(document.split()[0]) for document in stream.split(b"\0")[:-1]] for stream in streams
    ]


def test_a_line_that_one_language_drops_is_dropped_in_all(corpus: FilesCorpus, root: Path) -> None:
    prepared = prepare_corpus(locate(corpus), dict.fromkeys(("de", "en", "fi"), 1), 1, 1, root)
    kept = {name: numbers(language) for name, language in prepared.items()}
    assert kept["de"] == kept["en"] == kept["fi"]
    assert sum(map(len, kept["fi"])) == NUM_LINES - 2
    splits = split_documents(NUM_LINES, FEW)
    gone = {int(splits["train"][5]), int(splits["train"][9])}
    assert kept["fi"][0] == [i for i in splits["train"].tolist() if i not in gone]
    for language in prepared.values():
        dropped = {key: n for key, n in language.manifest.dropped.items() if n}
        assert dropped == {BLANK_SOMEWHERE: 1, REPEATED_SOMEWHERE: 1}
        assert language.manifest.source.num_documents == NUM_LINES
    assert [entry.num_duplicates for entry in prepared_languages(root)] == [1, 1, 1]


def test_a_language_is_the_same_whoever_is_prepared_with_it(
    corpus: FilesCorpus, root: Path, tmp_path: Path
) -> None:
    alone = prepare_language(locate(corpus), "fi", 1, 1, 1, tmp_path / "alone")
    together = prepare_parallel(
        locate(corpus),
        dict.fromkeys(("de", "en", "fi"), 1),
        1,
        1,
        root,
        2,
        lambda *_: None,
        lambda _: None,
    )
    assert alone.manifest == together["fi"].manifest
    # Not aligned it keeps the lines the others lose, and is kept in another folder.
    own = prepare_language(locate(FilesCorpus(corpus.path)), "fi", 1, 1, 1, root)
    assert own.manifest.num_documents == NUM_LINES
    assert own.folder != together["fi"].folder


def test_another_text_of_one_language_changes_the_others(corpus: FilesCorpus, root: Path) -> None:
    before = prepare_language(locate(corpus), "fi", 1, 1, 1, root)
    again = prepare_language(locate(corpus), "fi", 1, 1, 1, root)
    assert again.manifest == before.manifest
    path = corpus.file("en")
    path.write_text(path.read_text().replace("\n  \n", "\nno longer blank at all\n"))
    after = prepare_language(locate(corpus), "fi", 1, 1, 1, root)
    assert after.manifest.num_documents == before.manifest.num_documents + 1


def test_languages_of_different_length_are_not_aligned(corpus: FilesCorpus, root: Path) -> None:
    path = corpus.file("en")
    path.write_text(path.read_text() + "one more\n")
    with pytest.raises(InputError, match="400 documents, like the languages") as caught:
        prepare_language(locate(corpus), "fi", 1, 1, 1, root)
    (problem,) = caught.value.problems
    assert problem.what.startswith("en of ")
    assert problem.got.startswith("401 documents; they diverge at about document ")
