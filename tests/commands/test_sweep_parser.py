"""How a field of a sweep can be typed, and what is said where it cannot."""

from __future__ import annotations

import pytest

from raydt.config.fields import FIELDS, SweepField, fields_meant_by
from tests.sweep_words import problems, read, typed


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.dotted)
def test_every_field_can_be_typed_in_full_and_by_all_that_means_it_alone(field: SweepField) -> None:
    value = ["1"] if field.several else "1"
    assert field.spellings[-1] == "--" + field.dotted.replace("_", "-")
    for option in field.spellings:
        assert typed(option, "1").fields == {field.dotted: value}
        assert typed(f"{option}=1").fields == {field.dotted: value}


def test_an_option_needs_no_prefix_where_it_is_unambiguous() -> None:
    sweep = read("--test-bytes", "16k", "--tolerance", "0.5", "--scratch.learning-rate", "0.25")
    in_full = (
        "--protocol.test-bytes 16k --protocol.tolerance 0.5 --protocol.scratch.learning-rate 0.25"
    )
    assert sweep == read(*in_full.split())
    assert sweep.protocol.asked_test_bytes == 16_000
    assert sweep.protocol.scratch.learning_rate == 0.25
    assert sweep.protocol.finetune.learning_rate != 0.25


def test_of_an_option_that_is_typed_twice_the_later_wins() -> None:
    assert typed("--slots", "2", "--slots", "3").fields["slots"] == "3"
    words = "--protocol.tolerance 0.5 --tolerance 0.25".split()
    assert typed(*words).fields["protocol.tolerance"] == "0.25"


@pytest.mark.parametrize("option", ["--learning-rate", "--STAGE.learning-rate"])
def test_what_each_stage_has_is_refused_without_its_stage(option: str) -> None:
    (problem,) = problems(option, "0.1")
    assert problem == (
        f"{option}: expected one of --pretrain.learning-rate, --scratch.learning-rate, "
        "--finetune.learning-rate, got an ambiguous name"
    )


def test_only_what_each_stage_has_needs_more_than_its_own_name() -> None:
    for field in FIELDS:
        bare = "--" + field.path[-1].replace("_", "-")
        meant = {each.path[-1] for each in fields_meant_by(bare)}
        assert meant == {field.path[-1]}
        assert (bare in field.spellings) == (len(field.path) < 3)


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--souces", "--sources"),
        ("--tolerence", "--tolerance"),
        ("--protocol.tolerence", "--protocol.tolerance"),
        ("--scratch.lerning-rate", "--scratch.learning-rate"),
        (
            "--lerning-rate",
            "--pretrain.learning-rate, --scratch.learning-rate or --finetune.learning-rate",
        ),
    ],
)
def test_a_misspelt_option_is_told_what_was_meant(option: str, meant: str) -> None:
    (problem,) = problems(option, "1")
    assert problem == (f"{option}: unknown option (did you mean {meant}?)")


def test_so_is_one_that_is_no_field() -> None:
    (problem,) = problems("--hparam", "x.toml")
    assert problem == "--hparam: unknown option (did you mean --hparams?)"


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        (
            "--s",
            "--sources, --sizes, --seeds, --scratch-sizes, --storage, --slots, --sweep or "
            "--STAGE.schedule",
        ),
        ("--sche", "--pretrain.schedule, --scratch.schedule or --finetune.schedule"),
        ("--scratch.bet", "--scratch.beta1 or --scratch.beta2"),
        ("--protocol.pat", "--protocol.patience"),
    ],
)
def test_an_abbreviation_is_told_all_that_it_may_mean(option: str, meant: str) -> None:
    (problem,) = problems(option, "1")
    assert f"(did you mean {meant}?)" in problem


def test_words_beside_an_unknown_option_are_not_dropped() -> None:
    assert problems(*"--souces en zh --slots 2 extra".split()) == [
        "command line: expected options only, got extra",
        "--souces: unknown option (did you mean --sources?)",
    ]
    assert problems("extra", "--dry-run", "x") == [
        "command line: expected options only, got extra",
        "--dry-run: unknown option (--help-all lists the options)",
    ]


def test_an_option_like_no_other_is_sent_to_the_list_of_them() -> None:
    (problem,) = problems("--xyzzy", "1")
    assert "--help-all lists the options" in problem


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sizes"], "--sizes: expected at least one value, got nothing"),
        (
            ["--scratch-sizes", "--seeds", "1"],
            "--scratch-sizes: expected at least one value, got nothing",
        ),
        (["--name", "--seeds", "1"], "--name: expected a value, got nothing"),
        (["--protocol.test-bytes"], "--test-bytes: expected a value, got nothing"),
        (["--sweep"], "--sweep: expected a file, got nothing"),
        (["--hparams"], "--hparams: expected a file, got nothing"),
    ],
)
def test_an_option_without_a_value_is_a_problem_among_others(words: list[str], said: str) -> None:
    assert problems(*words) == [said]
    assert problems("--models", "big", *words)[0] == said
    assert len(problems("--models", "big", *words)) == 2
