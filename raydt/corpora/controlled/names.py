"""The names of controlled languages, as people type them.

    alba                 one of `LANGUAGES`
    w0.5-s0.25           half of the world and a quarter of the words and suffixes of `related`
    distant-v2           another language of the same kind, up to v9
    w1-s0-v3-georgian    all of it, in another script

Every language has one name: `w0.50-s1`, `alba-latin` and `distant-v1` are refused, because the
text of a language is seeded by its name, and two names would be two texts.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from functools import cache

from raydt.corpora.controlled.languages import (
    LANGUAGES,
    MAX_VARIANT,
    ControlledLanguage,
    dialled_language,
)
from raydt.corpora.controlled.scripts import SCRIPTS
from raydt.errors import InputError, Problem

_OTHER_SCRIPTS = [script for script in SCRIPTS if script != "latin"]
_NAME = re.compile(
    rf"(?P<base>.+?)(?:-v(?P<variant>[2-{MAX_VARIANT}]))?(?:-(?P<script>{'|'.join(_OTHER_SCRIPTS)}))?"
)
_DIALS = re.compile(r"w(?P<world>[0-9.]+)-s(?P<surface>[0-9.]+)")
_LOOSE_DIALS = re.compile(
    r"(?:dial-?)?w(?P<world>[0-9]*\.?[0-9]+)[-_]?s(?P<surface>[0-9]*\.?[0-9]+)"
)
# Of one share there is one spelling: no more than two decimals, and none that is an idle zero.
_SHARE = re.compile(r"0|1|0\.[0-9]?[1-9]")


def find_language(name: str) -> ControlledLanguage:
    """The language of a name. `InputError` with what is possible, and what may be meant."""
    language = _find(name)
    if language is None:
        raise InputError([_problem(name)])
    return language


def check_name(name: str) -> list[Problem]:
    """What is wrong with the name of a language; empty if there is such a language."""
    return [_problem(name)] if _find(name) is None else []


def describe_names() -> str:
    """All names there are, in a line."""
    return (
        f"{', '.join(LANGUAGES)}, or w<share>-s<share> as in w0.5-s0.25 (of world and surface, 0 "
        f"to 1); then -v2 to -v{MAX_VARIANT} for another like it (not of related); then "
        f"{', '.join('-' + script for script in _OTHER_SCRIPTS)} (not of brackets)"
    )


@cache
def _find(name: str) -> ControlledLanguage | None:
    match = _NAME.fullmatch(name)
    language = _find_base(match["base"]) if match else None
    if match is None or language is None:
        return None
    if match["variant"]:
        if language.name == "related":  # the one that all dials are relative to
            return None
        language = language.with_variant(int(match["variant"]))
    if match["script"]:
        if language.content == "brackets":
            return None
        language = replace(language, script=match["script"])
    return replace(language, name=name)


def _find_base(base: str) -> ControlledLanguage | None:
    dials = _DIALS.fullmatch(base)
    if dials is None:
        return LANGUAGES.get(base)
    if not all(_SHARE.fullmatch(share) for share in dials.groups()):
        return None
    return dialled_language(base, float(dials["world"]), float(dials["surface"]))


def _problem(name: str) -> Problem:
    meant = _guess(name)
    hint = f" (did you mean {' or '.join(meant)}?)" if meant else ""
    return Problem("language", f"a controlled language: {describe_names()}", f"{name!r}{hint}")


def _guess(name: str) -> list[str]:
    """Names that may be meant by one that is none."""
    loose = _LOOSE_DIALS.match(name.lower())
    if loose:
        bases = ["-".join(f"{dial[0]}{_spell(share)}" for dial, share in loose.groupdict().items())]
        rest = name[loose.end() :]
    else:
        start, _, rest = name.partition("-")
        bases = difflib.get_close_matches(start.lower(), LANGUAGES, n=3, cutoff=0.6)
    endings = []
    for part in rest.lower().split("-"):
        close = difflib.get_close_matches(part, SCRIPTS, n=1, cutoff=0.6)
        endings += [part] if re.fullmatch("v[0-9]", part) else close
    endings = sorted({*endings} - {"latin", "v1"}, key=lambda ending: ending in SCRIPTS)
    whole = ["-".join([base, *endings]) for base in bases]
    known = [name for name in (*whole, *bases) if _find(name) is not None]
    return list(dict.fromkeys(known))[:3]


def _spell(share: str) -> str:
    """The one spelling of a share."""
    return f"{min(float(share), 1.0):.2f}".rstrip("0").rstrip(".")
