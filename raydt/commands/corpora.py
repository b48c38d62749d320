"""`raydt corpora`: show the prepared languages or, with --look, preview how a path would be
read."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from raydt.commands.parser import CommandParser
from raydt.config.sweep import local_folder
from raydt.errors import bad

_LOOK_SECONDS = 0.8  # for opening files: a preview should take two seconds in all


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_storage()
    parser.add_argument(
        "--look",
        metavar="PATH",
        help="preview a folder, a file or a corpus (files:PATH?OPTIONS): its languages, files and "
        "first documents, and which files are skipped and why; nothing is written",
    )
    parser.add_argument(
        "--languages", nargs="+", metavar="LANGUAGE", help="languages to show with --look [all]"
    )
    return parser


def run(parsed: argparse.Namespace) -> int:
    if parsed.look is not None:
        return show_preview(parsed.look, parsed.languages)
    if parsed.languages is not None:
        raise bad("--languages", "--look as well", "--languages alone")
    return show_prepared(local_folder(parsed.storage))


def show_preview(text: str, languages: list[str] | None) -> int:
    """Print how a path or a corpus would be read; returns 2 if nothing can be read."""
    from raydt.corpora.sources.check import check_corpus
    from raydt.corpora.sources.locate import locate
    from raydt.corpora.sources.look import look
    from raydt.corpora.spec import FilesCorpus, parse_corpus
    from raydt.errors import InputError
    from raydt.terminal.corpus_look import LanguagePreview, show_corpus_preview

    is_spec = text.partition(":")[0] in ("files", "hub", "controlled")
    spec = parse_corpus(text if is_spec else f"files:{text}")
    file = None
    if isinstance(spec, FilesCorpus) and not spec.is_glob and spec.path.is_file():
        file, spec = spec.path, replace(spec, path=spec.path.parent)
    corpus = locate(spec)
    console = Console(highlight=False, soft_wrap=True)
    if not isinstance(spec, FilesCorpus):
        known = ", ".join(corpus.languages) or "unknown (a Hub dataset does not list them)"
        console.print(f"{spec.name}: languages {known}", markup=False)
        return 0
    asked = languages or corpus.languages
    if file is not None and languages is None:
        asked = [name for name, paths in corpus.files.items() if file in paths]
    if not spec.path.is_dir() and not spec.is_glob:
        raise InputError(check_corpus(corpus, {"any": 1}, 0, 0))
    base = spec.base
    rows = [
        LanguagePreview(
            language=seen.language,
            num_files=len(seen.files),
            first_file=_below(seen.files[0], base) if seen.files else "no file",
            num_bytes=seen.num_bytes,
            formats=seen.formats,
            rows="an unknown number of"
            if seen.num_rows is None
            else f"{'' if seen.is_counted else 'about '}{seen.num_rows:,}",
            samples=seen.samples,
            problem=seen.problem,
            notes=seen.notes,
        )
        for seen in look(corpus, asked, _LOOK_SECONDS)
    ]
    # Show the same reason for many files of one folder only once.
    alike = Counter((each.path.parent, each.path.suffix, each.reason) for each in corpus.skipped)
    passed = []
    for each in corpus.skipped:
        num = alike.pop((each.path.parent, each.path.suffix, each.reason), 0)
        more = f" and {num - 1:,} like it" if num > 1 else ""
        if num:
            passed.append(f"{_below(each.path, base)}{more}: {each.reason}")
    show_corpus_preview(spec.name, rows, passed, console)
    if not rows:
        console.print("\nNo text was found.")
    return 0 if any(row.problem is None for row in rows) else InputError.exit_code


def _below(path: Path, base: Path) -> str:
    return os.path.relpath(path, base) if path.is_relative_to(base) else str(path)


def show_prepared(storage: Path) -> int:
    """Print the prepared languages of a storage."""
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
                foreign_share=manifest.contamination.foreign(*manifest.languages),
                largest_foreign=manifest.contamination.largest_foreign(*manifest.languages),
                byte_premium=entry.byte_premium,
            )
        )
    if not rows:
        raise bad(f"folder {root}", "a prepared language (`raydt prepare` makes one)", "none")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 132  # a file or a pipe has no width, and the table is wider than 80
    show_corpora(rows, console)
    return 0
