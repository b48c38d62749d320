"""The preview of a corpus on a terminal. It takes plain rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from raydt.units import approximate_bytes

_CHARACTERS = 72  # of a document
_SHOWN = 8


@dataclass(frozen=True)
class LanguagePreview:
    """How a language would be read. `rows` is text, such as "about 12,000"."""

    language: str
    num_files: int
    first_file: str
    num_bytes: int
    formats: Sequence[str]
    rows: str
    samples: Sequence[str]
    problem: str | None
    notes: Sequence[str]


def show_corpus_preview(
    name: str, languages: Sequence[LanguagePreview], skipped: Sequence[str], console: Console
) -> None:
    """Print each language with its first documents, and the skipped files."""
    num = len(languages)
    console.print(f"{name}: {num} language{'' if num == 1 else 's'}", markup=False)
    for each in languages:
        files = each.first_file if each.num_files == 1 else f"{each.num_files} files"
        size = approximate_bytes(each.num_bytes)
        facts = [files, ", ".join(each.formats), f"{size}B", f"{each.rows} documents"]
        console.print(f"\n{each.language}: {', '.join(facts)}", markup=False)
        if each.num_files > 1:
            console.print(f"  the first is {each.first_file}", markup=False)
        for text in each.samples:
            cut = text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}…"
            console.print(f"  | {_visible(cut)}", markup=False)
        if each.problem:
            console.print(f"  cannot be read: {each.problem}", markup=False)
        for note in each.notes:
            console.print(f"  note: {note}", markup=False)
    if skipped:
        console.print(f"\nSkipped ({len(skipped):,}):", markup=False)
        for text in skipped[:_SHOWN]:
            console.print(f"  {text}", markup=False)
        if len(skipped) > _SHOWN:
            console.print(f"  and {len(skipped) - _SHOWN:,} more")


def _visible(text: str) -> str:
    """Replace control characters."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
