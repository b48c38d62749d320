"""Which files are the text of each language."""

from __future__ import annotations

from pathlib import Path

from raydt.corpora.controlled.languages import LANGUAGES
from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.locate import Corpus, locate
from raydt.corpora.spec import ControlledCorpus, FilesCorpus, HubCorpus


def names(corpus: Corpus, language: str) -> list[str]:
    """The files of a language, as they are named below the folder."""
    assert isinstance(corpus.spec, FilesCorpus)
    return [path.relative_to(corpus.spec.path).as_posix() for path in corpus.files[language]]


def test_all_that_is_named_as_a_language_is_read_as_one_text(tmp_path: Path) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "none").mkdir()
    found = ("de.txt", "de.jsonl.gz", "de/b.parquet", "de/a.txt", "de.AT.txt")
    for name in (*found, "de.md", "none/de.md", ".txt"):
        (tmp_path / name).write_text("x\n")
    corpus = locate(FilesCorpus(tmp_path))
    assert corpus.languages == ["de", "de.AT"]
    assert names(corpus, "de") == ["de.jsonl.gz", "de.txt", "de/a.txt", "de/b.parquet"]
    assert names(corpus, "de.AT") == ["de.AT.txt"]


def test_a_link_to_nothing_is_no_language(tmp_path: Path) -> None:
    (tmp_path / "de.txt").symlink_to(tmp_path / "nothing.txt")
    (tmp_path / "en.txt").write_text("x\n")
    corpus = locate(FilesCorpus(tmp_path))
    assert corpus.languages == ["en"]
    (problem,) = check_corpus(corpus, {"de": 1}, 0, 0)
    assert ": en. Skipped: de.txt: not a file: a broken link" in problem.expected


def test_a_corpus_that_is_no_files_has_none() -> None:
    assert locate(ControlledCorpus()) == Corpus(ControlledCorpus(), {})
    assert locate(ControlledCorpus()).languages == list(LANGUAGES)
    assert locate(HubCorpus("owner/data")).languages == []


def test_a_glob_names_the_files_of_a_language(tmp_path: Path) -> None:
    for name in ("c4-en.000.txt", "c4-en.001.txt", "c4-de.000.txt", "c4-de.000.bak", "c4-.0.txt"):
        (tmp_path / name).write_text(f"{name}\n" * 3)
    spec = FilesCorpus(tmp_path / "c4-{language}.[0-9]*.txt")
    assert locate(spec).languages == ["de", "en"]
    assert [path.name for path in locate(spec).files["en"]] == ["c4-en.000.txt", "c4-en.001.txt"]
    assert "e" not in locate(spec).files
    nested = FilesCorpus(tmp_path / "{language}" / "**" / "{language}-*.txt")
    (tmp_path / "fi" / "a").mkdir(parents=True)
    (tmp_path / "fi" / "a" / "fi-1.txt").write_text("x\n")
    (tmp_path / "fi" / "a" / "sv-1.txt").write_text("x\n")
    assert [path.name for path in locate(nested).files["fi"]] == ["fi-1.txt"]
    (problem,) = check_corpus(locate(FilesCorpus(tmp_path / "{language}.gz")), {"en": 1}, 0, 0)
    assert problem.got == "no file"
