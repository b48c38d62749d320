"""A source that is several languages: one value however it is written, and none that cannot be."""

from __future__ import annotations

from fractions import Fraction

import pytest

from raydt.config.mixtures import mixture_of
from raydt.config.sweep import Sweep
from tests.sweep_words import problems, read


def test_a_mixture_is_one_value_however_it_is_written() -> None:
    tenths = read("--sources", "en*0.7+pt*0.3", "--targets", "de").mixtures
    assert tenths["en*0.7+pt*0.3"].shares == (("en", Fraction(7, 10)), ("pt", Fraction(3, 10)))
    for text in ("pt * 0.30 + en * .7", "pt*0.3+en*0.700"):
        assert read("--sources", text, "--targets", "de").mixtures == tenths
    for text in ("en+es", "es+en", "es*0.5+en*0.5"):
        (name,) = read("--sources", text, "--targets", "de").source_names
        assert name == "en+es"
    thirds = mixture_of("en+es+zh")
    assert thirds is not None
    assert {share for _, share in thirds.shares} == {Fraction(1, 3)}
    assert mixture_of("en") is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("en*-0.3+pt*1.3", "shares between 0 and 1, such as 0.7 (not '-0.3')"),
        ("en*0+pt*1", "not '0'"),
        ("en*x+pt*0.5", "not 'x'"),
        ("en*nan+pt*0.5", "not 'nan'"),
        ("en*1e-12+pt*0.5", "not '1e-12'"),
        ("en*0.7+pt*0.4", "shares that add up to 1 (not 1.1)"),
        ("en*0.333+es*0.333+pt*0.333", "shares that add up to 1 (not 0.999)"),
        ("en+es+en", "each language once (repeated: en)"),
        ("en*0.5+pt", "shares for all of its languages, or for none"),
        ("en*0.5", "two languages or more"),
        ("+", "two languages or more"),
        ("en+", "two languages or more"),
        ("en+../es", "letters, digits"),
    ],
)
def test_what_no_mixture_can_be_is_refused(source: str, said: str) -> None:
    (problem,) = problems("--sources", source, "--targets", "de")
    assert problem.startswith("sources: ")
    assert said in problem
    assert source in problem


def test_two_spellings_of_one_mixture_are_one_source_twice() -> None:
    (problem,) = problems("--sources", "en+es", "es+en", "--targets", "de")
    assert "each value once (repeated: en+es)" in problem


def test_a_mixture_that_holds_a_target_is_refused() -> None:
    (problem,) = problems("--sources", "en", "en+es", "--targets", "es", "de")
    assert problem.startswith("sources: en+es: ")
    assert "target es" in problem


def test_a_mixture_needs_its_share_of_each_language() -> None:
    sweep = Sweep(
        sources=("en", "en*0.7+pt*0.3"),
        targets=("de",),
        pretrain_size="1001",
        sizes=("2k",),
        scratch_sizes=(),
    )
    assert sweep.train_bytes() == {"de": 2000, "en": 1001, "pt": 301}
    assert [(one.name, one.train_bytes) for one in sweep.mixed()] == [("en*0.7+pt*0.3", 1001)]
    assert sweep.source_languages == ("en",)
    assert sweep.pairs() == [("en", "de"), ("en*0.7+pt*0.3", "de")]
