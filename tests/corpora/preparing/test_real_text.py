"""Real text: ten languages of one book, and a hundred long articles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raydt.config.evaluation import TEST_BYTES, VAL_BYTES
from raydt.corpora.prepared.evaluation import evaluation_bytes
from raydt.corpora.prepared.manifest import REPEATED_SOMEWHERE
from raydt.corpora.preparing.parallel import prepare_parallel
from raydt.corpora.preparing.prepare import prepare_corpus, prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.corpora.splits import SPLITS

NAMES = ("ar", "de", "en", "es", "fi", "ja", "ko", "pt", "ru", "zh")


@pytest.fixture
def shared_corpora() -> FilesCorpus:
    beside = Path(__file__).parents[3].parent / "shared"
    folder = Path(os.environ.get("RAYDT_SHARED", beside)) / "corpora"
    if not folder.is_dir():
        pytest.skip(f"real text is not here: {folder} is absent (RAYDT_SHARED names its parent)")
    return FilesCorpus(folder, aligned="yes")


def test_ten_real_languages_prepared_twice_are_equal(
    shared_corpora: FilesCorpus, tmp_path: Path
) -> None:
    names = NAMES
    # As one `raydt prepare` does, once in two processes and once in this one.
    train_bytes = dict.fromkeys(names, 1_900_000)
    first = prepare_parallel(
        locate(shared_corpora),
        train_bytes,
        80_000,
        80_000,
        tmp_path / "first",
        2,
        lambda *_: None,
        lambda _: None,
    )
    second = prepare_corpus(
        locate(shared_corpora), train_bytes, 80_000, 80_000, tmp_path / "second"
    )
    digests = {name: first[name].digest(1_900_000, 80_000, 80_000) for name in names}
    assert len(set(digests.values())) == len(names)
    assert digests == {name: second[name].digest(1_900_000, 80_000, 80_000) for name in names}
    for name in names:
        splits = first[name].manifest.splits
        manifest = first[name].manifest
        # Line-parallel text, nothing odd in it. Some chapters are told twice (2 Kings 19 is
        # Isaiah 37): where they fall into two splits, one of the two is dropped, in all languages
        # even if only one has them in the same words.
        assert manifest.source.num_documents == 829
        num_dropped = sum(manifest.dropped.values())
        assert {key for key, number in manifest.dropped.items() if number} == {REPEATED_SOMEWHERE}
        assert num_dropped == first["en"].manifest.dropped[REPEATED_SOMEWHERE] < 5
        assert sum(splits[split].num_documents for split in SPLITS) == 829 - num_dropped
        # A separator for every newline.
        size = shared_corpora.file(name).stat().st_size
        assert 0.98 * size < (manifest.source.num_text_bytes or 0) <= size - 829
        contamination = manifest.contamination
        assert contamination.among == names
        assert (contamination.foreign(name) or 0) < 0.01
    assert len({first[name].manifest.num_documents for name in names}) == 1
    width = {name: first[name].manifest.splits["train"].bytes_per_character for name in names}
    assert width["en"] == pytest.approx(1, abs=0.05)
    assert width["ru"] == pytest.approx(1.8, abs=0.1)
    assert width["zh"] == pytest.approx(3, abs=0.1)


def test_a_hundred_long_articles_of_real_text(
    shared_corpora: FilesCorpus, tmp_path: Path, root: Path
) -> None:
    chapters = shared_corpora.file("fi").read_text("utf-8").splitlines()
    folder = tmp_path / "articles"
    folder.mkdir()
    # Seven chapters make an article of 25 kB.
    joined = [" ".join(chapters[first : first + 7]) for first in range(0, 805, 7)]
    (folder / "fi.txt").write_text("".join(f"{article}\n" for article in joined))
    language = prepare_language(locate(FilesCorpus(folder)), "fi", 128_000, None, None, root)
    splits = language.manifest.splits
    assert len(joined) == 115
    assert splits["train"].num_bytes > 0.8 * (language.manifest.source.num_text_bytes or 0)
    assert splits["val"].num_documents >= 50
    assert splits["test"].num_documents >= 50
    assert evaluation_bytes(language, "val", None) == VAL_BYTES
    assert evaluation_bytes(language, "test", None) == TEST_BYTES
    for split, num_bytes in (("val", VAL_BYTES), ("test", TEST_BYTES)):
        pieces_read = language.prefix(split, num_bytes).tobytes().split(b"\0")  # type: ignore[arg-type]
        heads = [piece[:60].decode("utf-8", "ignore") for piece in pieces_read[:-1]]
        whose = {i for head in heads for i, article in enumerate(joined) if head in article}
        assert len(whose) >= 25
