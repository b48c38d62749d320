from __future__ import annotations

from pathlib import Path

import pytest

from raydt.corpora.spec import ControlledCorpus, FilesCorpus, parse_corpus
from raydt.errors import InputError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("controlled", ControlledCorpus(0)),
        ("controlled:0", ControlledCorpus(0)),
        (" controlled:17 ", ControlledCorpus(17)),
        ("files:corpora", FilesCorpus(Path("corpora"))),
        ("files:/a/b:c", FilesCorpus(Path("/a/b:c"))),
        ("files:~/bible", FilesCorpus(Path.home() / "bible")),
    ],
)
def test_parse_reads_both_kinds_and_the_name_reads_back(
    text: str, spec: ControlledCorpus | FilesCorpus
) -> None:
    assert parse_corpus(text) == spec
    assert parse_corpus(spec.name) == spec


@pytest.mark.parametrize(
    "text",
    [
        *("", "corpora", "hub:allenai/c4", "Controlled", "files", "files:"),
        *("controlled:", "controlled:x", "controlled:-1", "controlled:²"),
    ],
)
def test_anything_else_is_an_input_error_that_names_the_forms(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_corpus(text)
    (problem,) = caught.value.problems
    assert problem.what == "corpus"
    assert "files:PATH" in problem.requirement
    assert repr(text) == problem.found


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
