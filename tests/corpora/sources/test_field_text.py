"""Text as people have it, row by row of what is reported in public; each with its siblings."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.files import read_files
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus, parse_corpus
from raydt.errors import InputError


def spec_of(path: object, options: str = "") -> FilesCorpus:
    spec = parse_corpus(f"files:{path}{f'?{options}' if options else ''}")
    assert isinstance(spec, FilesCorpus)
    return spec


def texts(
    spec: FilesCorpus, language: str = "de", counts: dict[str, int] | None = None
) -> list[str]:
    """The documents of a language, as its check lets them be read."""
    corpus = locate(spec)
    problems = check_corpus(corpus, {language: 1}, 0, 0)
    if problems:
        raise InputError(problems)
    found: list[str] = []
    for block in read_files(spec, corpus.files[language]):
        found += [text.removesuffix(b"\0").decode() for text in block.documents.to_pylist()]
        if counts is not None:
            for name, number in block.counts.items():
                counts[name] = counts.get(name, 0) + number
    return found


def refusal(spec: FilesCorpus, language: str = "de") -> str:
    with pytest.raises(InputError) as caught:
        texts(spec, language)
    (problem,) = caught.value.problems
    return str(problem)


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# Row 1: a package of several tables, and a field of a line with tabs.


def leipzig(folder: Path) -> None:
    name = "deu_news_2020_10K"
    sentences = "".join(f"{number}\tEin Satz, der {number}.\n" for number in range(1, 50))
    put(folder / name / f"{name}-sentences.txt", sentences)
    for table in ("words", "co_n", "co_s", "inv_w", "inv_so", "sources"):
        put(folder / name / f"{name}-{table}.txt", "1\tx\t2\n")
    put(folder / name / f"{name}-import.sql", "CREATE TABLE x")


def test_tables_of_a_package_are_not_swallowed(tmp_path: Path) -> None:
    leipzig(tmp_path)
    message = refusal(spec_of(tmp_path), "deu_news_2020_10K")
    assert "?only=sentences" in message
    assert "words" in message
    assert texts(spec_of(tmp_path, "only=sentences"), "deu_news_2020_10K")[0].startswith("1\t")
    spec = spec_of(tmp_path, "only=sentences&field=2")
    assert texts(spec, "deu_news_2020_10K")[:2] == ["Ein Satz, der 1.", "Ein Satz, der 2."]


@pytest.mark.parametrize("name", ["deu.tsv", "deu.txt", "deu.tsv.bz2"])
def test_a_field_of_a_line_with_tabs(tmp_path: Path, name: str) -> None:
    data = b'77\tdeu\tEr sagte: "Ja\r\n\n78\tdeu\tNA\n'
    put(tmp_path / name, bz2.compress(data) if name.endswith("bz2") else data)
    assert texts(spec_of(tmp_path, "field=3"), "deu") == ['Er sagte: "Ja', "", "NA"]
    message = refusal(spec_of(tmp_path, "field=4"), "deu")
    assert "line 1: expected a line with at least 4 fields" in message
    counts: dict[str, int] = {}
    assert texts(spec_of(tmp_path, "field=4&odd_rows=skip"), "deu", counts) == ["", "", ""]
    assert counts["rows that are no text"] == 2


def test_a_column_of_a_table_by_its_header(tmp_path: Path) -> None:
    put(tmp_path / "de.tsv", "id\ttext\n1\teins\n2\tzwei\n")
    put(tmp_path / "en.csv", 'id;text\n1;"one\nand ""more"""\n2;two\n3\n')
    assert texts(spec_of(tmp_path)) == ["eins", "zwei"]
    assert "line 5: expected a line with at least 2 fields" in refusal(spec_of(tmp_path), "en")
    assert texts(spec_of(tmp_path, "odd_rows=skip"), "en") == ['one\nand "more"', "two", ""]
    message = refusal(spec_of(tmp_path, "column=sentence"))
    assert "?column=NAME" in message
    assert "'id', 'text'" in message
    put(tmp_path / "fi.csv", 'id,text\n1,"never closed\n')
    assert "a record of CSV" in refusal(spec_of(tmp_path), "fi")


def test_tables_of_a_package_in_the_folder_itself(tmp_path: Path) -> None:
    leipzig(tmp_path)
    folder = tmp_path / "deu_news_2020_10K"
    assert locate(spec_of(folder)).languages == ["deu_news_2020_10K"]
    assert "?only=sentences" in refusal(spec_of(folder), "deu_news_2020_10K")
    spec = spec_of(folder, "only=sentences&field=2")
    assert texts(spec, "deu_news_2020_10K")[0] == "Ein Satz, der 1."


def test_quotation_marks_of_lines_with_tabs_named_csv(tmp_path: Path) -> None:
    put(tmp_path / "de.csv", '77\tdeu\t"Ja", sagte er.\n' * 3)
    assert "?format=tsv" in refusal(spec_of(tmp_path, "field=3"))
    assert texts(spec_of(tmp_path, "field=3&format=tsv")) == ['"Ja", sagte er.'] * 3


def test_a_treebank(tmp_path: Path) -> None:
    data = (
        "# newdoc id = a\n# text = Vom Haus.\n1-2\tVom\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "1\tVon\tvon\tADP\t_\t_\t0\troot\t_\t_\n2\tdem\tder\tDET\t_\t_\t1\tdet\t_\t_\n"
        "3\tHaus\tHaus\tNOUN\t_\t_\t1\tobj\t_\tSpaceAfter=No\n4\t.\t.\tPUNCT\t_\t_\t1\tp\t_\t_\n\n"
        "1-2\tVom\t_\t_\t_\t_\t_\t_\t_\t_\n1\tVon\tvon\tADP\t_\t_\t0\troot\t_\t_\n"
        "2\tdem\tder\tDET\t_\t_\t1\tdet\t_\t_\n3\tHaus\tHaus\tNOUN\t_\t_\t1\tobj\t_\tSpaceAfter=No\n"
        "4\t.\t.\tPUNCT\t_\t_\t1\tp\t_\t_\n\n"
    )
    put(tmp_path / "de.conllu.gz", gzip.compress(data.encode()))
    assert texts(spec_of(tmp_path)) == ["Vom Haus.", "Vom Haus."]
    assert texts(spec_of(tmp_path, "documents=paragraph")) == ["Vom Haus. Vom Haus."]
    put(tmp_path / "en.conllu", "1\ttoo\tfew\n\n")
    assert "CoNLL-U" in refusal(spec_of(tmp_path), "en")


# Row 2: encodings that are declared or refused.

RUSSIAN = "Привет, мир.\n"
JAPANESE = "こんにちは、世界。今日は良い天気です。\n"


@pytest.mark.parametrize(
    ("encoding", "line", "is_named"),
    [
        ("utf-16-le", RUSSIAN, True),
        ("utf-16-be", RUSSIAN, True),
        ("utf-16", RUSSIAN, True),
        ("utf-32", RUSSIAN, True),
        ("iso2022_jp", JAPANESE, True),
        ("utf-7", RUSSIAN, True),
        ("utf-16-le", "你好，世界。\n", True),
        ("utf-16-be", "你好，世界。\n", True),
        ("utf-32-le", RUSSIAN, True),
        ("iso2022_kr", "안녕하세요 세계.\n", True),
        ("hz", "你好，世界。今天天气很好。\n", True),
        ("cp1251", RUSSIAN, False),
        ("shift_jis", JAPANESE, False),
        ("gb18030", "你好，世界。\n", False),
        ("latin-1", "Grüße\n", False),
    ],
)
@pytest.mark.parametrize("form", ["txt", "txt.xz", "jsonl"])
def test_an_encoding_is_declared_or_refused(
    tmp_path: Path, encoding: str, line: str, is_named: bool, form: str
) -> None:
    if form == "jsonl":
        line = json.dumps({"text": line.strip()}, ensure_ascii=False) + "\n"
    data = (line * 5000).encode(encoding)
    put(tmp_path / f"de.{form}", lzma.compress(data) if form.endswith("xz") else data)
    message = refusal(spec_of(tmp_path))
    assert "encoding=" in message
    if is_named and form != "jsonl":
        assert f"encoding={encoding}" in message
    expected = json.loads(line)["text"] if form == "jsonl" else line.strip()
    found = texts(spec_of(tmp_path, f"encoding={encoding}"))
    assert len(found) == 5000
    assert set(found) == {expected}


@pytest.mark.parametrize("name", ["idna", "punycode", "undefined", "base64", "klingon"])
def test_what_is_no_encoding_of_files_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="a text encoding of Python"):
        parse_corpus(f"files:/data?encoding={name}")


def test_the_colours_of_a_terminal_are_named(tmp_path: Path) -> None:
    put(tmp_path / "de.txt", "\x1b[31mrot\x1b[0m\n" * 50)
    assert "terminal colours" in refusal(spec_of(tmp_path))


def test_what_a_declared_encoding_has_not_follows_the_policy(tmp_path: Path) -> None:
    put(tmp_path / "de.txt", "gut\n".encode("utf-16-le") + b"\x00\xd8a\0\n\0" + b"o\0k\0\n\0")
    message = refusal(spec_of(tmp_path, "encoding=utf-16-le"))
    assert "text in utf-16-le" in message
    assert "line 2" in message
    assert texts(spec_of(tmp_path, "encoding=utf-16-le&not_utf8=skip"))[::2] == ["gut", "ok"]


@pytest.mark.parametrize("form", ["txt", "jsonl.gz", "parquet", "csv"])
def test_a_pointer_in_place_of_a_file(tmp_path: Path, form: str) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    put(tmp_path / f"de.{form}", pointer)
    assert "git lfs pull" in refusal(spec_of(tmp_path))


def archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (archive(), "a tar archive"),
        (gzip.compress(archive(), mtime=0), "gzip"),
        (b"PK\x03\x04rest", "a zip archive"),
        (lzma.compress(b"text"), "xz"),
        (b"%PDF-1.4\n" + b"text\n" * 10, "a PDF"),
        (b"ab\x01\x02\x03" * 100, "control bytes"),
        (b"\0" * 1000, "NUL bytes"),
        (gzip.compress(gzip.compress(b"text")), "gzip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",  # no times, no bytes
)
def test_what_is_no_text_though_it_is_named_so(tmp_path: Path, data: bytes, found: str) -> None:
    put(tmp_path / "de.txt", data)
    assert found in refusal(spec_of(tmp_path))
    if found != "gzip":
        put(tmp_path / "de.txt", b"").unlink()
        put(tmp_path / "de.txt.gz", gzip.compress(data))
        assert found in refusal(spec_of(tmp_path))


def test_utf16_in_a_binary_column(tmp_path: Path) -> None:
    column = pa.array([RUSSIAN.encode("utf-16-le")] * 50, pa.binary())
    pq.write_table(pa.table({"text": column}), tmp_path / "de.parquet")
    assert "NUL" in refusal(spec_of(tmp_path)) or "control" in refusal(spec_of(tmp_path))


# Rows 3 and 4: rows of JSON that are odd.


def test_half_a_surrogate_follows_the_policy(tmp_path: Path) -> None:
    put(tmp_path / "de.jsonl", '{"text":"one"}\n\n{"text":"a\\ud800b"}\n{"text":"two"}\n')
    message = refusal(spec_of(tmp_path))
    assert "de.jsonl, line 3" in message
    assert "not_utf8" in message
    assert texts(spec_of(tmp_path, "not_utf8=replace")) == ["one", "a\ufffdb", "two"]
    counts: dict[str, int] = {}
    assert texts(spec_of(tmp_path, "not_utf8=skip"), "de", counts) == ["one", "", "two"]
    assert counts["documents that are not UTF-8"] == 1


@pytest.mark.parametrize(
    "row",
    ['{"text":5}', '{"text":["a","b"]}', '{"text":{"a":1}}', "7", "null", '"x"', '{"text":', "x"],
)
def test_an_odd_row_is_an_error_with_its_line_or_skipped_and_counted(
    tmp_path: Path, row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 64)
    before = '{"text":"fine"}\n' * 100
    put(tmp_path / "de.jsonl", f"{before}{row}\n{before}")
    assert "line 101" in refusal(spec_of(tmp_path))
    counts: dict[str, int] = {}
    found = texts(spec_of(tmp_path, "odd_rows=skip"), "de", counts)
    assert found == ["fine"] * 100 + [""] + ["fine"] * 100
    assert counts["rows that are no text"] == 1


def test_rows_without_text_in_whole_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 64)
    put(
        tmp_path / "de.jsonl", '{"text":null}\n{"n":1}\n' * 50 + '{"text":"a"}\n' + '{"n":1}\n' * 50
    )
    counts: dict[str, int] = {}
    assert [text for text in texts(spec_of(tmp_path), "de", counts) if text] == ["a"]
    assert counts["rows without text"] == 150


def test_a_column_that_no_row_has(tmp_path: Path, root: Path) -> None:
    put(tmp_path / "de.jsonl", '{"context":"x"}\n')
    assert "columns 'context'" in refusal(spec_of(tmp_path))
    put(tmp_path / "en.json", '{"data":[{"text":"a"}]}\n')
    with pytest.raises(InputError, match=r"\?column=NAME.*1 rows without text"):
        prepare_language(locate(spec_of(tmp_path)), "en", 0, 0, 0, root)


def test_an_array_of_all_rows(tmp_path: Path) -> None:
    put(tmp_path / "de.json", json.dumps([{"text": "a"}, {"text": "b"}], indent=1))
    message = refusal(spec_of(tmp_path))
    assert "one array of all rows" in message
    assert "jq -c" in message


def test_columns_within_others_and_lists_in_json(tmp_path: Path) -> None:
    put(tmp_path / "de.jsonl", '{"translation":{"de":"eins"}}\n{"translation":null}\n')
    assert texts(spec_of(tmp_path, "column=translation.de")) == ["eins", ""]
    put(tmp_path / "en.jsonl", '{"text":["a",null,"b"]}\n{"text":"c"}\n')
    assert "lists=join" in refusal(spec_of(tmp_path), "en")
    assert texts(spec_of(tmp_path, "lists=join"), "en") == ["a\nb", "c"]
    put(tmp_path / "fi.jsonl", '{"a.b":"eins"}\n{"a":{"b":"zwei"}}\n')
    assert texts(spec_of(tmp_path, "column=a.b"), "fi") == ["eins", "zwei"]
    put(tmp_path / "pt.jsonl", '"eins"\n')
    assert "one JSON object per line" in refusal(spec_of(tmp_path), "pt")


def test_a_row_over_several_lines_says_what_joins_them(tmp_path: Path) -> None:
    put(tmp_path / "de.json", json.dumps({"text": "a"}, indent=1) + "\n")
    assert "`jq -c . de.json`" in refusal(spec_of(tmp_path))


# Rows 6 and 7: names and layouts as they are published.


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("c4-de.tfrecord-00000.json.gz", "c4-{language}.tfrecord-*.json.gz"),
        ("de.txt.xz", ""),
        ("de.txt.bz2", ""),
        ("de.TXT", ""),
        ("de.Txt.GZ", ""),
        ("de.ndjson", ""),
        ("de.json", ""),
        ("de.text", ""),
        ("dev/de.dev", "dev/{language}.dev"),
        ("Tatoeba.de-en.de", "Tatoeba.de-en.{language}"),
        ("Tatoeba.de-en.de.gz", "Tatoeba.de-en.{language}"),
        ("de/AA/wiki_00", "{language}/*/wiki_*"),
        ("de/AA/wiki_00.bz2", "{language}/**/wiki_*"),
        ("de/part/a.txt", ""),
        ("data/de/part/a.txt", ""),
        ("data-v1p5/de/a.txt", ""),
        ("newstest-ref.de.sgm", "newstest-ref.{language}.sgm"),
        ("docs/de.md", "docs/{language}.md"),
        ("train/de.txt", ""),
    ],
)
def test_names_as_they_are_published(tmp_path: Path, name: str, where: str) -> None:
    is_json = "json" in name
    data = (b'{"text":"eins"}\n' if is_json else b"eins\n") * 3
    lowered = name.lower()
    if lowered.endswith(".gz"):
        data = gzip.compress(data)
    elif lowered.endswith(".xz"):
        data = lzma.compress(data)
    elif lowered.endswith(".bz2"):
        data = bz2.compress(data)
    put(tmp_path / name, data)
    put(tmp_path / "README.txt", "about")
    put(tmp_path / "de" / "README.md", "about")
    assert texts(spec_of(tmp_path / where)) == ["eins"] * 3
    assert locate(spec_of(tmp_path)).languages in (["de"], []) or where


def test_two_languages_of_one_name_are_not_one(tmp_path: Path) -> None:
    for language in ("de", "fi"):
        put(tmp_path / f"Tatoeba.de-fi.{language}", f"{language}\n" * 3)
    assert "the pattern Tatoeba.de-fi.{language} reads it" in refusal(spec_of(tmp_path))
    message = refusal(spec_of(tmp_path, "format=txt"), "Tatoeba")
    assert "the pattern Tatoeba.de-fi.{language}" in message
    assert "got Tatoeba.de-fi with .de, .fi" in message
    assert texts(spec_of(tmp_path / "Tatoeba.de-fi.{language}")) == ["de"] * 3
    assert len(texts(spec_of(tmp_path, "format=txt&only=all"), "Tatoeba")) == 6
    # Pieces of one file, as `split` names them.
    for end in ("aa", "ab"):
        put(tmp_path / "pieces" / f"de.{end}", f"{end}\n")
    assert texts(spec_of(tmp_path / "pieces", "format=txt")) == ["aa", "ab"]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_name_that_says_packed_of_what_is_not(tmp_path: Path, suffix: str) -> None:
    put(tmp_path / f"de.txt.{suffix}", "plain text\n")
    assert "as in its name, got other bytes" in refusal(spec_of(tmp_path))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("de.txt.part", "an unfinished download"),
        ("de.jsonl.gz.crdownload", "an unfinished download"),
        ("de.txt.Z", "a compression that raydt cannot read"),
        ("de.txt.br", "a compression that raydt cannot read"),
        ("_SUCCESS", "about the corpus"),
        ("de.srt", "files have markup"),
        ("de.txt~", "files are not text"),
        ("français.txt", "ASCII letters"),
        ("de.tgz", "an archive"),
    ],
)
def test_why_a_file_is_passed_over(tmp_path: Path, name: str, reason: str) -> None:
    put(tmp_path / name, "eins\n")
    (passed,) = locate(spec_of(tmp_path)).skipped
    assert reason in passed.reason


def test_a_pattern_says_what_it_lacks(tmp_path: Path) -> None:
    put(tmp_path / "de" / "a.txt", "eins\n")
    (passed,) = locate(spec_of(tmp_path / "{language}")).skipped
    assert "a folder: the pattern must match files" in passed.reason
    for pattern in ("*.txt", "{lang}.txt"):
        assert "a pattern with {language} in place" in refusal(spec_of(tmp_path / pattern))


def test_several_streams_in_one_file(tmp_path: Path) -> None:
    for pack, suffix in ((gzip.compress, "gz"), (bz2.compress, "bz2"), (lzma.compress, "xz")):
        put(tmp_path / suffix / f"de.txt.{suffix}", pack(b"eins\n") + pack(b"zwei\n"))
        assert texts(spec_of(tmp_path / suffix)) == ["eins", "zwei"]
    for suffix, codec in (("zst", "zstd"), ("lz4", "lz4")):
        packed = b""
        for line in (b"eins\n", b"zwei\n"):
            with (
                pa.OSFile(str(tmp_path / "part"), "wb") as part,
                pa.CompressedOutputStream(part, codec) as out,
            ):
                out.write(line)
            packed += (tmp_path / "part").read_bytes()
        put(tmp_path / suffix / f"de.txt.{suffix}", packed)
        assert texts(spec_of(tmp_path / suffix)) == ["eins", "zwei"]


def test_what_is_passed_over_is_named(tmp_path: Path) -> None:
    put(tmp_path / "deu_Latn.dev", "eins\n")
    put(tmp_path / "de.zip", b"PK\x03\x04")
    message = refusal(spec_of(tmp_path), "deu_Latn")
    assert "deu_Latn.dev: unknown suffix .dev (?format=txt reads it)" in message
    assert "de.zip: an archive" in message
    assert texts(spec_of(tmp_path, "format=txt"), "deu_Latn") == ["eins"]
    put(tmp_path / "wiki" / "de" / "AA" / "wiki_00", "eins\n")
    assert "wiki_00" in refusal(spec_of(tmp_path / "wiki"))


def fineweb(folder: Path, language: str = "deu_Latn") -> None:
    for name, split in ((language, "train"), (language, "test"), (f"{language}_removed", "train")):
        path = folder / "data" / name / split / "000_00000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"text": [f"{name} {split}"]}), path)


def test_train_and_test_are_not_mixed_in_silence(tmp_path: Path) -> None:
    fineweb(tmp_path)
    assert locate(spec_of(tmp_path)).languages == ["deu_Latn", "deu_Latn_removed"]
    message = refusal(spec_of(tmp_path), "deu_Latn")
    assert "?only=train" in message
    assert "test" in message
    assert texts(spec_of(tmp_path, "only=train"), "deu_Latn") == ["deu_Latn train"]
    assert len(texts(spec_of(tmp_path, "only=all"), "deu_Latn")) == 2
    assert texts(spec_of(tmp_path / "data" / "{language}" / "train" / "*"), "deu_Latn") == [
        "deu_Latn train"
    ]


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (("de/clean_docs_0.jsonl.gz", "de/noisy_docs_0.jsonl.gz"), "clean"),
        (("de/train-00000-of-00001.jsonl.gz", "de/validation-00000-of-00001.jsonl.gz"), "train"),
        (("train/de.jsonl.gz", "test/de.jsonl.gz"), "train"),
        (("de/a.jsonl.gz", "de/test/a.jsonl.gz"), ""),
        (("de-train.jsonl.gz", "de-test.jsonl.gz"), "train"),
        (("de.train.jsonl.gz", "de.dev.jsonl.gz"), "train"),
        (("de_clean.jsonl.gz", "de_noisy.jsonl.gz"), "clean"),
        (("de/validated.jsonl.gz", "de/invalidated.jsonl.gz"), "validated"),
    ],
)
def test_files_of_two_kinds(tmp_path: Path, names: tuple[str, str], word: str) -> None:
    for name in names:
        put(tmp_path / name, gzip.compress(json.dumps({"text": name}).encode()))
    message = refusal(spec_of(tmp_path))
    assert "files of one kind" in message
    if word:
        assert f"?only={word}" in message
        assert texts(spec_of(tmp_path, f"only={word}")) == [names[0]]


# Row 10: columns of parquet.


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view()],
    ids=str,
)
def test_kinds_of_text_in_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(
        pa.table({"text": pa.array(["eins", None, "zwei"], kind)}), tmp_path / "de.parquet"
    )
    counts: dict[str, int] = {}
    assert texts(spec_of(tmp_path), "de", counts) == ["eins", "", "zwei"]
    assert counts["rows without text"] == 1


def test_a_shard_without_any_text(tmp_path: Path, root: Path) -> None:
    (tmp_path / "de").mkdir()
    pq.write_table(pa.table({"text": pa.nulls(3)}), tmp_path / "de" / "0.parquet")
    pq.write_table(pa.table({"text": ["eins", "zwei"]}), tmp_path / "de" / "1.parquet")
    assert texts(spec_of(tmp_path)) == ["", "", "", "eins", "zwei"]
    prepared = prepare_language(locate(spec_of(tmp_path)), "de", 0, 0, 0, root)
    assert prepared.manifest.dropped["rows without text"] == 3


def test_lists_and_columns_within_others_in_parquet(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": [["a", "b"], None, ["c"]],
            "translation": [{"de": "eins", "en": "one"}, None, {"de": None, "en": "three"}],
            "n": [[1], [2], [3]],
        }
    )
    pq.write_table(table, tmp_path / "de.parquet")
    assert "lists=join" in refusal(spec_of(tmp_path))
    assert texts(spec_of(tmp_path, "lists=join")) == ["a\nb", "", "c"]
    assert texts(spec_of(tmp_path, "column=translation.de")) == ["eins", "", ""]
    assert "a column 'translation.fi'" in refusal(spec_of(tmp_path, "column=translation.fi"))
    assert "text in column 'n'" in refusal(spec_of(tmp_path, "column=n&lists=join"))


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    columns = [pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.table(columns, names=["text", "text"]), tmp_path / "de.parquet")
    assert "one column 'text'" in refusal(spec_of(tmp_path))


def test_other_files_named_parquet(tmp_path: Path) -> None:
    for data, found in ((gzip.compress(b"PAR1"), "gzip"), (b"ARROW1\0\0", "an Arrow file")):
        put(tmp_path / "de.parquet", data)
        assert found in refusal(spec_of(tmp_path))
