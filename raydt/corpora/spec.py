"""Which corpus: the short text people type, as a typed value.

`controlled` or `controlled:SEED` is the embedded generator; `files:PATH` is a folder with one text
file a language.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from raydt.errors import bad

# A language's name is a folder's name, a tag and a part of a cell id: no leading dot (`..` would
# leave the corpus, and dotted names are raydt's own temporary folders).
LANGUAGE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_FORMS = "controlled, controlled:SEED or files:PATH"


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
        """Name of this corpus's folder among the prepared ones."""
        return f"controlled-{self.seed}"


@dataclass(frozen=True)
class FilesCorpus:
    """A folder with `<language>.txt` files, one document a line."""

    path: Path

    @property
    def name(self) -> str:
        """The text that `parse_corpus` reads back as this corpus."""
        return f"files:{self.path}"

    @property
    def key(self) -> str:
        """Name of this corpus's folder among the prepared ones; another for every path."""
        path = self.path.resolve()
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", path.name).strip("-") or "root"
        return f"files-{readable}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"

    def file(self, language: str) -> Path:
        """Where the text of a language is."""
        return self.path / f"{language}.txt"


CorpusSpec: TypeAlias = ControlledCorpus | FilesCorpus


def parse_corpus(text: str) -> CorpusSpec:
    """The corpus meant by `controlled`, `controlled:7` or `files:~/bible`; else `InputError`."""
    kind, colon, value = text.strip().partition(":")
    if kind == "controlled" and (not colon or re.fullmatch(r"[0-9]+", value)):
        return ControlledCorpus(int(value or 0))
    if kind == "files" and value:
        try:
            return FilesCorpus(Path(value).expanduser())
        except RuntimeError as error:  # ~somebody, of whom there is no home
            raise bad("corpus", "a folder that exists", f"{text!r} ({error})") from error
    raise bad("corpus", _FORMS, repr(text))
