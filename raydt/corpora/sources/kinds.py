"""Files of one corpus with different kinds of content, recognised by words in their paths.

Published corpora have train beside test, cleaned text beside removed text, and sentences beside
lists of words. Reading all of it as one text would silently put test into train.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from raydt.corpora.sources.formats import file_format, unpacked_name
from raydt.corpora.spec import ALL, FilesCorpus
from raydt.errors import Problem

CODE = re.compile(r"[a-z]{2,3}([_-][A-Za-z0-9]+)*")  # the usual form of language names
_SPLITS = (
    "train training dev devel devtest valid validation val test testing eval evaluation heldout"
).split()
_HELD_OUT = frozenset(_SPLITS) - {"train", "training"}
# In each line, one word names the content of a file; files with different ones are not one text.
_LINES = (
    _SPLITS,
    "clean cleaned noisy dirty removed filtered unfiltered raw dedup deduped deduplicated".split(),
    "validated invalidated".split(),  # by the reviewers of Common Voice
    # A package of the Leipzig Corpora Collection.
    "sentences words co_n co_s inv_w inv_so sources meta".split(),
)
_LAYERS = frozenset(
    "data corpus corpora text texts txt dataset datasets default raw clean noisy all".split()
)
_FINDERS = tuple(
    re.compile(rf"(?<![a-z0-9])({'|'.join(sorted(words, key=len, reverse=True))})(?![a-z0-9])")
    for words in _LINES
)


def is_layer(name: str) -> bool:
    """Whether a folder of this name contains languages, and is not one: data/, train/."""
    return name.lower() in _LAYERS or is_split(name)


def is_split(name: str) -> bool:
    """Whether a name is that of a split, such as train."""
    return name.lower() in _SPLITS


def together(names: Iterable[str]) -> dict[str, str]:
    """The file names without suffixes that consist of a language and a kind, such as `de-train` and
    `de-test`: name -> language. A single one is taken as a language's name."""
    found: dict[tuple[int, str], dict[str, str]] = {}
    for name in names:
        for number, words in enumerate(_LINES):
            match = re.fullmatch(rf"(.+)[._-]({'|'.join(words)})", name, re.IGNORECASE)
            if match:
                found.setdefault((number, match[1]), {})[name] = match[2].lower()
                break
    return {
        name: language
        for (_, language), kinds in found.items()
        if len(set(kinds.values())) > 1
        for name in kinds
    }


def chosen(spec: FilesCorpus, paths: Sequence[Path], base: Path) -> list[Path]:
    """The files that `only` selects."""
    words = spec.words
    return [path for path in paths if _is_chosen(path, base, words)] if words else list(paths)


def mixed_kinds(spec: FilesCorpus, language: str, paths: Sequence[Path]) -> Problem | None:
    """The problem of reading these files as one text, if they are of several kinds."""
    if spec.only == ALL:
        return None
    for line, finder in zip(_LINES, _FINDERS, strict=True):
        by_word = _by_word(finder, paths, spec.base)
        if len(by_word) == 1 or (not by_word.keys() & _HELD_OUT and len(by_word.keys() - {""}) < 2):
            continue
        if line is _SPLITS:
            first = next((word for word in ("train", "training") if word in by_word), "")
        else:
            first = next(word for word in line if word in by_word)
        option = f"?only={first}" if first else "?only=WORD, of their paths,"
        shown = "; ".join(
            f"{number} {'of ' + word if word else 'without such a word'}, "
            f"such as {example.relative_to(spec.base)}"
            for word, (number, example) in by_word.items()
        )
        requirement = f"files of one kind ({option} reads only those, ?only=all reads all)"
        return Problem(f"files of {language}", requirement, shown)
    return _languages_of_one_name(spec, language, paths)


def _languages_of_one_name(
    spec: FilesCorpus, language: str, paths: Sequence[Path]
) -> Problem | None:
    """A problem for two languages side by side, as in OPUS (`Tatoeba.de-fi.de` and
    `Tatoeba.de-fi.fi`), which an explicit format would read as one."""
    if spec.format is None or spec.is_glob:
        return None
    ends: dict[str, set[str]] = {}
    for path in paths:
        stem, _, end = unpacked_name(path.name).rpartition(".")
        if file_format(path) is None and CODE.fullmatch(end) and not CODE.fullmatch(stem):
            ends.setdefault(stem, set()).add(f".{end}")
    for stem, codes in ends.items():
        if len(codes) > 1:
            option = f"the pattern {stem}.{{language}} in this folder reads them separately"
            requirement = f"files of one language ({option}, ?only=all reads all as one)"
            return Problem(
                f"files of {language}", requirement, f"{stem} with {', '.join(sorted(codes))}"
            )
    return None


def _is_chosen(path: Path, base: Path, words: frozenset[str]) -> bool:
    name = _below(path, base)
    asked = set(words)
    for line, finder in zip(_LINES, _FINDERS, strict=True):
        wanted = asked & set(line)
        asked -= wanted
        if wanted and not wanted & set(finder.findall(name)):
            return False
    return all(re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", name) for word in asked)


def _by_word(
    finder: re.Pattern[str], paths: Iterable[Path], base: Path
) -> Mapping[str, tuple[int, Path]]:
    """For each word in paths ("" for none): the number of files with it, and one of them."""
    found: dict[str, tuple[int, Path]] = {}
    for path in paths:
        words = finder.findall(_below(path, base))
        word = words[-1] if words else ""  # the file's name is more specific than its folder's
        number, example = found.get(word, (0, path))
        found[word] = (number + 1, example)
    return found


def _below(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix().lower()
