"""Samples of controlled languages, and their text as files beside text of one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from raydt.corpora.controlled.catalog import chunk_writer, generate
from raydt.corpora.controlled.languages import LANGUAGES
from raydt.corpora.controlled.names import describe_names, find_language
from raydt.corpora.splits import SEPARATOR
from raydt.errors import InputError, bad
from raydt.units import Size, parse_size

_SAMPLE_CHARACTERS = 88
_SAMPLE_SEED = 7  # two people, and a noun with its adjective


def sample(name: str) -> str:
    """A line of a language, broken off between words."""
    write = chunk_writer(find_language(name), seed=0)
    text = write(np.random.default_rng(_SAMPLE_SEED)).tobytes()
    document = text[: text.index(SEPARATOR)].decode()[: _SAMPLE_CHARACTERS + 1]
    return document.rpartition(" ")[0] or document


def write_language(name: str, folder: Path, size: Size) -> Path:
    """`<folder>/<name>.txt` of at most `size`, a document a line, as `files:` reads it. The text is
    that of the training split of `controlled`; the last document that does not fit is left out.

    `InputError` if the file exists, or not one document fits.
    """
    text = generate(name, "train", size.num_bytes, seed=0).tobytes()
    lines = text[: text.rfind(SEPARATOR) + 1].replace(bytes([SEPARATOR]), b"\n")
    if not lines:
        raise bad("--bytes", f"room for a document of {name}", size.label)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    try:
        with path.open("xb") as file:
            file.write(lines)
    except FileExistsError:
        raise bad("--to", "a folder without such a file, which is left as it is", path) from None
    return path


def main(words: list[str]) -> int:
    """Prints samples or writes files; returns the exit code."""
    parser = argparse.ArgumentParser("python -m raydt.corpora.controlled", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="print a sample of each, the same meanings in all that share a world; without a name: "
        "list all languages",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="write each language as FOLDER/NAME.txt, as sources beside languages of your own",
    )
    parser.add_argument(
        "--bytes",
        default="1M",
        metavar="SIZE",
        help="size of each file, at most [1M]",
    )
    options = parser.parse_args(words)
    try:
        size = parse_size(options.bytes)
        for name in options.names:
            language = find_language(name)
            if options.to is None:
                print(f"{name}: {language.summary}\n    {sample(name)}")
            else:
                print(write_language(name, options.to, size))
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if not options.names:
        for language in LANGUAGES.values():
            print(f"{language.name:<12}{language.summary}")
        print(f"\nAll names: {describe_names()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
