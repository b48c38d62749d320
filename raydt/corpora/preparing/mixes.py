"""Prepare all mixtures of a sweep from its prepared languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from raydt.corpora.prepared.evaluation import HeldOutSplit
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.mix import Mix, TooShortError, prepare_mix
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.locate import Corpus
from raydt.errors import InputError, Problem, bad

# A share ends inside a document, so a little more of a language may be needed.
_EXTRA_BYTES = 2**16


def prepare_mixes(
    corpus: Corpus,
    mixes: Iterable[Mix],
    languages: Mapping[str, PreparedLanguage],
    val_bytes: int | None,
    test_bytes: int | None,
    root: Path,
) -> dict[str, PreparedLanguage]:
    """Prepare mixtures beside their languages, by name. A language that is too short for its part
    is prepared again with more text, if its corpus has more.

    Raises one `InputError` with the problems of all mixtures that are larger than their corpora.
    """
    prepared = dict(languages)
    held_out: dict[HeldOutSplit, int | None] = {"val": val_bytes, "test": test_bytes}
    problems: list[Problem] = []
    for mix in mixes:
        try:
            while mix.name not in prepared:
                try:
                    prepared[mix.name] = prepare_mix(mix, prepared, held_out, root)
                except TooShortError as short:
                    _check_for_more(mix, prepared[short.language], short)
                    prepared[short.language] = prepare_language(
                        corpus,
                        short.language,
                        short.num_bytes + _EXTRA_BYTES,
                        val_bytes,
                        test_bytes,
                        root,
                        corpus_languages=tuple(languages),
                    )
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise InputError(problems)
    return prepared


def _check_for_more(mix: Mix, language: PreparedLanguage, short: TooShortError) -> None:
    source = language.manifest.source
    if source.is_all:
        raise bad(
            f"train of {language.name}, for {mix.train_bytes} bytes of {mix.name}",
            f"{short.num_bytes} bytes in whole documents: a mixture cannot be larger than its "
            f"corpus ({source.corpus})",
            f"{language.manifest.splits['train'].num_bytes} bytes",
        )
