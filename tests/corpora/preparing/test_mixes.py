"""Mixtures on disk: shares, splits, contamination, and what happens when a language changes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from raydt.corpora.prepared.contamination import Contamination, mixed_contamination
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.prepared.manifest import read_manifest
from raydt.corpora.preparing.mix import Mix
from raydt.corpora.preparing.mixes import prepare_mixes
from raydt.corpora.preparing.prepare import prepare_corpus
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import ControlledCorpus, CorpusSpec, FilesCorpus
from raydt.corpora.splits import SPLITS
from raydt.errors import InputError

HALVES = {"de": Fraction(1, 2), "en": Fraction(1, 2)}


def mixed(
    spec: CorpusSpec,
    root: Path,
    shares: dict[str, Fraction],
    num_bytes: int,
    evaluated: str | None = None,
    name: str = "mixed",
) -> PreparedLanguage:
    """As a sweep prepares it: with as much of each language as its share."""
    corpus = locate(spec)
    asked = {name: int(share * num_bytes) for name, share in shares.items()}
    languages = prepare_corpus(corpus, asked, 300, 300, root)
    mix = Mix(name, shares, num_bytes, evaluated)
    return prepare_mixes(corpus, [mix], languages, 300, 300, root)[name]


def documents(language: PreparedLanguage, split: str) -> list[bytes]:
    assert split in SPLITS
    whole = language.prefix(split, language.manifest.splits[split].num_bytes)
    return whole.tobytes().split(b"\0")[:-1]


def test_documents_are_those_of_its_languages_in_their_order(
    corpus: FilesCorpus, root: Path
) -> None:
    mixture = mixed(corpus, root, HALVES, 8000)
    for split in SPLITS:
        texts = documents(mixture, split)
        for name in HALVES:
            own = [text for text in texts if text.startswith(name.encode())]
            parent = PreparedLanguage(
                name, mixture.folder.parent / name, read_manifest(mixture.folder.parent / name)
            )
            assert own == documents(parent, split)[: len(own)]
            assert len(own) > 10
    sizes = {name: part.num_bytes["train"] for name, part in parts(mixture).items()}
    assert sum(sizes.values()) == mixture.manifest.splits["train"].num_bytes
    assert abs(sizes["en"] - sizes["de"]) <= 2 * 40
    assert mixture.manifest.num_documents == sum(len(documents(mixture, s)) for s in SPLITS)


def parts(language: PreparedLanguage) -> dict:
    assert language.manifest.parts is not None
    return {part.language: part for part in language.manifest.parts}


def test_it_is_written_once_and_a_longer_one_begins_with_it(
    corpus: FilesCorpus, root: Path
) -> None:
    first = mixed(corpus, root, HALVES, 4000)
    written = (first.folder / "train.bin").stat().st_ino
    data = first.train(4000).tobytes()
    again = mixed(corpus, root, HALVES, 4000)
    assert (again.folder / "train.bin").stat().st_ino == written
    longer = mixed(corpus, root, HALVES, 9000)
    assert longer.train(4000).tobytes() == data
    shorter = mixed(corpus, root, HALVES, 4000)
    assert shorter.manifest == longer.manifest, "and a shorter one does not shorten it"
    assert first.train(4000).tobytes() == data, "whoever has the shorter one open reads on"
    shares = {"de": Fraction(1, 10), "en": Fraction(9, 10)}
    tenths = mixed(corpus, root, shares, 4000, name="tenths")
    assert tenths.digest(4000, 300, 300) != first.digest(4000, 300, 300)
    assert tenths.manifest.parts != longer.manifest.parts


def test_text_that_changed_makes_another_mixture(corpus: FilesCorpus, root: Path) -> None:
    mixture = mixed(corpus, root, HALVES, 4000)
    before = mixture.digest(4000, 300, 300)
    path = corpus.path / "en.txt"
    path.write_text(path.read_text().replace("grüßt", "greets"))
    assert mixed(corpus, root, HALVES, 6000).digest(4000, 300, 300) != before
    with pytest.raises(InputError, match="prepare the language again"):
        mixture.train(4000)


def test_a_damaged_mixture_is_written_again(corpus: FilesCorpus, root: Path) -> None:
    first = mixed(corpus, root, HALVES, 4000)
    digest = first.digest(4000, 300, 300)
    data = bytearray((first.folder / "train.bin").read_bytes())
    data[5] ^= 1
    (first.folder / "train.bin").write_bytes(data)
    assert mixed(corpus, root, HALVES, 4000).digest(4000, 300, 300) == digest


def test_a_mixture_larger_than_its_corpora_is_refused(corpus: FilesCorpus, root: Path) -> None:
    with pytest.raises(InputError) as caught:
        mixed(corpus, root, {"de": Fraction(1, 100), "en": Fraction(99, 100)}, 15_000)
    (problem,) = caught.value.problems
    assert "en.txt" in problem.what, "seen before anything is read"
    languages = prepare_corpus(locate(corpus), {"en": 1, "de": 1}, 300, 300, root)
    most = sum(each.manifest.splits["train"].num_bytes for each in languages.values())
    with pytest.raises(InputError) as caught:
        prepare_mixes(locate(corpus), [Mix("m", HALVES, most + 1)], languages, 300, 300, root)
    (problem,) = caught.value.problems
    assert "a mixture cannot be larger than its" in problem.expected
    assert f"for {most + 1} bytes of m" in problem.what


def test_of_what_is_generated_there_is_always_enough(root: Path) -> None:
    """The share of a language ends within a document: the rest of it is generated too."""
    shares = {"alba": Fraction(1, 2), "brio": Fraction(1, 2)}
    mixture = mixed(ControlledCorpus(), root, shares, 20_000)
    assert mixture.manifest.splits["train"].num_bytes >= 20_000
    data = mixture.train(20_000).tobytes()
    longer = mixed(ControlledCorpus(), root, shares, 60_000)
    assert longer.train(20_000).tobytes() == data
    # Another sweep has a language made longer: the mixture stays as long as it was.
    prepare_corpus(locate(ControlledCorpus()), {"alba": 90_000}, 300, 300, root)
    again = mixed(ControlledCorpus(), root, shares, 20_000)
    assert again.manifest.splits == longer.manifest.splits
    assert again.manifest.parts != longer.manifest.parts
    assert mixture.train(20_000).tobytes() == data
    assert mixture.manifest.contamination.reason == (
        "of alba: a controlled language is no natural one"
    )


def test_one_that_is_evaluated_in_a_language_has_its_held_out_bytes(root: Path) -> None:
    shares = {"alba": Fraction(1, 2), "brio": Fraction(1, 2)}
    mixture = mixed(ControlledCorpus(), root, shares, 20_000, evaluated="brio")
    corpus = locate(ControlledCorpus())
    alone = prepare_corpus(corpus, {"brio": 1}, 300, 300, root)["brio"]
    assert np.array_equal(mixture.val(300), alone.val(300))
    assert np.array_equal(mixture.test(300), alone.test(300))


@pytest.mark.parametrize("size", [1_000, 7_777])
def test_one_that_is_evaluated_has_the_bytes_of_scratch(
    corpus: FilesCorpus, root: Path, size: int
) -> None:
    """However long documents are: a size of scratch and as many bytes of the source."""
    joint = mixed(corpus, root, HALVES, 2 * size, evaluated="de")
    data = joint.train(2 * size).tobytes()
    assert len(data) == joint.manifest.splits["train"].num_bytes == 2 * size
    alone = prepare_corpus(locate(corpus), {"de": size, "en": size}, 300, 300, root)
    assert data == alone["de"].train(size).tobytes() + alone["en"].train(size).tobytes()
    assert joint.manifest.splits["train"].num_characters < 2 * size


def test_a_mixture_beside_one_that_is_evaluated_is_cut_to_the_byte(root: Path) -> None:
    shares = {"alba": Fraction(3, 8), "brio": Fraction(1, 8), "related": Fraction(1, 2)}
    joint = mixed(ControlledCorpus(), root, shares, 40_000, evaluated="related")
    data = joint.train(40_000).tobytes()
    assert len(data) == joint.manifest.splits["train"].num_bytes == 40_000
    alone = prepare_corpus(locate(ControlledCorpus()), {"related": 20_000}, 300, 300, root)
    assert data[:20_000] == alone["related"].train(20_000).tobytes()
    taken = {part.language: part.num_bytes["train"] for part in joint.manifest.parts or ()}
    assert sum(taken.values()) == 40_000
    assert taken["related"] == 20_000
    assert taken["alba"] == pytest.approx(15_000, abs=600)


def test_contamination_is_that_of_its_languages_by_their_shares() -> None:
    english = Contamination(None, 500, ("en", "es"), {"en": 1.0}, {"en": 0.9, "fr": 0.1})
    spanish = Contamination(None, 500, ("en", "es"), {"es": 0.8, "en": 0.2}, {"es": 1.0})
    found = mixed_contamination({"en": 0.75, "es": 0.25}, {"en": english, "es": spanish})
    assert found.restricted == {"en": pytest.approx(0.8), "es": pytest.approx(0.2)}
    assert found.foreign("en", "es") == pytest.approx(0)
    assert found.largest_foreign("en", "es") == "fr 7.5%"
    unknown = Contamination("py3langid does not know 'xx'")
    none = mixed_contamination({"en": 0.5, "xx": 0.5}, {"en": english, "xx": unknown})
    assert none.reason == "of xx: py3langid does not know 'xx'"
    assert none.foreign("en", "xx") is None
    apart = Contamination(None, 500, ("en", "pt"), {"en": 1.0}, {"en": 1.0})
    other = mixed_contamination({"en": 0.5, "es": 0.5}, {"en": apart, "es": spanish})
    assert other.restricted is None, "judged among different languages: not comparable"


def test_the_manifest_of_a_language_from_before_there_were_mixtures_is_read(
    corpus: FilesCorpus, root: Path
) -> None:
    folder = prepare_corpus(locate(corpus), {"en": 100}, 300, 300, root)["en"].folder
    fields = json.loads((folder / "manifest.json").read_text())
    del fields["parts"]
    (folder / "manifest.json").write_text(json.dumps(fields))
    assert read_manifest(folder).languages == ("en",)
