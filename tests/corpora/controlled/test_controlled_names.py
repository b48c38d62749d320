from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydt.corpora.controlled.__main__ import main
from raydt.corpora.controlled.catalog import generate, language_surface
from raydt.corpora.controlled.languages import LANGUAGES
from raydt.corpora.controlled.names import check_name, describe_names, find_language
from raydt.corpora.controlled.scripts import SCRIPTS
from raydt.corpora.sources.check import check_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import LANGUAGE_NAME, ControlledCorpus
from raydt.errors import InputError


@pytest.mark.parametrize(
    ("name", "world", "surface", "script", "seed"),
    [
        ("w0-s0", 0, 0, "latin", 4),
        ("w1-s1", 1, 1, "latin", 4),
        ("w0.5-s0.25", 0.5, 0.25, "latin", 4),
        ("w0.05-s1-v2", 0.05, 1, "latin", 104),
        ("w0.5-s0-deseret", 0.5, 0, "deseret", 4),
        ("w0.5-s0-v9-greek", 0.5, 0, "greek", 804),
        ("lusa-georgian", 1, 1, "georgian", 7),
        ("distant-v3", 1, 1, "latin", 206),
    ],
)
def test_a_name_says_what_the_language_is(
    name: str, world: float, surface: float, script: str, seed: int
) -> None:
    language = find_language(name)
    assert language.name == name
    assert (language.world_share, language.surface_share) == (world, surface)
    assert (language.script, language.surface_seed) == (script, seed)
    assert LANGUAGE_NAME.fullmatch(name)
    assert check_language(locate(ControlledCorpus()), name, 10**9) == []
    assert len(generate(name, "val", 1000, 3)) == 1000


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("albo", "alba"),
        ("Alba", "alba"),
        ("unrelatd", "unrelated"),
        ("alba-latin", "alba"),
        ("alba-greeek", "alba-greek"),
        ("alba-v1", "alba"),
        ("distant-v10", "distant"),
        ("related-v2", "related"),
        ("brackets-greek", "brackets"),
        ("w0.50-s1.0", "w0.5-s1"),
        ("dial-w0.5-s0.25-latin", "w0.5-s0.25"),
        ("w.5-s.25", "w0.5-s0.25"),
        ("w0.5s0.25-v2-gothik", "w0.5-s0.25-v2-gothic"),
        ("w1.5-s0", "w1-s0"),
        ("w0.123-s0", "w0.12-s0"),
        ("w0.5-s0-greek-v2", "w0.5-s0-v2-greek"),
    ],
)
def test_a_slip_is_refused_and_set_right(name: str, meant: str) -> None:
    with pytest.raises(InputError) as error:
        find_language(name)
    (problem,) = error.value.problems
    assert problem.what == "language"
    assert repr(name) in problem.got
    hints = problem.got.split("did you mean ")[1].rstrip("?)").split(" or ")
    assert meant in hints
    assert len(set(hints)) == len(hints)


@pytest.mark.parametrize("name", ["", "-", "zz", "w-s", "w0.5", "en", "-greek", "w..5-s1", "v2"])
def test_what_is_nothing_is_shown_all_there_is(name: str) -> None:
    (problem,) = check_name(name)
    for known in (*LANGUAGES, *(f"-{script}" for script in SCRIPTS if script != "latin")):
        assert known in problem.expected
    assert "w0.5-s0.25" in problem.expected
    assert "did you mean" not in problem.got


@given(st.text("wsv0123456789.-algrekbtn", max_size=20))
def test_any_text_is_a_language_or_a_problem(name: str) -> None:
    problems = check_name(name)
    assert len(problems) <= 1
    if not problems:
        assert find_language(name).name == name


def test_samples_are_shown_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alba-greek", "brackets"]) == 0
    shown = capsys.readouterr().out
    assert "parent" not in shown
    letters = set("".join(language_surface("alba-greek", 0).words))
    sample = shown.splitlines()[1]
    assert len(set(sample) & letters) > 8
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in LANGUAGES)
    assert main(["albo"]) == 2
    assert "did you mean alba" in capsys.readouterr().err


def test_a_language_is_written_as_a_file_of_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nonsense", "brackets", "--to", str(tmp_path / "texts"), "--bytes", "20k"]) == 0
    for name in ("nonsense", "brackets"):
        lines = (tmp_path / "texts" / f"{name}.txt").read_bytes()
        documents = generate(name, "train", 20_000, 0).tobytes().split(b"\0")[:-1]
        assert lines.splitlines() == documents
        assert 15_000 < len(lines) <= 20_000
    capsys.readouterr()
    before = lines
    assert main(["brackets", "--to", str(tmp_path / "texts"), "--bytes", "30k"]) == 2
    assert "which is left as it is" in capsys.readouterr().err
    assert (tmp_path / "texts" / "brackets.txt").read_bytes() == before
    assert main(["related", "--to", str(tmp_path), "--bytes", "3"]) == 2
    assert "expected room for a document of related, got 3" in capsys.readouterr().err
    assert main(["related", "--to", str(tmp_path), "--bytes", "many"]) == 2
    assert not (tmp_path / "related.txt").exists()


def test_the_names_are_told_in_a_line() -> None:
    assert "\n" not in describe_names()
