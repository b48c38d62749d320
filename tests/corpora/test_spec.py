from __future__ import annotations

from pathlib import Path

import pytest

from raydt.corpora.spec import ControlledCorpus, FilesCorpus, HubCorpus, parse_corpus
from raydt.errors import InputError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("controlled", ControlledCorpus(0)),
        ("controlled:0", ControlledCorpus(0)),
        (" controlled:17 ", ControlledCorpus(17)),
        ("files:corpora", FilesCorpus(Path.cwd() / "corpora")),
        ("files:/a/b:c", FilesCorpus(Path("/a/b:c"))),
        ("files:~/bible", FilesCorpus(Path.home() / "bible")),
        ("files:a-{language}*.gz", FilesCorpus(Path.cwd() / "a-{language}*.gz")),
        (
            "files:a?documents=paragraph&column=my%26text&not_utf8=replace&normalise=NFC",
            FilesCorpus(Path.cwd() / "a", "paragraph", "my&text", "replace", "NFC"),
        ),
        ("hub:allenai/c4", HubCorpus("allenai/c4")),
        (
            "hub:wikimedia/wikipedia?config=20231101.{language}&revision=abc",
            HubCorpus("wikimedia/wikipedia", config="20231101.{language}", revision="abc"),
        ),
    ],
)
def test_parse_reads_every_kind_and_the_name_reads_back(
    text: str, spec: ControlledCorpus | FilesCorpus | HubCorpus
) -> None:
    assert parse_corpus(text) == spec
    assert parse_corpus(spec.name) == spec


@pytest.mark.parametrize(
    "text",
    [
        *("", "corpora", "hub", "hub:", "Controlled", "files", "files:"),
        *("controlled:", "controlled:x", "controlled:-1", "controlled:²"),
    ],
)
def test_anything_else_is_an_input_error_that_names_the_forms(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_corpus(text)
    (problem,) = caught.value.problems
    assert problem.what == "corpus"
    assert "files:PATH" in problem.expected
    assert repr(text) == problem.got


def test_a_folder_alone_is_shown_how_to_name_it(tmp_path: Path) -> None:
    for text in (str(tmp_path), f"{tmp_path}?documents=file"):
        with pytest.raises(InputError) as caught:
            parse_corpus(text)
        assert caught.value.problems[0].got == f"{text!r} (did you mean files:{text}?)"


def test_keys_are_readable_and_differ_where_paths_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = FilesCorpus(tmp_path / "a" / "texts"), FilesCorpus(tmp_path / "b" / "texts")
    assert here.key.startswith("files-texts-")
    assert here.key != there.key
    monkeypatch.chdir(tmp_path)
    assert FilesCorpus(Path("a/texts")).key == here.key
    assert ControlledCorpus(3).key == "controlled-3"
    assert FilesCorpus(tmp_path / "mes données").key.startswith("files-mes-donn-es-")
    spec = parse_corpus("hub:wikimedia/wikipedia?config=20231101.{language}")
    assert isinstance(spec, HubCorpus)
    assert spec.config_of("de") == "20231101.de"
    assert FilesCorpus(tmp_path, documents="file").key != FilesCorpus(tmp_path).key


def test_all_problems_of_the_options_come_together() -> None:
    with pytest.raises(InputError) as caught:
        parse_corpus("files:a?documents=page&colum=x&normalise=NFC&normalise=NFD&not_utf8=")
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == 4
    assert "one of line, paragraph, file, got 'page'" in found[0]
    allowed = "column, not_utf8, normalise, aligned, val_share, test_share, split_seed"
    assert f"one of documents, {allowed}, excerpt_bytes, only, " in found[1]
    assert "got 'colum=x'" in found[1]
    assert "expected it once" in found[2]
    assert "a value" in found[3]
    with pytest.raises(InputError) as caught:
        parse_corpus("hub:a b/c?documents=line")
    assert len(caught.value.problems) == 2


def test_a_folder_has_one_name_wherever_it_is_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    names = {
        parse_corpus(f"files:{path}").name for path in ("../a/b", f"{tmp_path}/a/b", "../a/./b/")
    }
    assert names == {f"files:{tmp_path}/a/b"}


def test_english_of_mc4_is_not_c4() -> None:
    spec = parse_corpus("hub:allenai/c4")
    assert isinstance(spec, HubCorpus)
    assert [spec.config_of(language) for language in ("en", "de")] == ["en-multi", "de"]
    c4 = parse_corpus("hub:allenai/c4?config=en")
    assert isinstance(c4, HubCorpus)
    assert c4.config_of("en") == "en"
    assert HubCorpus("owner/other").config_of("en") == "en"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "val_share=0.6",
            "corpus option val_share: expected a number from 0.01 to 0.45, got '0.6'",
        ),
        ("test_share=x", "corpus option test_share: expected a number from 0.01 to 0.45, got 'x'"),
        ("split_seed=-1", "corpus option split_seed: expected a number of at least 0, got '-1'"),
        ("excerpt_bytes=5", "corpus option excerpt_bytes: expected 0, or 100 or more, got '5'"),
    ],
)
def test_options_out_of_range(options: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_corpus(f"files:/a?{options}")
    assert str(caught.value) == message
