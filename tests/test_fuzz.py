"""Mutated small files: each reader and importer reads them, or refuses them by `InputError`."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydt.corpora.sources.files import read_file
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus, parse_corpus
from raydt.losses.table import read_losses
from tests.mutated_files import Mutation, accepted, fuzzed, mutated, mutations

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
