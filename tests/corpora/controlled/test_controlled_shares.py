"""Dials, families, scripts, brackets: what a controlled language promises beyond its text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydt.corpora.controlled.catalog import (
    generate,
    generator_version,
    language_surface,
    language_world,
)
from raydt.corpora.controlled.dials import SharedWorld, choose_shared
from raydt.corpora.controlled.distant import ORDERS
from raydt.corpora.controlled.family import COGNATE_SHARE, apply_laws, build_ancestor
from raydt.corpora.controlled.scripts import SCRIPTS
from raydt.corpora.controlled.surface import NUM_SUFFIXES, NUM_WORDS
from raydt.corpora.controlled.world import Meanings, World, tell

SHARES = ["0", "0.1", "0.3", "0.5", "0.6", "0.9", "1"]


def same_strings(one: str, other: str) -> np.ndarray:
    a, b = language_surface(one, 0), language_surface(other, 0)
    pairs = zip(a.words + a.suffixes, b.words + b.suffixes, strict=True)
    return np.array([x == y for x, y in pairs])


def test_both_dials_at_one_are_related_itself_in_other_documents() -> None:
    assert language_surface("w1-s1", 0) == language_surface("related", 0)
    assert same_worlds(language_world("w1-s1", 0), language_world("related", 0))
    texts = [generate(name, "train", 100_000, 0).tobytes() for name in ("w1-s1", "related")]
    documents = [set(text.split(b"\0")) for text in texts]
    assert not documents[0] & documents[1]


def same_worlds(one: World | SharedWorld, other: World | SharedWorld) -> bool:
    assert isinstance(one, World)
    assert isinstance(other, World)
    tables = [table.name for table in fields(World)]
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in tables)


def shared_world(name: str) -> SharedWorld:
    found = language_world(name, 0)
    assert isinstance(found, SharedWorld)
    return found


@pytest.mark.parametrize("share", SHARES)
def test_the_surface_dial_keeps_that_share_exactly(share: str) -> None:
    kept = same_strings(f"w1-s{share}", "related")
    assert abs(kept[:NUM_WORDS].mean() - float(share)) < 0.01
    assert abs(kept[NUM_WORDS:].mean() - float(share)) <= 0.5 / NUM_SUFFIXES


@pytest.mark.parametrize("share", SHARES[1:-1])
def test_that_share_of_the_documents_speaks_of_the_world(share: str) -> None:
    shared = shared_world(f"w{share}-s1")
    related, none = language_world("related", 0), language_world("w0-s1", 0)
    assert same_worlds(shared.base, related)
    assert same_worlds(shared.other, none)
    said = shared.tell(256, np.random.default_rng(0))
    of_base, of_other = (
        tell(world, 256, np.random.default_rng(0)) for world in (shared.base, shared.other)
    )
    is_shared = choose_shared(256, float(share))
    for of, documents in ((of_base, is_shared), (of_other, ~is_shared)):
        sentences = documents[said.document]
        for part in fields(Meanings):
            assert np.array_equal(
                getattr(said, part.name)[sentences], getattr(of, part.name)[sentences]
            )
    differ = of_base.verb != of_other.verb
    assert differ.mean() > 0.8


@pytest.mark.parametrize("share", SHARES)
def test_documents_of_the_shared_world_are_as_many_everywhere(share: str) -> None:
    shared = choose_shared(256, float(share))
    assert shared.sum() == int(256 * float(share) + 0.5)
    so_far = np.cumsum(shared) - float(share) * np.arange(1, 257)
    assert np.abs(so_far).max() < 3


def test_what_is_kept_at_a_share_is_kept_at_every_larger_one() -> None:
    for small, large in pairwise(SHARES):
        few, many = (same_strings(f"w1-s{share}", "related") for share in (small, large))
        assert (few <= many).all()
        # What is replaced at both is replaced by the same.
        assert (same_strings(f"w1-s{small}", f"w1-s{large}") >= ~many).all()
        assert (choose_shared(256, float(small)) <= choose_shared(256, float(large))).all()


def test_the_dials_do_not_move_each_other() -> None:
    assert language_surface("w0-s0.5", 0) == language_surface("w0.7-s0.5", 0)
    one, other = shared_world("w0.5-s0"), shared_world("w0.5-s0.9")
    assert same_worlds(one.base, other.base)
    assert same_worlds(one.other, other.other)


def test_variants_and_seeds_keep_other_parts() -> None:
    assert not np.array_equal(
        same_strings("w1-s0.5", "related"), same_strings("w1-s0.5-v2", "related")
    )
    assert language_surface("w1-s0-v2", 0).words != language_surface("w1-s0", 0).words
    world = language_world("w0-s1", 0)
    assert not same_worlds(world, language_world("w0-s1-v2", 0))
    assert not same_worlds(world, language_world("w0-s1", 1))


def test_only_text_of_two_worlds_is_of_a_newer_version() -> None:
    versions = [generator_version(name) for name in ("related", "w0-s1", "w1-s0.5", "w0.5-s1")]
    assert versions == [1, 1, 1, 2]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("variant", ["", "-v2"])
def test_what_a_family_keeps_corresponds_by_law(seed: int, variant: str) -> None:
    lusa, hispa = (language_surface(name + variant, seed) for name in ("lusa", "hispa"))
    ancestor = build_ancestor(1000 * seed + 7 + (100 if variant else 0))
    cognate = [
        apply_laws(old, "lusa") == one and apply_laws(old, "hispa") == other
        for old, one, other in zip(ancestor.words, lusa.words, hispa.words, strict=True)
    ]
    assert COGNATE_SHARE - 0.08 < np.mean(cognate) <= COGNATE_SHARE + 0.01
    for old, one, other in zip(ancestor.suffixes, lusa.suffixes, hispa.suffixes, strict=True):
        assert (apply_laws(old, "lusa"), apply_laws(old, "hispa")) == (one, other)
    for surface in (lusa, hispa):
        assert len(set(surface.words)) == NUM_WORDS
        assert len(set(surface.suffixes)) == NUM_SUFFIXES
        assert all(surface.words + surface.suffixes + surface.syllables)
    alike = np.mean([one == other for one, other in zip(lusa.words, hispa.words, strict=True)])
    assert 0.1 < alike < 0.8  # alike in part, and the laws show


def test_the_laws_are_those_of_the_page() -> None:
    words = {
        old: (apply_laws(old, "lusa"), apply_laws(old, "hispa"))
        for old in ("plano", "porta", "luna", "filo", "bon")
    }
    assert words == {
        "plano": ("chao", "llano"),
        "porta": ("porta", "puerta"),
        "luna": ("lua", "luna"),
        "filo": ("filo", "hilo"),
        "bon": ("bom", "buen"),
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_letters_have_the_bytes_of_their_script(script: str) -> None:
    letters = SCRIPTS[script].letters + (SCRIPTS[script].free_vowels or "")
    assert {len(letter.encode()) for letter in letters} == {SCRIPTS[script].letter_bytes}
    assert {len(letter.upper().encode()) for letter in letters} == {SCRIPTS[script].letter_bytes}
    assert len(set(letters)) == len(letters)
    assert unicodedata.normalize("NFC", letters) == letters


def test_there_is_a_script_of_every_length() -> None:
    assert {script.letter_bytes for script in SCRIPTS.values()} == {1, 2, 3, 4}


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "latin"])
def test_another_script_is_the_same_language_without_a_letter_in_common(script: str) -> None:
    name = f"alba-{script}"
    documents = generate(name, "train", 60_000, 0).tobytes().split(b"\0")[:-1]
    decoded = [document.decode() for document in documents]  # valid on their own, each of them
    letters = set("".join(decoded)) - set(" .")
    assert {len(letter.encode()) for letter in letters} == {SCRIPTS[script].letter_bytes}
    assert all(unicodedata.is_normalized("NFC", document) for document in decoded)
    latin = language_surface("alba", 0)
    written = tuple(SCRIPTS[script].write(word) for word in latin.words)
    assert language_surface(name, 0).words == written
    assert len(set(written)) == NUM_WORDS


def test_vowels_of_an_abugida_stand_alone_where_no_consonant_is_before_them() -> None:
    assert SCRIPTS["devanagari"].write("kio") == "क\u093fओ"
    assert SCRIPTS["devanagari"].write("ak") == "आक"


def test_distant_has_its_affixes_before_its_words() -> None:
    surface = language_surface("distant", 0)
    assert surface.prefixing
    assert surface.order in ORDERS
    text = generate("distant", "train", 50_000, 0).tobytes().decode()
    words = set(re.findall(r"[^ .\0]+", text))
    known = set(surface.words)
    tense = surface.suffixes[:3]
    marked = [
        word
        for word in words
        if any(word.startswith(affix) and word[len(affix) :] in known for affix in tense)
    ]
    assert len(marked) > 50
    names = [word for word in words if word != word.lower()]
    inner = [name for name in names if name[0].islower()]  # a prefix, and then the name
    assert 0.2 < len(inner) / len(names) < 0.8
    assert "  " not in text


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5), variant=st.sampled_from(["", "-v2", "-v9"]))
def test_every_document_of_brackets_is_balanced(seed: int, variant: str) -> None:
    text = generate(f"brackets{variant}", "val", 60_000, seed).tobytes()
    closes = dict(zip(b")]}>", b"([{<", strict=True))
    deepest = 0
    documents = text.split(b"\0")[:-1]
    assert len(documents) > 100
    for document in documents:
        assert len(document) >= 128
        still_open: list[int] = []
        for bracket in document:
            if bracket in closes:
                assert still_open.pop() == closes[bracket]
            else:
                assert bracket in closes.values()
                still_open.append(bracket)
                deepest = max(deepest, len(still_open))
        assert not still_open
    assert 15 < deepest < 100


def test_brackets_prefer_some_kinds_inside_others() -> None:
    text = generate("brackets", "train", 400_000, 0).tobytes()
    inside = [text.count(b"{" + kind) for kind in (b"(", b"[", b"{", b"<")]
    assert max(inside) > 5 * min(inside)
