"""A source that mixes several languages, by shares of its bytes.

`en+es` has equal shares, `en*0.7+pt*0.3` explicit ones. The order does not matter: a mixture has
one canonical spelling.
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
    """Languages, sorted by name, and their shares of the bytes, which add up to 1."""

    shares: tuple[tuple[str, Fraction], ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Its languages, sorted."""
        return tuple(language for language, _ in self.shares)

    def __str__(self) -> str:
        if len({share for _, share in self.shares}) == 1:
            return "+".join(self.languages)
        return "+".join(f"{language}*{_spell(share)}" for language, share in self.shares)

    def bytes_of(self, num_bytes: int) -> dict[str, int]:
        """Bytes of each language in `num_bytes` of the mixture, to within a document."""
        return {language: ceil(share * num_bytes) for language, share in self.shares}

    def joined(self, target: str, target_bytes: int) -> Mixed:
        """The first `target_bytes` of this mixture and of `target`, which must not be in it;
        evaluated in the target."""
        assert target not in self.languages
        shares = [(language, share / 2) for language, share in self.shares]
        halves = Mixture(tuple(sorted([*shares, (target, Fraction(1, 2))])))
        return Mixed(f"{halves}@{target}-{target_bytes}", halves, 2 * target_bytes, target)


class Mixed(NamedTuple):
    """A mixture that a sweep has prepared as a language of its own."""

    name: str  # of its folder and its datasets; never parsed
    mixture: Mixture
    train_bytes: int
    evaluated: str | None = None  # the language of its `val` and `test`; None: mixed as well


def single_language(language: str) -> Mixture:
    """A mixture of a single language."""
    return Mixture(((language, Fraction(1)),))


def mixture_of(source: str) -> Mixture | None:
    """Parse a source as a mixture; None for a single language. Raises `PydanticCustomError` for a
    mixture that is not valid."""
    if not _MARKS.search(source):
        return None
    parts = [part.strip() for part in source.split("+")]
    if len(parts) < 2 or not all(parts):
        raise _error("of two languages or more, such as en+es")
    named = [part.partition("*") for part in parts]
    languages = [language.strip() for language, _, _ in named]
    repeated = sorted({language for language in languages if languages.count(language) > 1})
    if repeated:
        raise _error(f"that has each language once (repeated: {', '.join(repeated)})")
    with_share = [bool(mark) for _, mark, _ in named]
    if any(with_share) and not all(with_share):
        raise _error("with shares for all of its languages, or for none")
    if not any(with_share):
        return Mixture(tuple((name, Fraction(1, len(parts))) for name in sorted(languages)))
    shares = [_share(text.strip()) for _, _, text in named]
    if sum(shares) != 1:
        raise _error(f"with shares that add up to 1 (not {_spell(sum(shares, Fraction(0)))})")
    return Mixture(tuple(sorted(zip(languages, shares, strict=True))))


def _share(text: str) -> Fraction:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("nan")
    if not share.is_finite() or not 0 < share < 1 or share != round(share, _DECIMALS):
        raise _error(f"with shares between 0 and 1, such as 0.7 (not {text!r})")
    return Fraction(share)


def _spell(share: Fraction) -> str:
    return f"{float(share):.{_DECIMALS}f}".rstrip("0").rstrip(".")


def _error(which: str) -> PydanticCustomError:
    return PydanticCustomError("mixture", "{it}", {"it": f"a mixture {which}"})
