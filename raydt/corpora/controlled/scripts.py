"""Scripts: the same words in letters of one, two, three or four bytes.

Written in another script a language keeps its sounds, words and sentences, and has no letter in
common with its parent. Space and stop stay ASCII. Three of the scripts have no capitals, so that
names cannot be told from other words by their first letter, as in the real ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from raydt.corpora.controlled.surface import Surface

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_VOWEL_AFTER_NO_CONSONANT = re.compile(r"(?<![b-df-hj-np-tv-z])[aeiou]")


@dataclass(frozen=True)
class Script:
    """The characters that replace the letters a to z."""

    letters: str  # 26 characters, all of `letter_bytes`
    letter_bytes: int
    # An abugida has two letters for a vowel; these five are for one that follows no consonant.
    free_vowels: str | None = None

    def write(self, latin: str) -> str:
        """A word in Latin letters, in this script."""
        if self.free_vowels is not None:
            free = dict(zip("aeiou", self.free_vowels, strict=True))
            latin = _VOWEL_AFTER_NO_CONSONANT.sub(lambda vowel: free[vowel[0]], latin)
        return latin.translate(str.maketrans(_LATIN, self.letters))


def _letters_from(first: int) -> str:
    return "".join(chr(first + i) for i in range(len(_LATIN)))


# Where a letter of about the same sound exists it is taken; Cherokee and Deseret go by their order.
SCRIPTS = {
    "latin": Script(_LATIN, 1),
    "greek": Script("αβξδεφγηιψκλμνοπϙρστυϝωχθζ", 2),
    "cyrillic": Script("абцдефгхижклмнопщрстувшчыз", 2),
    "georgian": Script("აბცდეფგჰიჯკლმნოპყრსტუვწხჟზ", 3),
    "devanagari": Script(
        "\u093eबचद\u0947फगह\u093fजकलमन\u094bपखरसत\u0941वधषयझ", 3, free_vowels="आएइओउ"
    ),
    "cherokee": Script(_letters_from(0xAB70), 3),
    "gothic": Script(_letters_from(0x10330), 4),
    "deseret": Script(_letters_from(0x10428), 4),
}


def write_surface(surface: Surface, script: str) -> Surface:
    """A surface made in Latin letters, in one of `SCRIPTS`."""
    write = SCRIPTS[script].write
    return replace(
        surface,
        syllables=tuple(map(write, surface.syllables)),
        words=tuple(map(write, surface.words)),
        suffixes=tuple(map(write, surface.suffixes)),
    )
