"""Which minimal pairs a cell is scored on: those of its language."""

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
    """The language that a cell is to know: its target, and of a pretrain its source."""
    language = cell.target or cell.source
    assert language is not None
    return language


def declared_pairs(
    texts: Sequence[str], corpus: str, cells: Iterable[Cell]
) -> dict[str, list[Pair]]:
    """The pairs of each language that cells have.

    `texts` are LANGUAGE=FILE, or FILE alone where the cells are of one language; languages of the
    controlled corpus have pairs of their own where no file is named. `InputError` with everything
    that is wrong with the files, languages without pairs, and pairs of no cell's language.
    """
    languages = list(dict.fromkeys(map(language_of, cells)))
    problems: list[Problem] = []
    found: dict[str, list[Pair]] = {}
    for text in texts:
        match = _DECLARED.fullmatch(text)
        language = match["language"] if match else languages[0]
        what = f"--pairs {text}"
        if not match and len(languages) > 1:
            requirement = f"LANGUAGE=FILE, as the cells are of {', '.join(languages)}"
            problems.append(Problem(what, requirement, "no language"))
        elif language not in languages:
            requirement = f"the language of a cell that is to be scored: {', '.join(languages)}"
            problems.append(Problem(what, requirement, repr(language)))
        elif language in found:
            problems.append(Problem(what, "one file a language", "another one before it"))
        found[language] = []
        try:
            path = Path(match["file"] if match else text).expanduser()
            found[language] = _fitting(read_pairs(path))
        except InputError as error:
            problems += error.problems
        except RuntimeError as error:  # ~somebody, of whom there is no home
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
        requirement = "minimal pairs: only controlled languages have some of their own"
        raise bad(f"language {language}", requirement, f"no --pairs {language}=FILE")
    pairs = build_pairs(language, corpus.seed)
    return [Pair(pair.good, pair.bad, pair.kind) for pair in pairs]


def _fitting(pairs: list[Pair]) -> list[Pair]:
    """The same pairs; `InputError` if MLflow cannot hold a result for each of their kinds."""
    kinds = {pair.kind for pair in pairs}
    characters = sum(len(json.dumps(kind)) for kind in kinds)
    if characters > MAX_KIND_CHARACTERS:
        requirement = f"kinds whose names have {MAX_KIND_CHARACTERS} characters together at most"
        raise bad("kinds of pairs", requirement, f"{len(kinds)} kinds of {characters}")
    return pairs
