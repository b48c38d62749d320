from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import ControlledCorpus, CorpusSpec, FilesCorpus
from raydt.errors import Problem


def only(spec: CorpusSpec, language: str, num_bytes: int = 1) -> Problem:
    (problem,) = check_corpus(locate(spec), {language: num_bytes}, 0, 0)
    return problem


def test_a_good_corpus_has_no_problems(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("hello\n" * 100)
    assert check_corpus(locate(FilesCorpus(tmp_path)), {"en": 400}, 100, 100) == []
    assert check_corpus(locate(ControlledCorpus()), {"alba": 10**9}, 10**6, 10**6) == []


def test_languages_are_the_names_of_the_text_files(tmp_path: Path) -> None:
    for name in ("pt.txt", "de.txt", "de_AT.v2.txt", "SOURCES.md", ".txt", ".en.txt", "ço.txt"):
        (tmp_path / name).write_text("x\n")
    assert locate(FilesCorpus(tmp_path)).languages == ["de", "de_AT.v2", "pt"]
    assert locate(FilesCorpus(tmp_path / "absent")).languages == []


def test_an_absent_folder_is_one_problem_and_not_one_a_language(tmp_path: Path) -> None:
    spec = FilesCorpus(tmp_path / "absent")
    (problem,) = check_corpus(locate(spec), {"en": 1, "de": 1}, 0, 0)
    assert str(tmp_path / "absent") in problem.what
    assert problem.got == "nothing there"
    (tmp_path / "file").write_text("x")
    assert only(FilesCorpus(tmp_path / "file"), "en").got == "a file"


def test_an_unknown_language_is_shown_those_there_are(tmp_path: Path) -> None:
    problem = only(ControlledCorpus(), "unrelatd")
    assert "related, unrelated, nonsense, alba, brio" in problem.expected
    assert "did you mean unrelated" in problem.got
    assert "did you mean" not in only(ControlledCorpus(), "zz").got
    assert "no languages" in only(FilesCorpus(tmp_path), "en").expected


@pytest.mark.parametrize("language", ["", "..", "a/b", "../en", "e n", ".en", "ço", "en\n"])
def test_odd_names_are_refused_before_they_meet_a_path(tmp_path: Path, language: str) -> None:
    assert only(FilesCorpus(tmp_path), language).expected.startswith("a name of letters")


def test_sizes_are_seen_without_reading(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_bytes(b"\xff" * 999)
    (tmp_path / "de.txt").write_bytes(b"")
    spec = FilesCorpus(tmp_path)
    assert check_corpus(locate(spec), {"en": 800}, 100, 100) == []
    (problem,) = check_corpus(locate(spec), {"en": 801}, 100, 100)
    assert str(tmp_path / "en.txt") in problem.what
    wanted = "801 bytes to train on (--pretrain-size and --sizes) and 200 of val and test"
    assert problem.expected == wanted
    assert problem.got == "999 bytes"
    assert only(spec, "de").got == "an empty file"


def test_all_problems_come_together(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("short\n")
    (tmp_path / "de.txt").write_text("")
    train_bytes = {"en": 1000, "de": 1, "fr": 1, "a/b": 1}
    problems = check_corpus(locate(FilesCorpus(tmp_path)), train_bytes, 0, 0)
    assert len(problems) == 4


def test_checking_is_cheap_to_import() -> None:
    heavy = "{'torch', 'ray', 'mlflow', 'pandas', 'scipy', 'pyarrow', 'pydantic'}"
    program = f"import sys, raydt.corpora.sources.check; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
