"""`raydt prepare` and `corpora`: languages as bytes on disk."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from raydt.config.sweep import local_folder
from raydt.errors import bad
from raydt.units import parse_bytes


def add_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands; each sets `handler`."""
    prepare = add("prepare", "prepare languages of a corpus; again, and it goes on where it was")
    prepare.add_argument(
        "--corpus", required=True, help="controlled[:SEED], files:PATH or hub:DATASET, ?OPTIONS"
    )
    prepare.add_argument("--languages", nargs="+", help="[all that the corpus can list]")
    prepare.add_argument(
        "--train-bytes", default="all", metavar="SIZE", help="such as 8M [all that there is]"
    )
    for split in ("val", "test"):
        prepare.add_argument(
            f"--{split}-bytes", metavar="SIZE", help="at least [what there is, if it is enough]"
        )
    prepare.add_argument("--jobs", type=int, help="languages at a time [one per core]")
    corpora = add("corpora", "show the languages that are prepared")
    prepare.set_defaults(handler=_prepare)
    corpora.set_defaults(handler=lambda parsed: _corpora(local_folder(parsed.storage)))
    for command in (prepare, corpora):
        command.add_argument("--storage", default="runs", help="folder of the sweeps [runs]")


def _prepare(parsed: argparse.Namespace) -> int:
    import os

    from raydt.corpora.preparing.parallel import prepare_parallel
    from raydt.corpora.sources.check import languages_and_sizes
    from raydt.corpora.sources.locate import locate
    from raydt.corpora.spec import parse_corpus
    from raydt.terminal.preparing import Preparing

    corpus = locate(parse_corpus(parsed.corpus))
    num_bytes = languages_and_sizes(corpus, parsed.languages, parsed.train_bytes)
    if parsed.jobs is not None and parsed.jobs < 1:
        raise bad("--jobs", "at least 1", parsed.jobs)
    storage = local_folder(parsed.storage)
    with Preparing(len(num_bytes)) as preparing:
        prepare_parallel(
            corpus,
            num_bytes,
            None if parsed.val_bytes is None else parse_bytes(parsed.val_bytes),
            None if parsed.test_bytes is None else parse_bytes(parsed.test_bytes),
            storage / "corpora",
            parsed.jobs or len(os.sched_getaffinity(0)),
            preparing.on_bytes,
            preparing.on_language,
        )
    return _corpora(storage)


def _corpora(storage: Path) -> int:
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
