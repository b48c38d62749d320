"""Tables of losses as people have them, row by row of what is reported in public."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydt.cli import main
from raydt.errors import InputError
from raydt.losses.columns import read_declared
from raydt.losses.declared_sizes import DeclaredSizes
from raydt.losses.table import LossTable, read_losses
from raydt.losses.units import read_unit
from raydt.tracking.schema import Stage, Status

HEADER = "init_language,target,model_size,data_size,loss\n"


def table(
    folder: Path,
    text: str | bytes,
    *words: str,
    columns: tuple[str, ...] = (),
    constants: tuple[str, ...] = (),
    unit: str = "nats",
    name: str = "losses.csv",
) -> LossTable:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_losses(path, words, read_declared(columns, constants, read_unit(unit, None)))


# Row 26: names.


@pytest.mark.parametrize(
    "word",
    ["Scratch", "SCRATCH", "None", "none", "random", "from scratch", "rand", "no_pretrain"],
)
def test_words_for_a_random_initialisation(tmp_path: Path, word: str) -> None:
    read = table(tmp_path, f"{HEADER}{word},de,small,6M,2.5\nen,de,small,6M,2.0\n")
    assert [(row.stage, row.source) for row in read.rows] == [
        (Stage.SCRATCH, None),
        (Stage.FINETUNE, "en"),
    ]
    assert word == "scratch" or any(repr(word) in note for note in read.notes)
    own = f"stage,source,target,size,loss\nfinetune,{word},de,6M,2.5\n"
    with pytest.raises(InputError, match="line 2: source: expected a language"):
        table(tmp_path, own)


def test_an_empty_init_language_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: init_language: expected a name, or scratch"):
        table(tmp_path, f"{HEADER},de,small,6M,2.5\n")


@pytest.mark.parametrize("word", ["-", "N/A", "0", "-1", "?", "False", "true"])
def test_what_is_no_language_is_refused_by_name(tmp_path: Path, word: str) -> None:
    with pytest.raises(InputError, match=r"init_language: expected a language, with a letter"):
        table(tmp_path, f"{HEADER}{word},de,small,6M,2.5\n")
    with pytest.raises(InputError, match=r"target: expected a language, with a letter"):
        table(tmp_path, f"stage,target,size,loss\nscratch,{word},6M,2.5\n")


def test_yaml_makes_false_of_norwegian(tmp_path: Path) -> None:
    rows = [{"stage": "scratch", "target": False, "size": "6M", "loss": 2.5}]
    with pytest.raises(InputError, match=r"target: expected a language.*got 'False'"):
        table(tmp_path, json.dumps(rows), name="a.json")


@pytest.mark.parametrize("word", ["", "None", "nan", "-", "scratch"])
def test_a_scratch_row_may_say_that_it_has_no_source(tmp_path: Path, word: str) -> None:
    own = f"stage,source,target,size,loss\nfrom scratch,{word},de,6M,2.5\n"
    assert [(row.stage, row.source) for row in table(tmp_path, own).rows] == [(Stage.SCRATCH, None)]


def test_languages_that_differ_in_case_alone_are_noted(tmp_path: Path) -> None:
    read = table(tmp_path, f"{HEADER}en,de,small,6M,2.5\nEN,de,small,19M,2.0\n")
    assert any("EN and en" in note for note in read.notes)


def test_nan_and_na_are_languages_all_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f"{source},{target},small,{size},{loss - (0.2 if source != 'scratch' else 0)}"
        for source in ("scratch", "nan", "NA")
        for target in ("nan", "NA", "de")
        for size, loss in (("6M", 2.5), ("19M", 2.0), ("60M", 1.6))
        if source != target
    ]
    path = tmp_path / "odd.csv"
    path.write_text(HEADER + "\n".join(lines) + "\n")
    storage = str(tmp_path / "runs")
    assert main(["import", str(path), "--storage", storage]) == 0
    assert main(["analyze", "--storage", storage, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    effective = (tmp_path / "out" / "effective.csv").read_text().splitlines()
    places = [effective[0].split(",").index(name) for name in ("source", "target")]
    pairs = {tuple(line.split(",")[place] for place in places) for line in effective[1:]}
    wanted = {("nan", "NA"), ("nan", "de"), ("NA", "nan"), ("NA", "de")}
    assert pairs == wanted


# Row 27: how files are written.

ROWS = [("scratch", "de", "small", "6M", "2.5"), ("en", "de", "small", "6M", "2.25")]
NAMES = HEADER.strip().split(",")


def joined(separator: str, *, decimal: str = ".", names: list[str] = NAMES) -> str:
    rows = [[value.replace(".", decimal) for value in row] for row in ROWS]
    return "".join(separator.join(row) + "\n" for row in [names, *rows])


@pytest.mark.parametrize(
    "text",
    [
        joined(";"),
        joined(";", decimal=","),
        joined("\t"),
        joined("\t", decimal=","),
        joined("|"),
        "sep=;\n" + joined(";", decimal=","),
        "sep=,\r\n" + joined(","),
        "# made by a program, 2024\n\n" + joined(",") + "# the end\n",
        joined(",").encode("utf-8-sig"),
        joined("\t", decimal=",").encode("utf-16"),
        joined(",", names=["Init_Language", "Target", "MODEL_SIZE", "Data Size", "Loss"]),
        "".join(f"{i or ''},{line}\n" for i, line in enumerate(joined(",").splitlines())),
        HEADER + "".join(f"{i},{','.join(row)}\n" for i, row in enumerate(ROWS)),
        "".join(f"{line};\n" for line in joined(";").splitlines()),
        joined(",").replace("\n", "\r\n"),
        "".join(f"{line},more\n" for line in joined(",").splitlines()),
        '"' + joined('","')[:-1].replace("\n", '"\n"') + '"\n',
        joined("   "),
        "Losses of our runs\n\n" + joined(","),
        "% made by a program\n// and changed\n" + joined(";"),
        "Title;;;;\n;;;;\n" + joined(";", decimal=","),
        "".join(f"| {line.replace(',', ' | ')} |\n" for line in joined(",").splitlines()).replace(
            " |\n", " |\n|---|:-:|---|---|--:|\n", 1
        ),
        joined(",").replace("\n", "\r"),
        joined(",") + HEADER + joined(",").splitlines()[1] + "\n",
    ],
)
def test_a_file_as_programs_and_spreadsheets_write_it(tmp_path: Path, text: str | bytes) -> None:
    rows = table(tmp_path, text).rows
    assert [(row.stage, row.size, row.test_loss) for row in rows] == [
        (Stage.SCRATCH, "6M", 2.5),
        (Stage.FINETUNE, "6M", 2.25),
    ]


def test_json_and_parquet(tmp_path: Path) -> None:
    dicts = [dict(zip(NAMES, row, strict=True)) | {"loss": float(row[4])} for row in ROWS]
    lines = "".join(json.dumps(row) + "\n" for row in dicts)
    found = [
        table(tmp_path, lines, name="a.jsonl"),
        table(tmp_path, json.dumps(dicts), name="a.json"),
    ]
    pq.write_table(pa.Table.from_pylist(dicts), tmp_path / "a.parquet")
    found.append(read_losses(tmp_path / "a.parquet"))
    assert [row.test_loss for each in found for row in each.rows] == [2.5, 2.25] * 3


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\xffloss", "line 1: byte 0xff"),
        (HEADER.encode() + b"sc\xe9,de,small,6M,1\n", "line 2: byte 0xe9"),
        (HEADER.encode("utf-16-le"), "a NUL"),
        (b'a,b\n"never closed\n', "CSV"),
        (b"\x1f\x8b\x08rest", "packed"),
        (b"PK\x03\x04rest", "packed"),
        (b"\n\n", "an empty one"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, data: bytes, found: str) -> None:
    with pytest.raises(InputError, match=found):
        table(tmp_path, data)


def test_columns_of_an_export_are_mapped(tmp_path: Path) -> None:
    text = (
        '"Name","Step","scaling/global_loss","bytes","language","lr"\n'
        '"a","100","2.5","6000000","de","1e-3"\n"b","100","2.0","60000000","de","1e-3"\n'
    )
    with pytest.raises(InputError, match="--column loss=scaling/global_loss"):
        table(tmp_path, text)
    columns = ("loss=scaling/global_loss", "size_bytes=bytes", "target=language")
    read = table(tmp_path, text, columns=columns, constants=("stage=scratch", "model=x"))
    assert [(row.target, row.size_bytes, row.test_loss, row.model) for row in read.rows] == [
        ("de", 6_000_000, 2.5, "x"),
        ("de", 60_000_000, 2.0, "x"),
    ]
    assert any("Name, Step, lr" in note for note in read.notes)
    with pytest.raises(InputError, match=r"did you mean scaling/global_loss"):
        table(tmp_path, text, columns=("loss=scaling/globalloss",))
    with pytest.raises(InputError) as caught:
        read_declared(("los=x", "loss"), ("loss=1", "target=a", "target=b"))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("seed", ["1e30", "9223372036854775808", "-1", "inf", "nan", "x", "²"])
def test_a_seed_that_no_table_can_hold(tmp_path: Path, seed: str) -> None:
    with pytest.raises(InputError, match=r"seed: expected an integer from 0 to 2\^63 - 1"):
        table(tmp_path, f"{HEADER}scratch,de,small,6M,2.5\n", constants=(f"seed={seed}",))


# Row 29: units.


@pytest.mark.parametrize(
    ("unit", "given"), [("nats", 1.5), ("bits", 1.5 / math.log(2)), ("perplexity", math.exp(1.5))]
)
def test_units(tmp_path: Path, unit: str, given: float) -> None:
    (row,) = table(tmp_path, f"{HEADER}scratch,de,small,6M,{given!r}\n", unit=unit).rows
    assert row.test_loss == pytest.approx(1.5)


def test_losses_and_sizes_per_token(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}scratch,de,small,1000000,6.0\n")
    declared = read_declared((), (), read_unit("nats", "4"))
    (row,) = read_losses(path, (), declared).rows
    assert (row.test_loss, row.size_bytes) == (1.5, 4_000_000)
    for unit, per_token in (("nit", None), ("bits", "x"), ("bits", "0")):
        with pytest.raises(InputError, match=r"--unit|--bytes-per-token"):
            read_unit(unit, per_token)


@pytest.mark.parametrize(
    ("unit", "found"),
    [("bpb", "bits"), ("bits per byte", "bits"), ("PPL", "perplexity"), ("nat/byte", "nats")],
)
def test_units_by_other_names(unit: str, found: str) -> None:
    assert read_unit(unit, None).unit == found
    with pytest.raises(InputError, match="--bytes-per-token NUMBER"):
        read_unit("nats per token", None)


@pytest.mark.parametrize(
    ("column", "option"),
    [
        ("bpb", "--column loss=bpb --unit bits"),
        ("bits/byte (test)", r"--column 'loss=bits/byte \(test\)' --unit bits"),
        ("eval/ppl", "--column loss=eval/ppl --unit perplexity"),
        ("val_perplexity", "--unit perplexity"),
    ],
)
def test_a_column_of_another_unit_is_named_with_its_option(
    tmp_path: Path, column: str, option: str
) -> None:
    with pytest.raises(InputError, match=option):
        table(tmp_path, f"{HEADER.replace('loss', column)}scratch,de,small,6M,3.5\n")


def test_what_no_byte_model_can_have_is_noted(tmp_path: Path) -> None:
    read = table(tmp_path, f"{HEADER}scratch,de,small,6M,13.09\nscratch,de,small,60M,2\n")
    (note,) = read.notes
    assert "above 5.545" in note
    assert "13.09" in note
    with pytest.raises(InputError, match="loss: expected perplexity of a byte, more than 1"):
        table(tmp_path, f"{HEADER}scratch,de,small,6M,0.5\n", unit="perplexity")


# Row 30: sizes.


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [
        ("6e6", 6_000_000),
        ("1.5E9", 1_500_000_000),
        ("19,398,656", 19_398_656),
        ("19.398.656", 19_398_656),
        ("19 398 656", 19_398_656),
        ("19'398'656", 19_398_656),
        ("19_398_656", 19_398_656),
        ("6000000", 6_000_000),
        ("6000000.0", 6_000_000),
        ("6.5M", 6_500_000),
        ("6,5M", 6_500_000),
        ("6 MB", 6_000_000),
        ("6mb", 6_000_000),
        ("2GiB", 2**31),
        ("512 bytes", 512),
        ("10^6", 1_000_000),
        ("6 x 10^6", 6_000_000),
        ("1,5e9", 1_500_000_000),
        ("6 million", 6_000_000),
        ("1.5 billion", 1_500_000_000),
        ("6M bytes", 6_000_000),
        ("6e6 bytes", 6_000_000),
    ],
)
def test_sizes_in_any_usual_notation(tmp_path: Path, text: str, num_bytes: int) -> None:
    assert DeclaredSizes([], "nominal").num_bytes(text) == num_bytes
    (row,) = table(tmp_path, f'{HEADER}scratch,de,small,"{text}",2\n', "nominal").rows
    assert row.size_bytes == num_bytes
    if not text.lower().strip().endswith(("m", "b", "s", "n")):
        # A number of bytes is itself in the published table, too.
        assert DeclaredSizes([], "published").num_bytes(text) == num_bytes


@pytest.mark.parametrize(
    ("label", "kind"),
    [("1.5B", "nominal"), ("6B", "nominal"), ("7M", "published"), ("6 Mtok", "nominal")],
)
def test_a_size_that_may_mean_two_things_names_the_option(
    tmp_path: Path, label: str, kind: str
) -> None:
    with pytest.raises(InputError, match=rf"--size {label}=BYTES"):
        table(tmp_path, f"{HEADER}scratch,de,small,{label},2\n", kind)
    (row,) = table(tmp_path, f"{HEADER}scratch,de,small,{label},2\n", kind, f"{label}=1.5e9").rows
    assert row.size_bytes == 1_500_000_000


def test_declared_bytes_that_no_row_has_are_noted(tmp_path: Path) -> None:
    read = table(tmp_path, f"{HEADER}scratch,de,small,6M,2\n", "6m=7000000")
    assert any("no row has the size 6m" in note for note in read.notes)


# Row 31: repeated and missing rows.


def test_the_same_row_twice_counts_once(tmp_path: Path) -> None:
    row = "scratch,de,small,6M,2.5\n"
    read = table(tmp_path, f"{HEADER}{row}scratch,de,small,60M,2.0\n{row}")
    assert len(read.rows) == 2
    assert "lines 4" in read.notes[0]
    with pytest.raises(InputError, match=r"line 4: expected each cell once.*also in line 2"):
        table(tmp_path, f"{HEADER}{row}scratch,de,small,60M,2.0\n{row.replace('2.5', '2.6')}")


@pytest.mark.parametrize("loss", ["", "NaN", "nan", "NA", "null", "-", "#N/A", "#DIV/0!"])
def test_a_missing_loss_is_a_missing_cell(tmp_path: Path, loss: str) -> None:
    read = table(tmp_path, f"{HEADER}scratch,de,small,6M,{loss}\nscratch,de,small,60M,2.0\n")
    assert [(row.size, row.status) for row in read.rows] == [
        ("60M", Status.DONE),
        ("6M", Status.WAITING),
    ]
    assert "lines 2" in read.left_out[0]
    again = table(tmp_path, f"{HEADER}scratch,de,small,6M,{loss}\nscratch,de,small,6M,2.0\n")
    assert [row.test_loss for row in again.rows] == [2.0]
    own = f"stage,target,size,loss\nscratch,de,6M,{loss}\nscratch,de,60M,1\n"
    assert [row.status for row in table(tmp_path, own).rows] == [Status.DONE, Status.WAITING]
    with pytest.raises(InputError, match="at least one row"):
        table(tmp_path, f"{HEADER}scratch,de,small,6M,{loss}\n")


def test_a_dry_run_shows_rows_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(joined(";", decimal=","))
    words = ["import", str(path), "--storage", str(tmp_path / "runs"), "--dry-run"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "6,815,744" in shown
    assert "2.25" in shown
    assert "2 cells: 1 scratch, 1 finetune" in shown
    assert "decimal comma" in shown
    assert not (tmp_path / "runs").exists()


# A table of one's own.


def test_source_and_size_say_the_stage(tmp_path: Path) -> None:
    rows = "none,de,6M,2\nen,de,6M,1\nen,de,0,3\n"
    read = table(tmp_path, f"source,target,size,loss\n{rows}")
    assert [row.stage for row in read.rows] == [Stage.SCRATCH, Stage.FINETUNE, Stage.ZEROSHOT]
    assert [row.source for row in read.rows] == [None, "en", "en"]
    assert read.notes == ("1 rows with source 'none' were read as scratch",)
    with pytest.raises(InputError, match="or scratch if it was not pretrained, got nothing"):
        table(tmp_path, f"source,target,size,loss\n,de,60M,1\n{rows}")
    with pytest.raises(InputError, match="line 2: size: expected a number of bytes") as caught:
        table(tmp_path, "source,target,size,loss\nen,de,six,1\n")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("column", ["test_bpb", "Loss (bits/byte)", "ppl_per_byte"])
def test_a_column_of_another_unit_than_the_default_is_no_nats(tmp_path: Path, column: str) -> None:
    path = tmp_path / "losses.csv"
    path.write_text(f"source,target,size,{column}\nscratch,de,6M,3\n")
    columns = [f"loss={column}"]
    with pytest.raises(InputError, match=r"--unit (bits|perplexity), by the name of its column"):
        read_losses(path, (), read_declared(columns, (), unit_is_given=False))
    (row,) = read_losses(path, (), read_declared(columns, ())).rows  # the user insists
    assert row.test_loss == 3


def test_a_point_before_three_digits_is_never_taken_for_a_decimal_one(tmp_path: Path) -> None:
    header = "source;target;size;loss\n"
    excel = f"{header}scratch;de;600.000;2,5\nscratch;de;2.000.000;2,1\n"
    assert [row.size_bytes for row in table(tmp_path, excel).rows] == [600_000, 2_000_000]
    for name in ("size", "size_bytes"):
        with pytest.raises(InputError, match=f"line 2: {name}: expected 600000, or 600 if"):
            table(tmp_path, f"{header.replace('size', name)}scratch;de;600.000;2.5\n")
    (row,) = table(tmp_path, f"{header}scratch;de;600.000;2.5\n", "600.000=600").rows
    assert row.size_bytes == 600


def test_one_mistake_in_many_lines_is_one_problem(tmp_path: Path) -> None:
    rows = "".join(f"scratch,de,small,{size},{n},2\n" for n in range(15) for size in ("6M", "7MB"))
    with pytest.raises(InputError) as caught:
        table(tmp_path, f"{HEADER.replace('loss', 'seed,loss')}{rows}")
    (problem,) = caught.value.problems
    assert problem.what == ("losses.csv lines 3, 5, 7, 9, 11, 13, 15, 17, 19, 21 and 5 more: size")


def test_a_workbook_is_named_as_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an Excel workbook"):
        table(tmp_path, b"PK\x03\x04 and so on", name="losses.xlsx")
