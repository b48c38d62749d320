"""Mutated small files: each reader and importer reads them, or refuses them by `InputError`."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydt.corpora.sources.files import read_file
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus, parse_corpus
from raydt.errors import InputError
from raydt.tracking.loss_table import read_losses

ROWS = [{"text": "grüßt 日本"}, {"text": None}, {"n": 1}, {"text": "a\nb", "t": {"de": "x"}}]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
CONLLU = (
    b"# newdoc\n# text = Am Haus.\n1-2\tAm\t_\t_\t_\t_\t_\t_\t_\t_\n"
    b"1\tAn\tan\tADP\t_\tCase=Dat\t0\troot\t_\t_\n2\tdem\tder\tDET\t_\t_\t1\tdet\t_\t_\n"
    b"3\tHaus\tHaus\tNOUN\t_\t_\t1\tobj\t_\tSpaceAfter=No\n\n1\tJa\tja\tX\t_\t_\t0\troot\t_\t_\n\n"
)
OWN = b"stage,source,target,size,seed,loss\nscratch,,de,8k,0,2.5\nfinetune,en,de,8k,0,2.25\n"
AUTHORS = (
    b"init_language,target,model_size,data_size,loss\nscratch,de,small,6M,2.5\nen,de,small,0M,3\n"
)


def parquet() -> bytes:
    stream = io.BytesIO()
    table = pa.table(
        {
            "text": ["grüßt", None, "b" * 50],
            "t": [{"de": "x"}, None, {"de": None}],
            "l": [["a"]] * 3,
        }
    )
    pq.write_table(table, stream)
    return stream.getvalue()


def packed(codec: str) -> bytes:
    stream = io.BytesIO()
    with pa.CompressedOutputStream(pa.PythonFile(stream, "w"), codec) as out:
        out.write(b"eins\nzwei\n" * 20)
        out.flush()
        return stream.getvalue()


TEXT = b"Ein Absatz.\n\n \nZwei\r\n\0drei\n"
TEXTS = {
    "txt": TEXT,
    "txt.gz": gzip.compress(TEXT * 5),
    "txt.bz2": bz2.compress(TEXT * 5),
    "txt.xz": lzma.compress(TEXT * 5),
    "txt.zst": packed("zstd"),
    "txt.lz4": packed("lz4"),
    "jsonl": JSONL,
    "tsv": b'id\ttext\n1\teins\n2\tz"wei\n',
    "csv": b'id,text\n1,"ei\nns"\n2,zwei\n',
    "conllu": CONLLU,
    "parquet": parquet(),
}
OPTIONS = [
    "",
    "not_utf8=skip&odd_rows=skip",
    "not_utf8=replace&odd_rows=skip&lists=join",
    "documents=paragraph&normalise=NFC",
    "documents=file&not_utf8=skip",
    "field=2&odd_rows=skip",
    "column=t.de",
    "column=l&lists=join",
    "encoding=utf-16-le&not_utf8=skip",
    "encoding=utf-7",
    "encoding=shift_jis&not_utf8=replace",
    "format=jsonl&odd_rows=skip",
    "format=csv",
    "format=conllu",
]
TABLES = {
    "own.csv": OWN,
    "authors.csv": AUTHORS,
    "semicolons.csv": AUTHORS.replace(b",", b";").replace(b".", b","),
    "excel.txt": AUTHORS.replace(b",", b"\t").decode().encode("utf-16"),
    "rows.jsonl": b'{"stage":"scratch","target":"de","size":"8k","loss":2.5}\n',
    "array.json": b'[{"stage":"scratch","target":"de","size":8000,"loss":2.5,"x":{"y":[1]}}]',
}
INSERTED = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"\t", b"\n", b"\r", b"\0", b"\xff", b"\xc3"]
INSERTED += [
    b"\\ud800",
    b"null",
    b"7",
    b"-1",
    b"1e999",
    b"=",
    b";",
    b"#",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
]
INSERTED += ["日".encode(), b"A" * 300, b"[" * 3000, b"1-2\t", b"nan"]

Mutation = tuple[str, float, float, bytes]
mutations = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "replace", "cut", "double"]),
        st.floats(0, 1),
        st.floats(0, 0.3),
        st.one_of(st.sampled_from(INSERTED), st.binary(max_size=8)),
    ),
    max_size=4,
)


def mutated(data: bytes, changes: list[Mutation]) -> bytes:
    for kind, place, share, piece in changes:
        at = int(place * len(data))
        end = min(len(data), at + 1 + int(share * 20))
        if kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "delete":
            data = data[:at] + data[end:]
        elif kind == "replace":
            data = data[:at] + piece + data[end:]
        elif kind == "cut":
            data = data[:at]
        else:
            data = data[:end] + data[at:]
    return data


def accepted(work: Callable[[], object]) -> None:
    """Done, or refused in words."""
    try:
        work()
    except InputError as error:
        for problem in error.problems:
            assert "Error" not in problem.found.partition(":")[0], problem
            assert len(str(problem)) < 6000


fuzzed = settings(
    max_examples=int(__import__("os").environ.get("N", "150")),
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("name", TEXTS)
@fuzzed
@given(changes=mutations, options=st.sampled_from(OPTIONS))
def test_texts(name: str, changes: list[Mutation], options: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"de.{name}"
        path.write_bytes(mutated(TEXTS[name], changes))
        spec = parse_corpus(f"files:{folder}{f'?{options}' if options else ''}")
        assert isinstance(spec, FilesCorpus)

        def read() -> None:
            assert locate(spec).languages == ["de"]
            for block in read_file(spec, path):
                documents = block.documents.to_pylist()
                assert all(each.endswith(b"\0") and each.count(b"\0") == 1 for each in documents)
                for each in documents:
                    each.decode()

        accepted(read)


@pytest.mark.parametrize("name", TABLES)
@fuzzed
@given(changes=mutations)
def test_tables(name: str, changes: list[Mutation]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(mutated(TABLES[name], changes))
        accepted(lambda: read_losses(path, ["nominal"]))
