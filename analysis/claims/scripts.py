"""The scripts that languages are written in, from their own text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

SAMPLE_BYTES = 64_000
# ISO 15924: common to several scripts (digits, punctuation), inherited, unknown.
_OF_NO_SCRIPT = {"Zyyy", "Zinh", "Zzzz"}


def script_shares(path: Path) -> dict[str, float]:
    """Shares of letters by script (ISO 15924: "Latn"), largest first, in the first `SAMPLE_BYTES`
    of a UTF-8 file; empty if they contain no letter."""
    # Slow to import, and only grids with prepared corpora need it.
    from fontTools.unicodedata import script

    with path.open("rb") as file:
        text = file.read(SAMPLE_BYTES).decode("utf-8", "ignore")
    counts: Counter[str] = Counter()
    for character, number in Counter(text).items():
        counts[script(character)] += number
    letters = {name: n for name, n in counts.most_common() if name not in _OF_NO_SCRIPT}
    total = sum(letters.values())
    return {name: number / total for name, number in letters.items()}


def common_share(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """The overlap of two languages' distributions of letters over scripts, 0 to 1."""
    return sum(min(share, other.get(name, 0.0)) for name, share in one.items())
