"""What kind of text a file holds and how it is compressed, by its name."""

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
# Text with much in it that nobody wrote to be read: only who spells the suffix out means it.
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
# What lies beside text in published folders and is none of it.
_ABOUT = re.compile(
    r"(readme|licen[cs]e|copying|changelog|changes|notice|citation|authors|contributors|credits"
    r"|sources|metadata|index|manifest|dataset_infos?|dataset_dict|state|stats|statistics|checksums"
    r"|sha\d*sums?|md5sums?|requirements)([^a-z].*)?"
    # What Spark and Hive leave beside their parts.
    r"|_(success|started|committed|metadata|common_metadata|temporary|delta_log).*",
    re.IGNORECASE,
)


def file_format(path: Path) -> Format | None:
    """What kind of text a file holds, by its name; `None` of any other file."""
    name = _PACKED.sub("", path.name)
    match = _SUFFIX.search(name)
    if match is None:
        return None
    found = _FORMATS[match[1].lower()]
    # Parquet compresses itself, and cannot be read from within another compression.
    return None if found == "parquet" and name != path.name else found


def compression(path: Path) -> Compression | None:
    """How a file is compressed, by its name."""
    match = _PACKED.search(path.name)
    return _COMPRESSIONS[match[1].lower()] if match else None


def bare_name(path: Path) -> str:
    """A file's name without the suffixes that say what it holds, and how it is compressed."""
    return _SUFFIX.sub("", unpacked_name(path.name))


def unpacked_name(name: str) -> str:
    """A name without the suffix that says how the file is compressed."""
    return _PACKED.sub("", name)


def is_suffix(word: str) -> bool:
    """Whether a word is one of the suffixes, such as `txt` or `gz`."""
    return word.lower() in _FORMATS or word.lower() in _COMPRESSIONS


def is_about(path: Path) -> bool:
    """Whether a file is about a corpus and no part of it, such as README.txt, by its name."""
    return _ABOUT.fullmatch(bare_name(path)) is not None


def why_not_read(path: Path) -> str:
    """Why a file that `file_format` does not know is passed over, in words."""
    name = unpacked_name(path.name)
    if is_about(path):
        return "about the corpus, by its name"
    if _ARCHIVE.search(name):
        return "an archive: unpack it"
    if _UNFINISHED.search(name):
        return "an unfinished download, by its name"
    if _OTHER_COMPRESSION.search(name):
        return "a compression that raydt does not read: unpack it"
    if _SUFFIX.search(name):
        return "parquet in another compression: unpack it"
    suffix = Path(name).suffix
    if not suffix:
        return "its name has no suffix (?format=txt reads it)"
    if _OTHER.search(name):
        return f"{suffix} holds no text that raydt reads"
    if _MARKED_UP.search(name):
        return f"{suffix} has more in it than text ({{language}}{suffix} in a pattern reads all)"
    stem = name.removesuffix(suffix)
    if _NEXT_TO_ANOTHER.search(name):
        # Of OPUS: Tatoeba.de-fi.de beside Tatoeba.de-fi.fi.
        return f"{suffix} is no suffix that raydt knows (the pattern {stem}.{{language}} reads it)"
    return f"{suffix} is no suffix that raydt knows (?format=txt reads it)"


def is_readable_by_name(path: Path) -> bool:
    """Whether a file of an unknown suffix may be text: it is no archive, picture or program."""
    name = unpacked_name(path.name)
    kinds = (_ARCHIVE, _OTHER_COMPRESSION, _UNFINISHED, _OTHER)
    return not (any(kind.search(name) for kind in kinds) or is_about(path))
