"""What of a corpus is likely not meant as it was declared; said, and not refused."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.few import EXCERPTS_BELOW
from raydt.corpora.sources.locate import Corpus
from raydt.corpora.sources.look import doubts, doubts_of_names, first_documents
from raydt.corpora.spec import FilesCorpus
from raydt.errors import InputError

_NEAR = 0.01  # of the documents that a parallel corpus may lack in a language
_SOME = 20  # documents; of fewer an equal number says nothing


def corpus_doubts(corpus: Corpus, languages: Mapping[str, PreparedLanguage]) -> list[str]:
    """Of languages as they were prepared: lines that are tables, and pairs that look parallel."""
    spec = corpus.spec
    if not isinstance(spec, FilesCorpus):
        return []
    # A mixture has no files of its own, and of its languages' it is said.
    languages = {n: each for n, each in languages.items() if each.manifest.parts is None}
    found: dict[str, list[str]] = {}
    for name in languages:
        try:
            documents = first_documents(spec, corpus.files[name])
        except InputError:
            continue  # changed since; who reads it again says so
        named = doubts_of_names(name, corpus.files[name])
        for text in (*doubts(documents, spec, corpus.files[name]), *named):
            found.setdefault(text, []).append(name)
    said = [f"{', '.join(names)}: {text}" for text, names in found.items()]
    parallel = []
    if spec.aligned == "no" and spec.split_by is None:
        parallel = _nearly_parallel(languages)
    if parallel:
        said.append(
            f"{'; '.join(parallel)}: if they say the same, a document that one of them tests is "
            "read in translation by the other; ?aligned=yes holds out the same documents of both, "
            "?split_by=NAME those that have the same in a column"
        )
    return said


def _nearly_parallel(languages: Mapping[str, PreparedLanguage]) -> list[str]:
    numbers = {
        name: language.manifest.source.num_documents or 0 for name, language in languages.items()
    }
    found = []
    for (one, first), (other, second) in combinations(numbers.items(), 2):
        less, more = min(first, second), max(first, second)
        # The split goes by the index: of as many documents it is the same, unless they are few.
        is_shifted = less != more and more - less <= _NEAR * more
        if less >= _SOME and (is_shifted or (less == more and more < EXCERPTS_BELOW)):
            found.append(f"{one} and {other} have {first:,} and {second:,} documents")
    if len(found) > 3:
        return [*found[:3], f"and {len(found) - 3} more pairs"]
    return found
