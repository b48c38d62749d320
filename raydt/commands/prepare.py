"""`raydt prepare`: languages of a corpus as bytes on disk."""

from __future__ import annotations

import argparse

from raydt.commands.corpora import show_prepared
from raydt.commands.parser import CommandParser
from raydt.config.sweep import local_folder
from raydt.errors import bad
from raydt.units import parse_bytes


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument(
        "--corpus", required=True, help="files:PATH, hub:DATASET or controlled[:SEED], and ?OPTIONS"
    )
    parser.add_argument(
        "--languages",
        nargs="+",
        metavar="LANGUAGE",
        help="languages to prepare [all that the corpus can list]",
    )
    parser.add_argument(
        "--train-bytes",
        default="all",
        metavar="SIZE",
        help="bytes of training data, such as 8M [all that there is]",
    )
    for split in ("val", "test"):
        parser.add_argument(
            f"--{split}-bytes",
            metavar="SIZE",
            help=f"least bytes of the {split} split [what there is, if it is enough]",
        )
    parser.add_argument("--jobs", type=int, help="languages at a time [one per core]")
    parser.add_storage()
    return parser


def run(parsed: argparse.Namespace) -> int:
    from rich.console import Console

    from raydt.corpora.preparing.doubts import corpus_doubts
    from raydt.corpora.preparing.parallel import prepare_parallel
    from raydt.corpora.sources.check import languages_and_sizes
    from raydt.corpora.sources.locate import locate
    from raydt.corpora.spec import parse_corpus
    from raydt.cpus import num_cpus
    from raydt.terminal.preparing import Preparing

    corpus = locate(parse_corpus(parsed.corpus))
    num_bytes = languages_and_sizes(corpus, parsed.languages, parsed.train_bytes)
    if parsed.jobs is not None and parsed.jobs < 1:
        raise bad("--jobs", "at least 1", parsed.jobs)
    storage = local_folder(parsed.storage)
    with Preparing(len(num_bytes)) as preparing:
        languages = prepare_parallel(
            corpus,
            num_bytes,
            None if parsed.val_bytes is None else parse_bytes(parsed.val_bytes),
            None if parsed.test_bytes is None else parse_bytes(parsed.test_bytes),
            storage / "corpora",
            parsed.jobs or num_cpus(),
            preparing.on_bytes,
            preparing.on_language,
        )
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    for doubt in corpus_doubts(corpus, languages):
        notes.print(f"note: {doubt}", style="yellow", markup=False)
    return show_prepared(storage)
