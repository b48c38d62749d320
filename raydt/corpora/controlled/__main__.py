"""Samples of controlled languages.

python -m raydt.corpora.controlled             every language that has a name, and what it is
python -m raydt.corpora.controlled NAME ...    a sample of each: the same meanings
                                                   in all that share a world
"""

from __future__ import annotations

import sys

import numpy as np

from raydt.corpora.controlled.catalog import chunk_writer
from raydt.corpora.controlled.languages import LANGUAGES
from raydt.corpora.controlled.names import describe_names, find_language
from raydt.corpora.splits import SEPARATOR
from raydt.errors import InputError

_SAMPLE_CHARACTERS = 88
_SAMPLE_SEED = 7  # two people, and a noun with its adjective


def sample(name: str) -> str:
    """A line of a language, broken off between words."""
    write = chunk_writer(find_language(name), seed=0)
    text = write(np.random.default_rng(_SAMPLE_SEED)).tobytes()
    document = text[: text.index(SEPARATOR)].decode()[: _SAMPLE_CHARACTERS + 1]
    return document.rpartition(" ")[0] or document


def main(names: list[str]) -> int:
    """Prints samples; returns the exit code."""
    try:
        for name in names:
            print(f"{name}: {find_language(name).summary}\n    {sample(name)}")
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if not names:
        for language in LANGUAGES.values():
            print(f"{language.name:<12}{language.summary}")
        print(f"\nAll names: {describe_names()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
