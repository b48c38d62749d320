"""Parse the text that names a corpus.

`controlled` or `controlled:SEED` is the embedded generator.

`files:PATH` is a folder of languages: `<language>.txt`, `.jsonl`, `.tsv`, `.csv`, `.conllu` or
`.parquet`, each of them plain, `.gz`, `.zst`, `.bz2`, `.xz` or `.lz4` (parquet compresses itself),
or a sub-folder `<language>/` of such files, at any depth, which are read in the order of their
names. `files:GLOB` matches files with `{language}` in place of the language's name:
`files:/data/mc4-{language}-*.jsonl.gz`.

`hub:DATASET` is a dataset of the Hugging Face Hub, read as a stream.

Options follow a question mark: `files:PATH?documents=paragraph&normalise=NFC`. A value may be
percent-encoded (`%26` is `&`).

    documents  line | paragraph | file     what a document is in a .txt       [line]
    column     NAME                        column with the text, not in .txt;
                                           NAME.NAME for a nested one         [text]
    field      NUMBER                      read this field of lines with tabs
    format     txt | jsonl | tsv | csv | conllu | parquet
                                           format of all files, whatever
                                           their names                        [by name]
    only       WORD,WORD                   only files with these words in
                                           their paths, such as train; all:
                                           every file                         [all of one kind]
    encoding   NAME                        text encoding, by Python's name    [utf-8]
    not_utf8   error | replace | skip      how to treat invalid text          [error]
    odd_rows   error | skip                how to treat rows without text     [error]
    split_by   NAME                        a column that names documents: those
                                           with the same name are held out
                                           together, in every language        [by index]
    lists      error | join                how to treat a column of lists of
                                           texts; join: with line breaks      [error]
    normalise  NFC | NFKC | NFD | NFKD     Unicode normalisation              [none]
    aligned    yes | no                    files: document i has the same
                                           content in every language          [no]
    config     NAME                        hub; may contain {language}        [{language}]
    split      NAME                        hub                                [train]
    revision   NAME                        hub: branch, tag or commit         [main]
    val_share, test_share                  share of the text, 0.01 to 0.45    [by the amount of
    text] split_seed NUMBER                      seed of the splits                 [0]
    excerpt_bytes NUMBER                   val and test: approximate length of an excerpt of a
    document before the next one; 0: whole documents       [1000]

`hub:allenai/c4` has a config per language, but its config `en` is C4, an English corpus that was
filtered by rules which no other language went through; the English of mC4 is its config `en-multi`.
So the language `en` uses `en-multi`, unless `config=` is given.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, TypeAlias
from urllib.parse import quote

from raydt.corpora.options import (
    UTF8,
    Aligned,
    Format,
    Lists,
    Normalisation,
    NotUtf8,
    OddRows,
    Unit,
    read_options,
)
from raydt.corpora.splits import SplitRule
from raydt.errors import InputError, Problem, bad

# A language's name is used as a folder, a tag and a part of cell ids. It has no leading dot: `..`
# would leave the corpus, and names with a leading dot are raydt's own temporary folders.
LANGUAGE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
PLACEHOLDER = "{language}"
_MAGIC = frozenset("*[")
_FORMS = "controlled, controlled:SEED, files:PATH or hub:DATASET"
_DATASET = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)

# Languages whose config has another name, from the dataset's card.
_CONFIGS = {("allenai/c4", "en"): "en-multi"}

ALL = "all"  # value of `only`: files of all kinds
# 32 excerpts fill the default val split, and each is a few windows long.
_EXCERPT_BYTES = 1000


@dataclass(frozen=True)
class ControlledCorpus:
    """The controlled languages of one seed."""

    seed: int = 0

    @property
    def name(self) -> str:
        """The text that `parse_corpus` reads back as this corpus."""
        return f"controlled:{self.seed}" if self.seed else "controlled"

    @property
    def key(self) -> str:
        """The name of the folder of its prepared languages."""
        return f"controlled-{self.seed}"


@dataclass(frozen=True)
class _WithOptions:
    """A corpus with a location, its first field, and options."""

    _kind: ClassVar[str]

    @property
    def name(self) -> str:
        """The text that `parse_corpus` reads back as this corpus."""
        return f"{self._kind}:{getattr(self, fields(self)[0].name)}{self._options}"

    @property
    def _options(self) -> str:
        """The options that differ from their defaults, as text."""
        parts = [
            f"{field.name}={quote(str(getattr(self, field.name)), safe='{}/ ')}"
            for field in fields(self)[1:]
            if getattr(self, field.name) != field.default
        ]
        return f"?{'&'.join(parts)}" if parts else ""

    def with_option(self, **options: object) -> str:
        """The text of the corpus with other options."""
        return replace(self, **options).name


class _SplitByRule:
    """A corpus whose documents are split by a rule with options."""

    val_share: float | None
    test_share: float | None
    split_seed: int

    @property
    def split_rule(self) -> SplitRule:
        """The rule of its splits."""
        return SplitRule(self.val_share, self.test_share, self.split_seed)


@dataclass(frozen=True)
class FilesCorpus(_WithOptions, _SplitByRule):
    """Files of text: a folder, or a glob with `{language}` in it."""

    _kind = "files"

    path: Path
    documents: Unit = "line"
    column: str = "text"
    not_utf8: NotUtf8 = "error"
    normalise: Normalisation = "none"
    aligned: Aligned = "no"
    val_share: float | None = None
    test_share: float | None = None
    split_seed: int = 0
    excerpt_bytes: int = _EXCERPT_BYTES
    only: str | None = None
    format: Format | None = None
    field: int | None = None  # counted from 1
    encoding: str = UTF8
    odd_rows: OddRows = "error"
    lists: Lists = "error"
    split_by: str | None = None  # a column

    @property
    def key(self) -> str:
        """The name of the folder of its prepared languages, different for every path."""
        path = self.path.resolve()
        return _key("files", path.name, f"{path}{self._options}")

    @property
    def is_glob(self) -> bool:
        """Whether the path is a pattern, and not a folder."""
        return PLACEHOLDER in str(self.path)

    @property
    def base(self) -> Path:
        """The common folder of all files: the path, or the part before a pattern."""
        if not self.is_glob:
            return self.path
        names = self.path.parts
        first = next(i for i, name in enumerate(names) if PLACEHOLDER in name or _MAGIC & set(name))
        return Path(*names[:first])

    @property
    def words(self) -> frozenset[str]:
        """The words of `only`, in lower case; empty for all files."""
        return frozenset(() if self.only in (None, ALL) else str(self.only).lower().split(","))

    def file(self, language: str) -> Path:
        """The path of a language's text, if it is a plain text file in the folder."""
        return self.path / f"{language}.txt"


@dataclass(frozen=True)
class HubCorpus(_WithOptions, _SplitByRule):
    """A dataset of the Hub with a config per language."""

    _kind = "hub"

    dataset: str
    config: str = PLACEHOLDER
    split: str = "train"
    column: str = "text"
    revision: str = "main"
    normalise: Normalisation = "none"
    val_share: float | None = None
    test_share: float | None = None
    split_seed: int = 0
    excerpt_bytes: int = _EXCERPT_BYTES

    @property
    def key(self) -> str:
        """The name of the folder of its prepared languages."""
        return _key("hub", self.dataset, self.name)

    def config_of(self, language: str) -> str:
        """The config of a language."""
        if self.config == PLACEHOLDER:
            return _CONFIGS.get((self.dataset, language), language)
        return self.config.replace(PLACEHOLDER, language)


TextCorpus: TypeAlias = FilesCorpus | HubCorpus
CorpusSpec: TypeAlias = ControlledCorpus | FilesCorpus | HubCorpus


def parse_corpus(text: str) -> CorpusSpec:
    """Parse a corpus such as `controlled:7`, `files:~/bible` or `hub:allenai/c4?column=text`.

    Raises `InputError` with all problems of the text.
    """
    kind, colon, value = text.strip().partition(":")
    if kind == "controlled" and (not colon or re.fullmatch(r"[0-9]+", value)):
        return ControlledCorpus(int(value or 0))
    place, _, query = value.partition("?")
    if kind == "files" and place:
        options, problems = read_options(query, _names_of(FilesCorpus))
        _raise(problems)
        try:
            return FilesCorpus(_absolute(place), **options)  # type: ignore[arg-type]
        except RuntimeError as error:  # ~user without a home directory
            raise bad("corpus", "a folder that exists", f"{text!r} ({error})") from error
    if kind == "hub" and place:
        options, problems = read_options(query, _names_of(HubCorpus))
        if not _DATASET.fullmatch(place):
            problems.append(Problem("corpus", "hub:OWNER/DATASET", repr(text)))
        _raise(problems)
        return HubCorpus(place, **options)  # type: ignore[arg-type]
    alone = text.partition("?")[0]
    hint = f" (did you mean files:{text}?)" if alone and Path(alone).exists() else ""
    raise bad("corpus", _FORMS, f"{text!r}{hint}")


def _absolute(place: str) -> Path:
    """An absolute path, so that a folder has one name from everywhere; links are kept."""
    path = Path(place).expanduser()
    return path if path.is_absolute() else Path(os.path.normpath(Path.cwd() / path))


def _names_of(corpus: type[FilesCorpus | HubCorpus]) -> list[str]:
    """The names of its options: all fields except the location."""
    return [field.name for field in fields(corpus)][1:]


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise InputError(problems)


def _key(kind: str, name: str, identity: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "root"
    return f"{kind}-{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
