"""Text in every form it comes in, and in every form it should not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources import read_parquet, read_text
from raydt.corpora.sources.files import read_files
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.errors import InputError

TEXTS = [f"document {number} grüßt 日本\nand ends" for number in range(50)]


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, "zstd", asbytes=True)
    return packed


def documents(spec: FilesCorpus, language: str = "xx", position: object = None) -> list[str]:
    blocks = read_files(spec, locate(spec).files[language], position)  # type: ignore[arg-type]
    return [
        document.removesuffix(b"\0").decode()
        for block in blocks
        for document in block.documents.to_pylist()
    ]


def rows(key: str = "text") -> bytes:
    lines = (json.dumps({"url": "x", key: text, "n": [1]}) for text in TEXTS)
    return "\n".join(lines).encode()


@pytest.mark.parametrize("small", [True, False], ids=["small blocks", "blocks"])
@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "paragraphs.gz"])
def test_every_format_gives_the_same_documents_and_goes_on_anywhere(
    tmp_path: Path, form: str, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        monkeypatch.setattr(read_text, "_BLOCK_BYTES", 100)
        monkeypatch.setattr(read_parquet, "_BLOCK_BYTES", 100)
        monkeypatch.setattr(read_parquet, "_GROUP_BYTES", 0)
    spec = FilesCorpus(tmp_path)
    if form == "parquet":
        table = pa.table({"n": range(50), "text": TEXTS})
        pq.write_table(table, tmp_path / "xx.parquet", row_group_size=20)
    elif form == "paragraphs.gz":
        spec = FilesCorpus(tmp_path, documents="paragraph")
        data = "\r\n \r\n\r\n".join(text.replace("\n", "\r\n") for text in TEXTS).encode()
        (tmp_path / "xx.txt.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf\r\n" + data))
    else:
        pack = {"jsonl": bytes, "jsonl.gz": gzip.compress, "jsonl.zst": zstd}[form]
        (tmp_path / f"xx.{form}").write_bytes(pack(rows()))
    assert documents(spec) == TEXTS
    blocks = list(read_files(spec, locate(spec).files["xx"]))
    assert len(blocks) > 10 if small else len(blocks) <= 3
    num_before = 0
    for block in blocks:
        num_before += len(block.documents)
        assert documents(spec, position=block.position) == TEXTS[num_before:]
    assert blocks[-1].num_bytes_read == locate(spec).files["xx"][0].stat().st_size


def test_lines_and_whole_files_of_a_folder_a_language(tmp_path: Path) -> None:
    folder = tmp_path / "xx"
    folder.mkdir()
    (folder / "2.txt").write_bytes(b"c\n\nd")
    (folder / "1.txt.gz").write_bytes(gzip.compress(b"a\nb\n"))
    (folder / "notes.md").write_text("no text of the language")
    (folder / "3.txt").write_bytes(b"")
    assert locate(FilesCorpus(tmp_path)).languages == ["xx"]
    assert documents(FilesCorpus(tmp_path)) == ["a", "b", "c", "", "d"]
    assert documents(FilesCorpus(tmp_path, documents="file")) == ["a\nb", "c\n\nd"]


def test_a_parquet_without_the_column_names_those_there_are(tmp_path: Path, root: Path) -> None:
    pq.write_table(pa.table({"content": ["a"], "n": [1]}), tmp_path / "xx.parquet")
    with pytest.raises(InputError, match=r"a column 'text'.*columns 'content', 'n'"):
        prepare_language(locate(FilesCorpus(tmp_path)), "xx", 0, 0, 0, root)
    with pytest.raises(InputError, match="text in column 'n', got int64"):
        documents(FilesCorpus(tmp_path, column="n"))
    assert documents(FilesCorpus(tmp_path, column="content")) == ["a"]
    (tmp_path / "xx.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="a complete parquet file"):
        documents(FilesCorpus(tmp_path))


def test_jsonl_without_the_column_or_without_json(tmp_path: Path) -> None:
    path = tmp_path / "xx.jsonl"
    path.write_bytes(rows("content"))
    with pytest.raises(InputError, match=r"a column 'text'.*got columns 'url', 'content', 'n'"):
        documents(FilesCorpus(tmp_path))
    path.write_bytes(b'{"text": "a"}\n{"text": \n')
    with pytest.raises(InputError, match=r"xx.jsonl, line 2: expected one JSON object per line"):
        documents(FilesCorpus(tmp_path))
    path.write_bytes(b'{"text": 5}\n')
    with pytest.raises(InputError, match=r"xx.jsonl, line 1: expected text in column 'text'"):
        documents(FilesCorpus(tmp_path))


def test_rows_without_text_keep_their_index_and_are_counted(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "xx.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": null}\n{"n": 1}\n{"text": "b\\u0000\\r\\nc"}\n')
    assert documents(FilesCorpus(tmp_path)) == ["a", "", "", "b\nc"]
    dropped = prepare_language(locate(FilesCorpus(tmp_path)), "xx", 0, 0, 0, root).manifest.dropped
    assert {name: number for name, number in dropped.items() if number} == {
        "rows without text": 2,
        "NUL bytes": 1,
    }


@pytest.mark.parametrize("suffix", ["txt.gz", "jsonl.gz", "txt.zst"])
def test_a_truncated_archive_is_an_error_and_not_a_short_text(
    tmp_path: Path, root: Path, suffix: str
) -> None:
    path = tmp_path / f"xx.{suffix}"
    data = rows() * 3 if "jsonl" in suffix else "\n".join(TEXTS * 100).encode()
    packed = zstd(data) if suffix.endswith("zst") else gzip.compress(data)
    path.write_bytes(packed[:-20])
    with pytest.raises(InputError) as caught:
        prepare_language(locate(FilesCorpus(tmp_path)), "xx", 0, 0, 0, root)
    assert str(path) in str(caught.value)
    assert not (root / FilesCorpus(tmp_path).key).exists()


@pytest.mark.parametrize(
    ("policy", "expected", "count"),
    [
        ("replace", ["one", "caf\ufffd", "two"], "documents with replaced bytes"),
        ("skip", ["one", "", "two"], "documents that are not UTF-8"),
    ],
)
@pytest.mark.parametrize("form", ["txt", "jsonl", "parquet"])
def test_text_that_is_not_utf8_by_policy(
    tmp_path: Path, root: Path, form: str, policy: str, expected: list[str], count: str
) -> None:
    values = [b"one", b"caf\xe9", b"two"]
    path = tmp_path / f"xx.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"text": pa.array(values, pa.binary())}), path)
    else:
        lines = values if form == "txt" else [b'{"text": "%s"}' % value for value in values]
        path.write_bytes(b"\n".join(lines) + b"\n")
    spec = FilesCorpus(tmp_path, not_utf8=policy)  # type: ignore[arg-type]
    assert documents(spec) == expected
    dropped = prepare_language(locate(spec), "xx", 0, 0, 0, root).manifest.dropped
    assert {name: number for name, number in dropped.items() if number} == {count: 1}
    with pytest.raises(InputError, match=r"0xe9.*(at offset|of row 1)"):
        documents(FilesCorpus(tmp_path))


def test_normalisation_is_recorded(tmp_path: Path, root: Path) -> None:
    (tmp_path / "xx.txt").write_text("e\u0301te\u0301\nplain\n")
    assert documents(FilesCorpus(tmp_path)) == ["e\u0301te\u0301", "plain"]
    spec = FilesCorpus(tmp_path, normalise="NFC")
    assert documents(spec) == ["\u00e9t\u00e9", "plain"]
    assert prepare_language(locate(spec), "xx", 0, 0, 0, root).manifest.normalisation == "NFC"
