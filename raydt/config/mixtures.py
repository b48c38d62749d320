"""A source that is several languages at once, by shares of its bytes.

`en+es` has as much of each, `en*0.7+pt*0.3` what it says. Whatever order they are named in, it is
one mixture, and it is written down in one way.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from pydantic_core import PydanticCustomError

_MARKS = re.compile(r"[+*]")  # no language has one in its name
_DECIMALS = 9  # of a share, at most


class Mixture(NamedTuple):
    """Languages and their shares of the bytes, which add up to 1; by name."""

    shares: tuple[tuple[str, Fraction], ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """What it is of."""
        return tuple(language for language, _ in self.shares)

    def __str__(self) -> str:
        if len({share for _, share in self.shares}) == 1:
            return "+".join(self.languages)
        return "+".join(f"{language}*{_spell(share)}" for language, share in self.shares)

    def bytes_of(self, num_bytes: int) -> dict[str, int]:
        """Of each language in so many bytes of the mixture, to within a document."""
        return {language: ceil(share * num_bytes) for language, share in self.shares}

    def joined(self, target: str, target_bytes: int) -> Mixed:
        """The first `target_bytes` of it and of `target`, which it does not have, for what is
        evaluated in the target."""
        assert target not in self.languages
        shares = [(language, share / 2) for language, share in self.shares]
        halves = Mixture(tuple(sorted([*shares, (target, Fraction(1, 2))])))
        return Mixed(f"{halves}@{target}-{target_bytes}", halves, 2 * target_bytes, target)


class Mixed(NamedTuple):
    """A mixture that a sweep has prepared as a language of its own."""

    name: str  # of its folder and its datasets; nothing is read back from it
    mixture: Mixture
    train_bytes: int
    evaluated: str | None = None  # the language whose `val` and `test` it has, if no mixed ones


def of_one(language: str) -> Mixture:
    """A language as a mixture of nothing else."""
    return Mixture(((language, Fraction(1)),))


def mixture_of(source: str) -> Mixture | None:
    """The mixture that a source is; None of a single language. `PydanticCustomError` for shares
    that cannot be."""
    if not _MARKS.search(source):
        return None
    parts = [part.strip() for part in source.split("+")]
    if len(parts) < 2 or not all(parts):
        raise _error(f"two languages or more, as in en+es, not {source!r}")
    named = [part.partition("*") for part in parts]
    languages = [language.strip() for language, _, _ in named]
    repeated = sorted({language for language in languages if languages.count(language) > 1})
    if repeated:
        raise _error(f"each language only once, not {', '.join(repeated)} again")
    with_share = [bool(mark) for _, mark, _ in named]
    if any(with_share) and not all(with_share):
        raise _error("a share for each of its languages, or for none")
    if not any(with_share):
        return Mixture(tuple((name, Fraction(1, len(parts))) for name in sorted(languages)))
    shares = [_share(text.strip()) for _, _, text in named]
    if sum(shares) != 1:
        raise _error(f"shares that add up to 1, not to {_spell(sum(shares, Fraction(0)))}")
    return Mixture(tuple(sorted(zip(languages, shares, strict=True))))


def _share(text: str) -> Fraction:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("nan")
    if not share.is_finite() or not 0 < share < 1 or share != round(share, _DECIMALS):
        raise _error(f"shares above 0 and below 1, as 0.7, not {text!r}")
    return Fraction(share)


def _spell(share: Fraction) -> str:
    return f"{float(share):.{_DECIMALS}f}".rstrip("0").rstrip(".")


def _error(requirement: str) -> PydanticCustomError:
    return PydanticCustomError("mixture", "{it}", {"it": f"a mixture with {requirement}"})
