"""`raydt corpora --look`: what would be read of any path, and what would not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from raydt.cli import main


def look(capsys: pytest.CaptureFixture[str], path: object, *words: str) -> tuple[int, str]:
    code = main(["corpora", "--look", str(path), *words])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out + shown.err


def test_it_shows_languages_files_formats_rows_and_first_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "de.txt").write_text("Am Anfang\n" * 50)
    (tmp_path / "fi.jsonl.gz").write_bytes(gzip.compress(b'{"text":"Alussa"}\n' * 7))
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "en.zip").write_text("PK")
    before = sorted(tmp_path.rglob("*"))
    code, shown = look(capsys, tmp_path)
    assert code == 0
    assert "de: de.txt, txt, 500B, 50 documents" in shown
    assert "fi: fi.jsonl.gz, jsonl (gzip)" in shown
    assert "| Am Anfang" in shown
    assert "| Alussa" in shown
    assert "README.txt: about the corpus" in shown
    assert "en.zip: an archive: unpack it" in shown
    assert sorted(tmp_path.rglob("*")) == before
    code, shown = look(capsys, tmp_path / "fi.jsonl.gz")
    assert code == 0
    assert "fi: " in shown
    assert "de: " not in shown
    assert look(capsys, tmp_path, "--languages", "de")[1].count("documents") == 1


def test_it_says_why_a_language_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "de.txt").write_bytes("Привет, мир.\n".encode("utf-16-le") * 50)
    code, shown = look(capsys, tmp_path)
    assert code == 2
    assert "encoding=utf-16-le" in shown
    code, shown = look(capsys, f"files:{tmp_path}?encoding=utf-16-le")
    assert code == 0
    assert "Привет" in shown
    code, shown = look(capsys, tmp_path / "absent")
    assert code == 2
    assert "nothing there" in shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{}\tEin Satz.\n", "?field=2"),
        ("{}\tdeu\tEin Satz.\n", "?field=3"),
        ("de-{}\tEin Satz.\n", "1 tab: ?field=2"),
        ("<!DOCTYPE html>{}\n", "an HTML or XML page"),
        ('<doc id="{}">\n', "wikiextractor"),
        ('{{"text": "{}"}}\n', "?format=jsonl"),
        ("Zeile {}\r", "CR only"),
        ("Im Jahr {}.\n", ""),
    ],
)
def test_it_says_what_is_likely_meant_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    text = "".join(line.format(number) for number in range(1000))
    (tmp_path / "de.txt").write_bytes(text.encode())
    code, shown = look(capsys, tmp_path)
    assert code == 0
    assert ("note: " in shown) == bool(said)
    assert said in shown
    # And so does a preparation.
    words = ["prepare", "--corpus", f"files:{tmp_path}", "--storage", str(tmp_path / "runs")]
    words += ["--val-bytes", "100", "--test-bytes", "100", "--jobs", "1"]
    assert main(words) == 0
    assert said in capsys.readouterr().err


def test_a_nearly_parallel_pair_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, first in (("de", 1), ("en", 0), ("fi", 0)):
        lines = [f"{name} {number} {'x' * 40}\n" for number in range(first, 600)]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    words = ["prepare", "--corpus", f"files:{tmp_path}", "--storage", str(tmp_path / "runs")]
    words += ["--val-bytes", "100", "--test-bytes", "100", "--jobs", "1"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "de and en have 599 and 600 documents" in said
    assert "aligned=yes" in said
    assert "en and fi" not in said  # of as many documents the same are held out


def test_which_of_several_tables_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for table, line in (("co_n", "1\t2\t3\n"), ("sentences", "1\tEin Satz.\n")):
        (tmp_path / f"deu_news-{table}.txt").write_text(line * 50)
    code, shown = look(capsys, tmp_path)
    assert code == 2
    assert "?only=sentences" in shown
    assert "field=" not in shown  # that of the first table would be another's
    assert "?field=2" in look(capsys, f"files:{tmp_path}?only=sentences")[1]


@pytest.mark.parametrize(
    ("files", "language", "said"),
    [
        ({"de.txt": "eins\n", "de.txt.gz": ""}, "de", "probably the same text"),
        ({"de/a.conllu": "1\tJa\n", "de/a.txt": "Ja\n"}, "de", "probably the same text"),
        ({"train.txt": "eins\n"}, "train", "probably a split, not a language"),
        ({"OpenSubtitles/de.txt": "eins\n"}, "OpenSubtitles", "the pattern */{language}.txt"),
        ({"de.txt": " \n\n"}, "de", "the first 2 documents are all blank"),
        ({"deu/gen.txt": "eins\n", "deu/exo.txt": "zwei\n"}, "deu", ""),
    ],
)
def test_it_says_what_names_are_likely_meant_otherwise(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    language: str,
    said: str,
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(b"eins\n") if name.endswith(".gz") else text.encode())
    _, shown = look(capsys, tmp_path, "--languages", language)
    assert said in shown
    assert ("note: " in shown) == bool(said)
