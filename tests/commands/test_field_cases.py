"""What is typed, and what is said: small things of the command line that people reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.cli import main
from tests.corpora.articles import articles, lengths_of


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    code = main(list(words))
    shown = capsys.readouterr()
    return code, (shown.err if code else shown.out).splitlines()


def test_articles_of_5_kb_have_splits_that_will_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, language in enumerate(("pt", "de")):
        articles(tmp_path / "texts", lengths_of(115, 4_500, 5_900), language, seed)
    words = ["--corpus", f"files:{tmp_path / 'texts'}", "--storage", str(tmp_path / "runs")]
    sweep = "--sources pt --targets de --sizes 8k 32k 64k --pretrain-size 300k".split()
    assert said(capsys, "plan", *words, *sweep)[0] == 0
    code, shown = said(capsys, "prepare", *words, "--train-bytes", "300k", "--jobs", "1")
    assert code == 0
    assert sum("pt " in line or "de " in line for line in shown) == 2


def test_the_bytes_of_test_by_the_name_one_types(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, shown = said(capsys, "plan", "--test-bytes", "16k", "--storage", str(tmp_path))
    assert code == 0
    assert "16k" in " ".join(shown)


def test_a_size_that_is_none_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = said(capsys, "plan", "--sizes", "8x")
    assert code == 2
    assert len(shown) == 1
    assert shown[0].startswith("error sizes:")


def test_a_folder_that_is_not_there_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = f"files:{tmp_path / 'absent'}"
    words = ["--corpus", corpus, "--sources", "en", "fi", "--targets", "de"]
    code, shown = said(capsys, "plan", *words)
    assert code == 2
    assert len(shown) == 1
    assert "got nothing there" in shown[0]
