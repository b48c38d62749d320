"""The format and the compression of a text file, by its name."""

from __future__ import annotations

import re
from pathlib import Path

from raydt.corpora.options import Compression, Format

_FORMATS: dict[str, Format] = {
    "txt": "txt",
    "text": "txt",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "jsonlines": "jsonl",
    "json": "jsonl",
    "tsv": "tsv",
    "csv": "csv",
    "conllu": "conllu",
    "parquet": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {
    "gz": "gzip",
    "gzip": "gzip",
    "zst": "zstd",
    "zstd": "zstd",
    "bz2": "bz2",
    "xz": "xz",
    "lz4": "lz4",
}
_PACKED = re.compile(rf"\.({'|'.join(_COMPRESSIONS)})$", re.IGNORECASE)
_SUFFIX = re.compile(rf"\.({'|'.join(_FORMATS)})$", re.IGNORECASE)
SUFFIXES = ".txt, .jsonl, .tsv, .csv, .conllu (also .gz, .zst, .bz2, .xz, .lz4) or .parquet"

_ARCHIVE = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|7z|rar)$", re.IGNORECASE)
_OTHER_COMPRESSION = re.compile(r"\.(z|lz|lzma|lzo|br|snappy|sz)$", re.IGNORECASE)
_UNFINISHED = re.compile(
    r"\.(part|partial|crdownload|download|aria2|incomplete|tmp|temp)$", re.IGNORECASE
)
# Text with a lot of markup: only read if the pattern spells out the suffix.
_MARKED_UP = re.compile(
    r"\.(html?|xml|sgml?|md|rst|rtf|tex|srt|vtt|ass|tmx|xlf|xliff|po|tei|usfm|usx|log)$",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"\.(pdf|docx?|odt|epub|py|sh|js|css|sql|idx|png|jpe?g|gif|tiff?|svg|wav|mp3|mp4|flac|ogg|arrow"
    r"|feather|orc|avro|tfrecord|h5|hdf5|pkl|pickle|npy|npz|bin|pt|safetensors|db|sqlite3?|xlsx?"
    r"|ya?ml|toml|cfg|ini|bak|lock|crc|md5|sha256)$|~$",
    re.IGNORECASE,
)
_NEXT_TO_ANOTHER = re.compile(r"[a-z]{2,3}-[a-z]{2,3}\.[a-z]{2,3}$")  # a pair, and one of it
# Files beside the text in published folders that are not text of the corpus.
_ABOUT = re.compile(
    r"(readme|licen[cs]e|copying|changelog|changes|notice|citation|authors|contributors|credits"
    r"|sources|metadata|index|manifest|dataset_infos?|dataset_dict|state|stats|statistics|checksums"
    r"|sha\d*sums?|md5sums?|requirements)([^a-z].*)?"
    # Files of Spark and Hive beside their parts.
    r"|_(success|started|committed|metadata|common_metadata|temporary|delta_log).*",
    re.IGNORECASE,
)


def file_format(path: Path) -> Format | None:
    """The format of a text file by its name; None for other files."""
    name = _PACKED.sub("", path.name)
    match = _SUFFIX.search(name)
    if match is None:
        return None
    found = _FORMATS[match[1].lower()]
    # Parquet has its own compression, and cannot be read inside another one.
    return None if found == "parquet" and name != path.name else found


def compression(path: Path) -> Compression | None:
    """The compression of a file, by its name."""
    match = _PACKED.search(path.name)
    return _COMPRESSIONS[match[1].lower()] if match else None


def bare_name(path: Path) -> str:
    """A file's name without the suffixes of its format and compression."""
    return _SUFFIX.sub("", unpacked_name(path.name))


def unpacked_name(name: str) -> str:
    """A name without the suffix of the compression."""
    return _PACKED.sub("", name)


def is_suffix(word: str) -> bool:
    """Whether a word is a known suffix, such as `txt` or `gz`."""
    return word.lower() in _FORMATS or word.lower() in _COMPRESSIONS


def is_about(path: Path) -> bool:
    """Whether a file is about a corpus, and not part of it, by its name, such as README.txt."""
    return _ABOUT.fullmatch(bare_name(path)) is not None


def why_not_read(path: Path) -> str:
    """Why a file that `file_format` does not know is skipped."""
    name = unpacked_name(path.name)
    if is_about(path):
        return "about the corpus, by its name"
    if _ARCHIVE.search(name):
        return "an archive: unpack it"
    if _UNFINISHED.search(name):
        return "an unfinished download, by its name"
    if _OTHER_COMPRESSION.search(name):
        return "a compression that raydt cannot read: unpack it"
    if _SUFFIX.search(name):
        return "parquet in another compression: unpack it"
    suffix = Path(name).suffix
    if not suffix:
        return "its name has no suffix (?format=txt reads it)"
    if _OTHER.search(name):
        return f"{suffix} files are not text that raydt reads"
    if _MARKED_UP.search(name):
        how = f"a pattern with {{language}}{suffix} reads them as text"
        return f"{suffix} files have markup ({how})"
    stem = name.removesuffix(suffix)
    if _NEXT_TO_ANOTHER.search(name):
        # As in OPUS: Tatoeba.de-fi.de beside Tatoeba.de-fi.fi.
        return f"unknown suffix {suffix} (the pattern {stem}.{{language}} reads it)"
    return f"unknown suffix {suffix} (?format=txt reads it)"


def is_readable_by_name(path: Path) -> bool:
    """Whether a file with an unknown suffix may be text, and not an archive, image or program."""
    name = unpacked_name(path.name)
    kinds = (_ARCHIVE, _OTHER_COMPRESSION, _UNFINISHED, _OTHER)
    return not (any(kind.search(name) for kind in kinds) or is_about(path))
