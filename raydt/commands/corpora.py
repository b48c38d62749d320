"""`raydt corpora`: the languages that are prepared."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.config.sweep import local_folder
from raydt.errors import bad


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_storage()
    return parser


def run(parsed: argparse.Namespace) -> int:
    return show_prepared(local_folder(parsed.storage))


def show_prepared(storage: Path) -> int:
    """Print the languages that are prepared in a storage."""
    from raydt.corpora.prepared.inventory import prepared_languages
    from raydt.terminal.corpora_table import LanguageRow, show_corpora

    root = storage / "corpora"
    rows = []
    for entry in prepared_languages(root):
        manifest = entry.manifest
        rows.append(
            LanguageRow(
                corpus=manifest.source.corpus.replace(f"{Path.cwd()}/", ""),  # as it is typed
                language=manifest.language,
                num_bytes=manifest.num_bytes,
                num_characters=manifest.num_characters,
                num_excerpts=manifest.num_excerpts,
                splits=tuple(
                    (record.num_bytes, record.num_documents) for record in manifest.splits.values()
                ),
                num_duplicates=entry.num_duplicates,
                foreign_share=manifest.contamination.foreign(manifest.language),
                largest_foreign=manifest.contamination.largest_foreign(manifest.language),
                byte_premium=entry.byte_premium,
            )
        )
    if not rows:
        raise bad(f"folder {root}", "a prepared language; `raydt prepare` makes one", "none")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 132  # a file or a pipe has no width, and the table is wider than 80
    show_corpora(rows, console)
    return 0
