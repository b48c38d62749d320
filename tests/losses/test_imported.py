"""Somebody's losses: all problems at once, true bytes by a declared table, nothing twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from analysis.store.read import read_sweep
from raydt.errors import InputError
from raydt.losses.declared_sizes import DeclaredSizes
from raydt.losses.imported import import_losses
from raydt.losses.table import LossTable, read_losses
from raydt.tracking import schema
from raydt.tracking.schema import Stage, Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer

AUTHORS = """init_language,target,model_size,data_size,loss
scratch,de,small,0M,3.2
scratch,de,small,6M,2.5
scratch,de,small,60M,1.5
en,de,small,0M,2.0
en,de,small,6M,1.4
"""
SCRATCH_ROWS = "scratch,de,6M,2.5\nscratch,de,60M,1.5\n"


def written(folder: Path, text: str, name: str = "losses.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table_of(folder: Path, text: str, *words: str) -> LossTable:
    return read_losses(written(folder, text), words)


def test_the_authors_form_has_true_bytes_and_stages(tmp_path: Path) -> None:
    table = table_of(tmp_path, AUTHORS)
    found = [(row.stage, row.source, row.target, row.size_bytes) for row in table.rows]
    assert found == [
        (Stage.SCRATCH, None, "de", 6_815_744),
        (Stage.SCRATCH, None, "de", 60_817_408),
        (Stage.ZEROSHOT, "en", "de", 0),
        (Stage.FINETUNE, "en", "de", 6_815_744),
    ]
    assert [row.size for row in table.rows] == ["6M", "60M", "0M", "6M"]
    assert {(row.model, row.seed, row.status) for row in table.rows} == {("small", 0, Status.DONE)}
    (left_out,) = table.left_out
    assert "lines 2" in left_out


def test_labels_mean_what_is_declared(tmp_path: Path) -> None:
    nominal = table_of(tmp_path, AUTHORS, "nominal")
    assert [row.size_bytes for row in nominal.rows] == [6_000_000, 60_000_000, 0, 6_000_000]
    mixed = table_of(tmp_path, AUTHORS, "published", "6M=7000000")
    assert [row.size_bytes for row in mixed.rows] == [7_000_000, 60_817_408, 0, 7_000_000]
    assert mixed.sizes == "published, 6M=7000000"
    with pytest.raises(InputError, match="--size 7M=BYTES"):
        table_of(tmp_path, AUTHORS.replace("60M", "7M"))
    with pytest.raises(InputError, match="unambiguous label"):
        DeclaredSizes([], "nominal").num_bytes("6B")
    with pytest.raises(InputError) as raised:
        DeclaredSizes(["published", "nominal", "6M", "6M=x", "7M=1", "7M=2"], "published")
    assert len(raised.value.problems) == 4


def test_the_general_form(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        "stage,source,target,size,size_bytes,seed,model,loss,loss_stderr,status,reason,precision\n"
        "scratch,,de,8k,,0,tiny,1.5,0.01,,,bfloat16\n"
        "scratch,,de,,32000,1.0,tiny,1.4,,,,\n"
        "pretrain,en,,1M,,0,tiny,,,,,\n"
        "finetune,en,de,8k,8192,0,tiny,1.3,,done,,\n"
        "finetune,en,de,8k,8192,1,tiny,,,diverged,loss is nan,\n"
        "zeroshot,en,de,,,0,tiny,2.0,,,,\n",
    )
    found = [(row.stage, row.size, row.size_bytes, row.seed, row.status) for row in table.rows]
    assert found == [
        ("scratch", "8k", 8000, 0, "done"),
        ("scratch", "32k", 32000, 1, "done"),
        ("pretrain", "1M", 1_000_000, 0, "done"),
        ("finetune", "8k", 8192, 0, "done"),
        ("finetune", "8k", 8192, 1, "diverged"),
        ("zeroshot", "0", 0, 0, "done"),
    ]
    assert dict(table.rows[0].metrics) == {schema.METRIC_TEST_LOSS_STDERR: 0.01}
    assert table.rows[4].reason == "loss is nan"
    assert [row.precision for row in table.rows[:2]] == ["bfloat16", None]


def test_what_cells_csv_says_of_its_cells_comes_back(tmp_path: Path) -> None:
    (row,) = table_of(
        tmp_path,
        "cell_id,stage,source,target,size,loss,unfinished,unseen_share,above_uniform\n"
        "x,finetune,en,ru,8k,1.5,0.004,0.8,False\n",
    ).rows
    assert dict(row.metrics) == {schema.METRIC_UNFINISHED: 0.004, schema.METRIC_UNSEEN_SHARE: 0.8}


def test_every_bad_row_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        table_of(
            tmp_path,
            "stage,source,target,size,seed,loss\n"
            "scratch,,de,8k,0,-1\n"
            "scratch,,de,8k,x,1.0\n"
            "\n"
            "finetune,,de,8k,0,inf\n"
            "finetune,en,de,0k,0,1.0\n"
            "tuned,en,de,8k,0,1.0\n"
            "scratch,,de,32k,0,1.0\n"
            "scratch,,de,32000,0,1.1\n"
            "scratch,,de,32k\n"
            "scratch,,de,9q,0,1.0\n"
            "scratch,,fi,8k,0,\n"
            "joint,,de,8k,0,1.0\n",
        )
    text = str(raised.value)
    for part in (
        "line 2: loss: expected nats per byte, more than 0, or nothing if it is missing, got '-1'",
        "line 3: seed",
        "line 5: loss",
        "line 6: size: expected more than 0 in a finetune row",
        "line 7: stage: expected one of pretrain, scratch, finetune, zeroshot, joint, got 'tuned'",
        "line 9: expected each cell once",
        "also in line 8",
        "6 values per line, separated by commas, got 4 in line 10",
        "line 11: size: expected a number of bytes",
        "lines 5, 13: source: expected a name, got nothing",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an empty one"),
        ("stage,target,loss\n", "size or size_bytes"),
        ("a,b\n1,2\n", "a column loss"),
        ("stage,target,size,los\nscratch,de,8k,1\n", "did you mean loss"),
        ("stage,target,size,loss,loss\nscratch,de,8k,1,1\n", "one column loss"),
        ("init_language,target,loss\n", "a column model_size"),
        (AUTHORS.splitlines()[0] + "\n", "at least one row"),
        (AUTHORS.splitlines()[0] + "\nscratch,de,small,0M,3\n", "at least one row"),
    ],
)
def test_a_file_that_is_no_table_of_losses(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        table_of(tmp_path, text)
    with pytest.raises(InputError, match="no file at"):
        read_losses(tmp_path / "absent.csv")


def analyzed_cells(uri: str, sweep: str) -> set[str]:
    """Stage, languages and size of the cells that are planned and have a run."""
    found = read_sweep(uri, sweep)
    runs = {run.tags[schema.TAG_CELL_ID] for run in found.cells}
    assert runs == {cell.cell_id for cell in found.plan or ()}
    return {"/".join(cell_id.split("/")[:3]) for cell_id in runs}


def dumped(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for the module: making one takes seconds."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    open_store(uri)
    return uri


def test_the_same_file_again_changes_nothing(tmp_path: Path, uri: str) -> None:
    table = table_of(tmp_path, AUTHORS)
    told: list[int] = []
    first = import_losses(table, uri, "same", "losses.csv", told.append)
    assert (first.num_cells, first.num_written, told[-1]) == (4, 4, 4)
    before = dumped(Path(uri.removeprefix("sqlite:///")))
    again = import_losses(table, uri, "same", "losses.csv")
    assert (again.num_cells, again.num_written) == (4, 0)
    assert dumped(Path(uri.removeprefix("sqlite:///"))) == before


def test_an_import_that_was_cut_off_is_finished(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(tmp_path, AUTHORS)
    client = open_store(uri)
    real = type(client).set_terminated
    calls: list[str] = []

    def dies(self: object, run_id: str, *rest: object, **more: object) -> None:
        calls.append(run_id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(self, run_id, *rest, **more)

    monkeypatch.setattr(type(client), "set_terminated", dies)
    with pytest.raises(KeyboardInterrupt):
        import_losses(table, uri, "cut", "losses.csv")
    monkeypatch.undo()
    done = import_losses(table, uri, "cut", "losses.csv")
    assert (done.num_cells, done.num_written) == (4, 2)
    runs = client.search_runs([done.experiment_id])
    assert len(runs) == 5  # four cells and one launch
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_corrected_file_replaces_what_it_corrects(tmp_path: Path, uri: str) -> None:
    import_losses(table_of(tmp_path, AUTHORS), uri, "corrected", "losses.csv")
    corrected = table_of(tmp_path, AUTHORS.replace("1.4", "1.35"))
    done = import_losses(corrected, uri, "corrected", "losses.csv")
    assert (done.num_cells, done.num_written) == (4, 1)


def test_the_name_of_a_trained_sweep_or_none_is_refused(tmp_path: Path, uri: str) -> None:
    table = table_of(tmp_path, AUTHORS)
    client = open_store(uri)
    Writer(client, uri, "trained").start_launch([], {}, "a real one")
    for name, expected in (("trained", "that of a trained sweep"), ("../up", "letters")):
        with pytest.raises(InputError, match=expected):
            import_losses(table, uri, name, "losses.csv")
    client.delete_experiment(client.get_experiment_by_name("trained").experiment_id)
    with pytest.raises(InputError, match="mlflow gc"):
        import_losses(table, uri, "trained", "losses.csv")


def test_a_bad_store_is_refused(tmp_path: Path) -> None:
    table = table_of(tmp_path, AUTHORS)
    for uri in ("http://127.0.0.1:99999", "sqlite:///relative.db", "ftp://x"):
        with pytest.raises(InputError, match="tracking_uri"):
            import_losses(table, uri, "x", "losses.csv")


def test_two_files_of_one_study_are_one_sweep(tmp_path: Path, uri: str) -> None:
    scratch = table_of(tmp_path, f"source,target,size,loss\n{SCRATCH_ROWS}")
    finetunes = table_of(tmp_path, "source,target,size,loss\nen,de,6M,1.4\n")
    import_losses(scratch, uri, "two", "scratch.csv")
    done = import_losses(finetunes, uri, "two", "finetunes.csv", add=True)
    assert (done.num_written, done.num_kept, done.num_dropped) == (1, 2, 0)
    found = analyzed_cells(uri, "two")
    assert found == {"scratch/de/6M", "scratch/de/60M", "finetune/en-de/6M"}
    again = import_losses(finetunes, uri, "two", "finetunes.csv", add=True)
    assert (again.num_written, again.num_kept) == (0, 2)
    assert analyzed_cells(uri, "two") == found
    alone = import_losses(finetunes, uri, "two", "finetunes.csv")
    assert (alone.num_written, alone.num_dropped) == (0, 2)
    assert analyzed_cells(uri, "two") == {"finetune/en-de/6M"}


def test_a_replaced_row_leaves_nothing_to_warn_of(tmp_path: Path, uri: str) -> None:
    import_losses(table_of(tmp_path, AUTHORS), uri, "replaced", "losses.csv")
    done = import_losses(
        table_of(tmp_path, AUTHORS.replace("1.4", "1.35")), uri, "replaced", "losses.csv"
    )
    assert (done.num_written, done.num_replaced, done.num_dropped) == (1, 1, 0)
    sweep = read_sweep(uri, "replaced")
    planned = {cell.fingerprint for cell in sweep.plan or ()}
    assert {run.tags[schema.TAG_FINGERPRINT] for run in sweep.cells} == planned


def test_a_file_whose_name_is_none_gets_one_proposed(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="such as --name My-losses-v2"):
        import_losses(table_of(tmp_path, AUTHORS), uri, "My losses (v2)", "losses.csv")
