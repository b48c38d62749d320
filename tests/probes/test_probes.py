"""Minimal pairs: their files, their scores, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raydt.config.model import MODELS
from raydt.errors import InputError
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.probes.pairs import Pair, digest, read_pairs
from raydt.probes.score import Accuracy, accuracies, overall, text_nats
from raydt.training.evaluate import Evaluator


@pytest.fixture
def model() -> Decoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return new_decoder(MODELS["paper-nano"]).eval()


def test_pairs_of_tabs_and_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("ça va\tça vas\n\nthe dog runs\tthe dog run\n")
    (tmp_path / "a.jsonl").write_text(
        '{"sentence_good": "ça va", "sentence_bad": "ça vas"}\n'
        '{"sen": "the dog runs", "wrong_sen": "the dog run"}\n'
    )
    pairs = read_pairs(tmp_path / "a.tsv")
    assert pairs == [
        Pair("ça va".encode(), "ça vas".encode()),
        Pair(b"the dog runs", b"the dog run"),
    ]
    assert read_pairs(tmp_path / "a.jsonl") == pairs


def test_json_lines_may_say_what_a_pair_is_about(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"sentence_good": "a", "sentence_bad": "b", "UID": "island", "field": "syntax"}\n'
        '{"sen": "a", "wrong_sen": "b", "phenomenon": "SV-#"}\n'
        '{"good": "a", "bad": "b", "kind": "facts"}\n'
        '{"good": "a", "bad": "b"}\n'
    )
    assert [pair.kind for pair in read_pairs(path)] == ["island", "SV-#", "facts", ""]


def test_a_digest_tells_sets_of_pairs_apart() -> None:
    one, other = Pair(b"a", b"b"), Pair(b"b", b"a")
    assert digest([one, other]) == digest([other, one])
    assert len({digest(each) for each in ([one], [other], [Pair(b"a", b"b", "x")])}) == 3


def test_the_mark_of_a_windows_editor_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a b\tb a\n", "utf-8-sig")
    assert read_pairs(tmp_path / "a.tsv") == [Pair(b"a b", b"b a")]


def test_every_line_that_is_no_pair_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"a\tb\nsame\tsame\nempty\t \nalone\nlatin \xe9\tx\n")
    with pytest.raises(InputError) as raised:
        read_pairs(path)
    said = [str(problem).removeprefix(f"{path}:") for problem in raised.value.problems]
    assert said == [
        "2: expected two different texts, got the same text twice",
        "3: expected two non-empty texts, got an empty one",
        "4: expected `good TAB bad`, got 1 fields",
        "5: expected text in UTF-8, got byte 0xe9 at 6",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.tsv", "", "at least one pair"),
        ("a.jsonl", '{"good": 1, "bad": 2}\n', "an object with the string fields"),
        ("a.jsonl", "{\n", "a JSON object"),
        ("a.jsonl", "[" * 3000, "a JSON object"),
        ("a.jsonl", '{"good": "a\\ud800", "bad": "b"}\n', r"the lone surrogate .ud800"),
        ("absent.tsv", None, "No such file"),
    ],
)
def test_a_file_without_pairs(name: str, text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_pairs(tmp_path / name)


def test_a_text_has_the_nats_of_a_split(model: Decoder) -> None:
    texts = [b"x" * 128, b"longer than a window " * 20]
    evaluator = Evaluator(64, precision="float32")
    expected = [evaluator.byte_losses(model, np.frombuffer(text, np.uint8)).sum() for text in texts]
    np.testing.assert_allclose(text_nats(model, texts), expected, rtol=1e-5)


def test_a_short_text_is_scored_after_a_separator_whatever_stands_beside_it(model: Decoder) -> None:
    texts = [b"short", b"a", b"not so short as the others"] * 20 + [b"x" * 100]
    expected = []
    for text in texts:
        with torch.no_grad():
            logits = model(torch.tensor([[0, *text[:-1]]]))[0]
        chosen = logits.log_softmax(-1)[torch.arange(len(text)), torch.tensor(list(text))]
        expected.append(-float(chosen.double().sum()))
    np.testing.assert_allclose(text_nats(model, texts), expected, rtol=1e-5)


def test_the_more_probable_text_is_right_and_a_tie_is_half(model: Decoder) -> None:
    texts = [b"abc", b"xyz", b"hello", b"wor ld"]
    order = [texts[place] for place in np.argsort(text_nats(model, texts))]
    right = [Pair(order[0], order[1]), Pair(order[2], order[3])]
    assert accuracies(model, right) == {"": Accuracy(2, 2)}
    wrong = [Pair(pair.bad, pair.good) for pair in right]
    assert accuracies(model, wrong) == {"": Accuracy(0, 2)}
    mixed = [*right, wrong[0], Pair(b"abc", b"abc", "tie")]
    found = accuracies(model, mixed)
    assert found == {"": Accuracy(2, 3), "tie": Accuracy(0.5, 1)}
    assert overall(found) == Accuracy(2.5, 4)
    assert overall(found).share == 2.5 / 4


def test_the_error_is_that_of_a_share(model: Decoder) -> None:
    pairs = [Pair(b"abc", b"abc")] * 16
    assert accuracies(model, pairs)[""].stderr == pytest.approx(0.125)
