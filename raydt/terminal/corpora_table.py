"""The table of prepared languages. It takes plain rows and does not read a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raydt.units import approximate_bytes

_NONE = "·"


@dataclass(frozen=True)
class LanguageRow:
    """A prepared language; `None` means unknown or not applicable."""

    corpus: str
    language: str
    num_bytes: int
    num_characters: int
    num_excerpts: int  # each ends with a separator
    splits: tuple[tuple[int, int], ...]  # bytes and documents of train, val and test
    num_duplicates: int
    foreign_share: float | None  # of windows in another language of the corpus
    largest_foreign: str | None  # such as "es 1.2%", of all languages
    byte_premium: float | None  # bytes per byte of English with the same meaning

    @property
    def bytes_per_character(self) -> float | None:
        """Bytes of text per character, without separators."""
        num_text_bytes = self.num_bytes - self.num_excerpts
        return num_text_bytes / self.num_characters if self.num_characters else None


def show_corpora(rows: Sequence[LanguageRow], console: Console) -> None:
    """Print a table per corpus."""
    for corpus in dict.fromkeys(row.corpus for row in rows):
        table = Table(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            title=escape(corpus),
            title_justify="left",
            title_style="bold",
        )
        table.add_column("language", no_wrap=True)
        for name in (
            "train",
            "val",
            "test",
            "bytes/char",
            "duplicates dropped",
            "contamination",
            "full set",
            "bytes/en",
        ):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            if row.corpus == corpus:
                table.add_row(*_cells(row))
        console.print(table)
    console.print("train, val and test: bytes / documents", style="dim")


def _cells(row: LanguageRow) -> list[str]:
    width, share, premium = row.bytes_per_character, row.foreign_share, row.byte_premium
    return [
        row.language,
        *(f"{approximate_bytes(size)} / {number:,}" for size, number in row.splits),
        _NONE if width is None else f"{width:.3f}",
        f"{row.num_duplicates:,}",
        _NONE if share is None else f"{share:.1%}",
        row.largest_foreign or _NONE,
        _NONE if premium is None else f"{premium:.3f}",
    ]
