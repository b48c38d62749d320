"""Notes on a corpus that is probably not meant as declared. They are shown, and are not errors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.few import EXCERPTS_BELOW
from raydt.corpora.sources.locate import Corpus
from raydt.corpora.sources.look import first_documents, notes, notes_on_names
from raydt.corpora.spec import FilesCorpus
from raydt.errors import InputError

_NEAR = 0.01  # share of documents that a language of a parallel corpus may lack
_SOME = 20  # documents; equal numbers below this mean nothing


def corpus_notes(corpus: Corpus, languages: Mapping[str, PreparedLanguage]) -> list[str]:
    """Notes on prepared languages: lines that are tables, and pairs that look parallel."""
    spec = corpus.spec
    if not isinstance(spec, FilesCorpus):
        return []
    # A mixture has no files of its own; its languages have theirs.
    languages = {n: each for n, each in languages.items() if each.manifest.parts is None}
    found: dict[str, list[str]] = {}
    for name in languages:
        try:
            documents = first_documents(spec, corpus.files[name])
        except InputError:
            continue  # changed since; reading it again reports that
        named = notes_on_names(name, corpus.files[name])
        for text in (*notes(documents, spec, corpus.files[name]), *named):
            found.setdefault(text, []).append(name)
    said = [f"{', '.join(names)}: {text}" for text, names in found.items()]
    parallel = []
    if spec.aligned == "no" and spec.split_by is None:
        parallel = _nearly_parallel(languages)
    if parallel:
        said.append(
            f"{'; '.join(parallel)}: if they are translations, test documents of one are in the "
            "other's training data; ?aligned=yes holds out the same documents in both, "
            "?split_by=NAME those with the same value in a column"
        )
    return said


def _nearly_parallel(languages: Mapping[str, PreparedLanguage]) -> list[str]:
    numbers = {
        name: language.manifest.source.num_documents or 0 for name, language in languages.items()
    }
    found = []
    for (one, first), (other, second) in combinations(numbers.items(), 2):
        less, more = min(first, second), max(first, second)
        # Splits depend on the index: equally many documents have the same split, unless they are
        # few.
        is_shifted = less != more and more - less <= _NEAR * more
        if less >= _SOME and (is_shifted or (less == more and more < EXCERPTS_BELOW)):
            found.append(f"{one} and {other} have {first:,} and {second:,} documents")
    if len(found) > 3:
        return [*found[:3], f"and {len(found) - 3} more pairs"]
    return found
