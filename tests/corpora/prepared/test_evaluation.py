"""How much of val and test there is for cells, and what is said where it is too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.evaluation import LEAST_BYTES, LEAST_EXCERPTS, TEST_BYTES, VAL_BYTES
from raydt.corpora.prepared.evaluation import evaluation_bytes
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import ControlledCorpus, FilesCorpus, parse_corpus
from raydt.errors import InputError
from tests.corpora.articles import articles, lengths_of, words


def test_too_little_is_an_error_with_the_option_to_type(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "small", lengths_of(60, 300, 400))
    with pytest.raises(InputError) as caught:
        prepare_language(locate(corpus), "en", 1, None, None, root)
    val, test = caught.value.problems
    assert (val.what, test.what) == ("val of en", "test of en")
    typed = f"{corpus.name}?val_share=0.25&test_share=0.25"
    assert f"hold out more (--corpus '{typed}')" in val.expected
    assert "--protocol.val-bytes 3k" in val.expected
    assert "in 9, of" in val.got
    # What it says helps.
    language = prepare_language(locate(parse_corpus(typed)), "en", 1, None, None, root)
    assert evaluation_bytes(language, "val", None) >= LEAST_BYTES
    assert language.manifest.splits["val"].num_excerpts >= LEAST_EXCERPTS
    least = prepare_language(locate(corpus), "en", 1, 3_000, 3_000, root)
    assert evaluation_bytes(least, "val", 3_000) == 3_000


def test_one_file_is_told_that_lines_may_be_documents(tmp_path: Path, root: Path) -> None:
    spec = FilesCorpus(tmp_path, documents="paragraph")
    (tmp_path / "en.txt").write_text("\n\n".join(words(i, 2_800) for i in range(5)))
    with pytest.raises(InputError, match="use lines as documents, if they are") as caught:
        prepare_language(locate(spec), "en", 1, None, None, root)
    assert "add text" in caught.value.problems[0].expected


def test_what_is_named_must_be_there_and_what_is_not_follows(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "long", lengths_of(115, 3_500, 9_000))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    stored = {split: each.num_bytes for split, each in language.manifest.splits.items()}
    assert evaluation_bytes(language, "val", None) == min(VAL_BYTES, stored["val"])
    assert evaluation_bytes(language, "test", None) == min(TEST_BYTES, stored["test"])
    with pytest.raises(InputError, match="200000 bytes") as caught:
        prepare_language(locate(corpus), "en", 1, None, 200_000, root)
    assert caught.value.problems[0].what == "test of en"
    assert check_corpus(locate(corpus), {"en": 1}, None, None) == []
    size = corpus.file("en").stat().st_size
    assert check_corpus(locate(corpus), {"en": size - LEAST_BYTES}, None, None)


def test_a_controlled_language_is_as_long_as_a_cell_may_read(root: Path) -> None:
    language = prepare_language(locate(ControlledCorpus()), "alba", 2_000, None, None, root)
    assert evaluation_bytes(language, "val", None) == VAL_BYTES
    assert evaluation_bytes(language, "test", None) == TEST_BYTES
    few = prepare_language(locate(ControlledCorpus()), "alba", 2_000, 8_000, 8_000, root)
    assert few.val(8_000).tobytes() == language.val(VAL_BYTES)[:8_000].tobytes()
