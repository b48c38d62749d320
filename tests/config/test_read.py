from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from raydt.config.fields import FIELDS, SweepField
from raydt.config.protocol import Protocol
from raydt.config.sweep import Sweep
from raydt.units import Size
from tests.sweep_words import problems, read


def test_no_option_is_the_demo() -> None:
    sweep = read()
    assert sweep == Sweep()
    assert sweep.name == "demo"
    assert sweep.ladder[-1] == Size(20_000, "20k")


def test_what_the_demo_has_of_its_own_goes_with_its_axes() -> None:
    demo = read("--seeds", "0", "1", "2", "3")
    assert len(demo.scratch_sizes) == 2
    other = read("--targets", "alba")
    assert other.pretrain_size == demo.pretrain_size, "one name, one way to pretrain"
    assert read("--corpus", "files:texts").pretrain_size == Size(800_000, "800k")
    assert other.scratch_sizes == ()
    assert other.seeds == (0, 1, 2)


def test_the_command_line_of_the_issue() -> None:
    sweep = read(
        *"--corpus files:../shared/corpora --sources en zh --targets de ru".split(),
        *"--sizes 8k 32k 128k".split(),
    )
    assert sweep.name == "files-corpora"  # `corpora` is where prepared languages are
    assert sweep.sources == ("en", "zh")
    assert [size.num_bytes for size in sweep.ladder] == [8_000, 32_000, 128_000]


def test_text_of_ones_own_has_none_of_the_demos_shortcuts(tmp_path: Path) -> None:
    own = read("--corpus", "files:texts", "--protocol.scratch.clip-norm", "2")
    assert own.protocol.pretrain == Protocol().pretrain
    assert own.protocol.tolerance == Protocol().tolerance < read().protocol.tolerance
    assert own.protocol.scratch == Protocol().scratch.model_copy(update={"clip_norm": 2.0})
    # Read once, whatever else is said of a controlled corpus.
    assert read("--corpus", "controlled:1").protocol == read().protocol
    file = tmp_path / "sweep.toml"
    file.write_text('corpus = "files:texts"\n')
    assert read("--sweep", str(file)).protocol == Protocol()


def test_later_wins_and_neighbours_keep_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(
        'seeds = [3]\nsources = "related"\ntargets = "alba"\n'
        "[protocol.scratch]\nlearning_rate = 0.5\nclip_norm = 2.0\n"
    )
    sweep = read("--sweep", str(file), "--protocol.scratch.learning-rate", "0.25")
    assert sweep.seeds == (3,)
    assert sweep.sources == ("related",)
    assert sweep.protocol.scratch.learning_rate == 0.25
    assert sweep.protocol.scratch.clip_norm == 2.0
    assert sweep.protocol.scratch.warmup_steps == Sweep().protocol.scratch.warmup_steps
    assert sweep.protocol.pretrain == Sweep().protocol.pretrain


def test_all_problems_at_once_each_named(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text('sead = [0]\n[protocol]\npatience = 0\nval_byte = "8k"\n')
    words = "--souces en --sizes 8k 6x --models big --protocol.scratch.learning-rate -1 --seeds a"
    found = problems("--sweep", str(file), *words.split())
    text = "\n".join(found)
    assert "--souces: unknown option (did you mean --sources?)" in text
    assert "sead: unknown field (did you mean seeds?)" in text
    assert "sizes: expected a number of bytes" in text
    assert "'6x'" in text
    assert "models: expected one of nano" in text
    assert "protocol.scratch.learning_rate" in text
    assert "protocol.patience" in text
    assert "protocol.val_byte: unknown field (did you mean val_bytes?)" in text
    assert "seeds: expected an integer, got 'a'" in text
    # And no default that could not be made because the field it follows is wrong.
    assert len(found) == 8


def test_a_field_in_the_wrong_table_is_told_its_place(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text("tolerance = 0.1\n[protocol]\nseeds = [3]\n")
    text = "\n".join(problems("--sweep", str(file)))
    assert "tolerance: unknown field (did you mean protocol.tolerance?)" in text
    assert "protocol.seeds: unknown field (did you mean seeds?)" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--sizes", "8k", "8000"], "sizes of different bytes"),
        (["--sizes", "8k", "8k=9000"], "different labels"),
        (["--sizes", "0"], "at least 1 byte"),
        (["--sources", "en", "en"], "each value once"),
        (["--sources", "e/n"], "letters, digits"),
        (["--sources", "alba", "--targets", "alba"], "at least one source other than the target"),
        (["--sizes", "100"], "at least one window of model nano"),
        (["--protocol.val-bytes", "10"], "protocol.val_bytes: expected at least 1k"),
        (["--name", "../up"], "name: expected a name of letters, digits"),
        (["--name", "mlflow.db"], "a name that raydt does not use"),
        (["--sizes", "8000,32000"], "a number of bytes"),
        (["--sizes", "8k", "--scratch-sizes", "8k=9000"], "different labels"),
        (["--sizes", "8k", "--scratch-sizes", "x=8000"], "different bytes"),
        (["--protocol.scratch.budget-at-bytes", "0"], "budget_at_bytes: expected at least 1 byte"),
        (["--seeds", "99999999999999999999"], "seeds: expected at most 9223372036854775807"),
        (["--gpus-per-cell", "inf"], "gpus_per_cell: expected a finite number, got 'inf'"),
        (
            ["--gpus-per-cell", "2"],
            "gpus_per_cell: expected at most 1, because a process trains on ",
        ),
        (
            ["--gpus-per-cell", "2", "--workers", "4"],
            "(--gpus-per-cell 1 --workers 2 trains a large cell on 2), got 2",
        ),
        (
            ["--gpus-per-cell", "0.25", "--workers", "4"],
            "gpus_per_cell: expected 1 with several workers per cell, because NCCL refuses two "
            "of them "
            "on one GPU (or --workers 0), got 0.25 with 4 workers",
        ),
        (["--sweep", "absent.toml"], "--sweep absent.toml: expected a TOML file, got no file"),
        (["--sweep", "sweep.yaml"], "a .toml file"),
        (["extra"], "options only"),
    ],
)
def test_what_cannot_be_is_an_error(words: list[str], expected: str) -> None:
    assert any(expected in problem for problem in problems(*words))


def test_gpus_that_can_be_used_are_fine() -> None:
    for words in (["1", "--workers", "8"], ["0.25"], ["0.25", "--workers", "1"], ["0"]):
        read("--gpus-per-cell", *words)


def _is_float(field: SweepField) -> bool:
    model: type[BaseModel] = Sweep
    for name in field.path[:-1]:
        model = type(getattr(model(), name))
    return model.model_fields[field.path[-1]].annotation is float


NUMBERS = [field.dotted for field in FIELDS if _is_float(field)]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_no_number_is_infinite_or_none(value: str, tmp_path: Path) -> None:
    assert len(NUMBERS) > 3 * 10
    words = [f"--{name.replace('_', '-')}={value}" for name in NUMBERS]
    typed = [f"{name}: expected a finite number, got '{value}'" for name in NUMBERS]
    assert sorted(problems(*words)) == sorted(typed)
    file = tmp_path / "sweep.toml"
    file.write_text(f"[protocol.pretrain]\nlearning_rate = {value}\n")
    (problem,) = problems("--sweep", str(file))
    assert problem == f"protocol.pretrain.learning_rate: expected a finite number, got {value}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slots = 'x'", "slots: expected an integer, got 'x'"),
        ("slots = 1.5", "slots: expected an integer, got 1.5"),
        ("slots = 0", "slots: expected at least 1, got 0"),
        ("corpus = 3", "corpus: expected text, got 3"),
        ("sizes = 3.5", "sizes: expected a list, got 3.5"),
        ("sources = []", "sources: expected at least one value, got nothing"),
        ("protocol.tolerance = 'x'", "protocol.tolerance: expected a number, got 'x'"),
        ("protocol.tolerance = 1", "protocol.tolerance: expected less than 1, got 1"),
        (
            "protocol.scratch = 3",
            "protocol.scratch: expected a table [protocol.scratch], got 3",
        ),
        ("protocol.scratch.beta1 = -1", "protocol.scratch.beta1: expected at least 0, got -1"),
        (
            "protocol.scratch.clip_norm = 0",
            "protocol.scratch.clip_norm: expected more than 0, got 0",
        ),
        (
            "protocol.scratch.deterministic = 'maybe'",
            "protocol.scratch.deterministic: expected true or false, got 'maybe'",
        ),
        (
            "protocol.scratch.schedule = 'flat'",
            "protocol.scratch.schedule: expected cosine, constant or wsd, got 'flat'",
        ),
        ("'a.b' = 3", "a.b: unknown field"),
        (
            "protocl.tolerance = 0",
            "protocl: unknown table (did you mean [protocol]?)",
        ),
        (
            "scratch.epochs = 3",
            "scratch: unknown table (did you mean [protocol.scratch]?)",
        ),
        (
            "protocol.scrach.epochs = 3",
            "protocol.scrach: unknown table (did you mean [protocol.scratch]?)",
        ),
    ],
)
def test_what_a_field_asks_for_is_said_in_raydts_words(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    assert problems("--sweep", str(file)) == [said]


def test_fields_that_do_not_fit_are_told_beside_fields_that_are_wrong() -> None:
    words = "--pretrain-size 0 --val-bytes 1 --scratch.budget-bytes 0 --slots x".split()
    found = problems(*words)
    assert [problem.partition(":")[0] for problem in found] == [
        "slots",
        "size 0",
        "protocol.scratch.budget_bytes",
        "protocol.val_bytes",
    ]


def test_nothing_is_said_of_what_hangs_on_a_field_that_is_wrong() -> None:
    words = "--sizes 1 6x --pretrain-size 1 --models big --sources e/n --targets related".split()
    assert [problem.partition(":")[0] for problem in problems(*words)] == [
        "sources",
        "sizes",
        "models",
    ]


def test_a_folder_is_told_from_a_file(tmp_path: Path) -> None:
    for option in ("--sweep", "--hparams"):
        assert problems(option, str(tmp_path)) == [
            f"{option} {tmp_path}: expected a TOML file, got a folder"
        ]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text("seeds = [")
    assert problems("--sweep", str(file))[0].startswith(f"--sweep {file}: expected valid TOML")


def test_a_language_may_be_source_and_target_but_not_of_itself() -> None:
    sweep = read(*"--sources related alba --targets alba brio --sizes 2k 8k".split())
    assert sweep.pairs() == [("related", "alba"), ("related", "brio"), ("alba", "brio")]
    # `alba` is needed for the larger of its two uses.
    assert sweep.train_bytes()["alba"] == 400_000
    assert sweep.train_bytes()["brio"] == 8_000


def test_what_is_written_down_reads_back() -> None:
    sweep = read("--sizes", "6M=6815744", "8k")
    again = Sweep.model_validate(sweep.model_dump(mode="json"))
    assert again == sweep
    assert again.sizes[1] == Size(6_815_744, "6M")


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        ("files:texts", "texts"),
        ("files:../a b/c d/", "c-d"),
        ("controlled:3", "controlled-3"),
        ("x", "x"),
    ],
)
def test_a_sweep_is_called_after_its_corpus(corpus: str, name: str) -> None:
    assert read("--corpus", corpus).name == name
    assert read("--corpus", corpus, "--name", "mine").name == "mine"


def test_sizes_of_val_and_test_follow_from_the_corpus_unless_they_are_named() -> None:
    protocol = read("--corpus", "files:texts").protocol
    assert (protocol.val_bytes, protocol.test_bytes) == (None, None)
    assert (protocol.asked_val_bytes, protocol.asked_test_bytes) == (None, None)
    assert (protocol.most_val_bytes, protocol.most_test_bytes) == (32_000, 128_000)
    named = read(
        "--corpus", "files:texts", "--protocol.val-bytes", "8k", "--protocol.test-bytes", "auto"
    ).protocol
    assert (named.asked_val_bytes, named.most_val_bytes) == (8_000, 8_000)
    assert named.asked_test_bytes is None
    written = named.model_dump(mode="json")
    assert (written["val_bytes"], written["test_bytes"]) == ("8k", None)
    assert type(named).model_validate(written) == named
