"""The minimal pairs that a cell is scored on: those of its language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from raydt.corpora.controlled.pairs import build_pairs
from raydt.corpora.spec import LANGUAGE_NAME, ControlledCorpus, parse_corpus
from raydt.errors import InputError, Problem, bad
from raydt.grid.cell import Cell
from raydt.probes.pairs import Pair, read_pairs
from raydt.tracking.probed import MAX_KIND_CHARACTERS

_DECLARED = re.compile(rf"(?P<language>{LANGUAGE_NAME.pattern})=(?P<file>.+)", re.DOTALL)


def language_of(cell: Cell) -> str:
    """The language that a cell is tested in: its target; for a pretrain, its source."""
    language = cell.target or cell.source
    assert language is not None
    return language


def declared_pairs(
    texts: Sequence[str], corpus: str, cells: Iterable[Cell]
) -> dict[str, list[Pair]]:
    """The pairs for each language of `cells`.

    `texts` are LANGUAGE=FILE, or just FILE if the cells have only one language; languages of the
    controlled corpus have built-in pairs if no file is named. `InputError` lists everything wrong
    with the files, languages without pairs, and files for languages that no cell has.
    """
    languages = list(dict.fromkeys(map(language_of, cells)))
    problems: list[Problem] = []
    found: dict[str, list[Pair]] = {}
    for text in texts:
        match = _DECLARED.fullmatch(text)
        language = match["language"] if match else languages[0]
        what = f"--pairs {text}"
        if not match and len(languages) > 1:
            expected = f"LANGUAGE=FILE, where LANGUAGE is one of {', '.join(languages)}"
            problems.append(Problem(what, expected, "no language"))
        elif language not in languages:
            expected = f"a language of the cells to score: {', '.join(languages)}"
            problems.append(Problem(what, expected, repr(language)))
        elif language in found:
            problems.append(Problem(what, "one file per language", "two"))
        found[language] = []
        try:
            path = Path(match["file"] if match else text).expanduser()
            found[language] = _check_kinds(read_pairs(path))
        except InputError as error:
            problems += error.problems
        except RuntimeError as error:  # ~user without a home
            problems.append(Problem(what, "a file of minimal pairs", str(error)))
    spec = parse_corpus(corpus)
    for language in (each for each in languages if each not in found):
        try:
            found[language] = _own_pairs(language, spec)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def _own_pairs(language: str, corpus: object) -> list[Pair]:
    if not isinstance(corpus, ControlledCorpus):
        expected = f"--pairs {language}=FILE (only controlled languages have built-in pairs)"
        raise bad(f"language {language}", expected, "none")
    pairs = build_pairs(language, corpus.seed)
    return [Pair(pair.good, pair.bad, pair.kind) for pair in pairs]


def _check_kinds(pairs: list[Pair]) -> list[Pair]:
    """The same pairs; `InputError` if MLflow cannot hold a result for each of their kinds."""
    kinds = {pair.kind for pair in pairs}
    characters = sum(len(json.dumps(kind)) for kind in kinds)
    if characters > MAX_KIND_CHARACTERS:
        expected = f"names with at most {MAX_KIND_CHARACTERS} characters in total"
        raise bad("kinds of pairs", expected, f"{len(kinds)} names with {characters}")
    return pairs
