"""How much of a language is in other languages, by language identification.

Windows of up to 500 bytes are drawn from the training stream with a fixed seed, each inside one
document, because a window over many short documents is identified as the language of most of them.
They are cut at UTF-8 boundaries and passed to py3langid twice: restricted to the languages of the
corpus that it knows (`restricted`: 99.6-100 % correct on clean text), and among all it knows
(`full`: confuses close relatives such as id and ms). A language whose name does not begin with an
ISO 639-1 code that py3langid knows, such as a controlled one, is not judged, and the reason is
recorded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from raydt.corpora.splits import SEPARATOR

WINDOW_BYTES = 500
NUM_WINDOWS = 500
_SEED = 0
_loading = Lock()
_CODE = re.compile(r"([a-z]{2})(?:[-_.].*)?")


@dataclass(frozen=True)
class Contamination:
    """Shares of the windows by language, largest first; `None` and a reason if not judged."""

    reason: str | None = None
    num_windows: int = 0
    among: tuple[str, ...] = ()  # the restricted set
    restricted: dict[str, float] | None = None
    full: dict[str, float] | None = None

    def foreign(self, *languages: str) -> float | None:
        """The share of windows identified as none of these languages (one, or those of a mixture),
        by the restricted set."""
        if self.restricted is None:
            return None
        return 1 - sum(self.restricted.get(code or "", 0.0) for code in {*map(_code, languages)})

    def largest_foreign(self, *languages: str) -> str | None:
        """The most frequent other language by the full set, with its share."""
        if self.full is None:
            return None
        own = {*map(_code, languages)}
        others = [code for code in self.full if code not in own]
        return f"{others[0]} {self.full[others[0]]:.1%}" if others else "none"


def mixed_contamination(
    shares: Mapping[str, float], found: Mapping[str, Contamination]
) -> Contamination:
    """The contamination of a mixture: the average of its languages, weighted by their shares. Not
    judged if one of them is not, or if their sets differ."""
    for language in shares:
        if found[language].reason is not None:
            return Contamination(f"of {language}: {found[language].reason}")
    sets = {each.among for each in found.values()}
    in_one_set = len(sets) == 1 and all(each.restricted is not None for each in found.values())
    return Contamination(
        num_windows=sum(each.num_windows for each in found.values()),
        among=next(iter(sets)) if in_one_set else (),
        restricted=(
            _weighted(shares, {n: f.restricted for n, f in found.items()}) if in_one_set else None
        ),
        full=_weighted(shares, {n: f.full for n, f in found.items()}),
    )


def _weighted(
    shares: Mapping[str, float], found: Mapping[str, Mapping[str, float] | None]
) -> dict[str, float] | None:
    total: dict[str, float] = {}
    for language, share in shares.items():
        judged = found[language]
        if judged is None:
            return None
        for code, of_it in judged.items():
            total[code] = total.get(code, 0.0) + share * of_it
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def load_model(language: str) -> None:
    """Load the model in advance, in a thread, because this takes a while."""
    if _code(language) is not None:
        _identifier()


def find_contamination(train: Path, language: str, languages: Iterable[str]) -> Contamination:
    """Judge the training stream in a file; `languages` are those of the corpus."""
    code = _code(language)
    if code is None:
        return Contamination(f"{language!r} does not begin with an ISO 639-1 code")
    known = _known()
    if code not in known:
        return Contamination(f"py3langid does not know {code!r}")
    windows = _windows(train)
    if not windows:
        return Contamination("no text")
    among = tuple(sorted({code} | {c for c in map(_code, languages) if c in known}))
    return Contamination(
        num_windows=len(windows),
        among=among,
        # With a single language there is no choice.
        restricted=_shares(windows, among) if len(among) > 1 else None,
        full=_shares(windows, None),
    )


def _code(language: str) -> str | None:
    match = _CODE.fullmatch(language.lower())
    return match[1] if match else None


def _windows(path: Path) -> list[str]:
    size = path.stat().st_size
    num_windows = min(NUM_WINDOWS, size // WINDOW_BYTES or int(size > 0))
    starts = np.random.default_rng(_SEED).integers(0, max(1, size - WINDOW_BYTES), num_windows)
    windows = []
    with path.open("rb") as file:
        for start in np.sort(starts).tolist():
            # Include bytes before, because a short document may begin there.
            first = max(0, start - WINDOW_BYTES)
            file.seek(first)
            text = file.read(start - first + WINDOW_BYTES)
            at = start - first
            begin, end = text.rfind(SEPARATOR, 0, at) + 1, text.find(SEPARATOR, at)
            end = len(text) if end < 0 else end
            if end - begin > WINDOW_BYTES:
                begin = max(begin, min(at, end - WINDOW_BYTES))
                end = begin + WINDOW_BYTES
            # Only characters at the cuts are invalid UTF-8.
            decoded = text[begin:end].decode("utf-8", "ignore")
            if decoded.strip():
                windows.append(decoded)
    return windows


def _shares(windows: list[str], among: tuple[str, ...] | None) -> dict[str, float]:
    identifier = _identifier()
    identifier.set_languages(None if among is None else list(among))
    counts = Counter(str(identifier.classify(window)[0]) for window in windows)
    identifier.set_languages(None)
    return {language: count / len(windows) for language, count in counts.most_common()}


@cache
def _known() -> frozenset[str]:
    return frozenset(map(str, _identifier().labels))


def _identifier() -> Any:
    with _loading:  # once; other threads wait
        return _load()


@cache
def _load() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
