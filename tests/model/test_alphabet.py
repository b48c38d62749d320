"""Which bytes a cell has seen, and a softmax over these alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from raydt.config.model import ModelConfig
from raydt.model import alphabet as alphabet_module
from raydt.model.alphabet import EVERY_BYTE, Alphabet, byte_counts
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder

OWN = ModelConfig(width=32, num_layers=2, num_heads=2, hidden=64, window_bytes=16)
PAPER = ModelConfig(**OWN.model_dump() | {"family": "paper", "conv_bytes": 1})
both_families = pytest.mark.parametrize("config", [OWN, PAPER], ids=["default", "paper"])


def data(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


def test_the_escape_is_good_and_turings_with_one_added() -> None:
    alphabet = Alphabet.of_data(data(b"aabbcd"), escapes=True)
    assert alphabet.seen == frozenset(b"\0abcd")
    assert alphabet.escape == (2 + 1) / (6 + 2)
    # A separator that occurs once is no singleton: it was known.
    assert Alphabet.of_data(data(b"aabb\0"), escapes=True).escape == 1 / 7
    assert Alphabet.of_data(data(b"aabbcd"), escapes=False).escape is None


def test_what_the_parent_saw_is_seen_and_no_singleton() -> None:
    parent = Alphabet.of_data(data(b"cxyz"), escapes=True)
    alphabet = Alphabet.of_data(data(b"aabbcd"), parent, escapes=True)
    assert alphabet.seen == frozenset(b"\0abcdxyz")
    assert alphabet.escape == (1 + 1) / (6 + 2)  # d alone
    # Of a parent that may have seen all, nothing is left to escape to.
    assert Alphabet.of_data(data(b"aabb"), EVERY_BYTE, escapes=True) == EVERY_BYTE


def test_it_is_the_same_after_metadata() -> None:
    for escapes in (True, False):
        alphabet = Alphabet.of_data(data("abc éж中".encode()), escapes=escapes)
        assert Alphabet.of_metadata(alphabet.metadata()) == alphabet
    assert Alphabet.of_metadata(EVERY_BYTE.metadata()) == EVERY_BYTE
    assert Alphabet.of_metadata({}) is None


def test_counts_do_not_depend_on_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alphabet_module, "_BYTES_AT_ONCE", 100)
    some = np.random.default_rng(0).integers(0, 256, 1_050, dtype=np.uint8)
    np.testing.assert_array_equal(byte_counts(some), np.bincount(some, minlength=256))


def test_the_unseen_share_is_that_of_bytes() -> None:
    alphabet = Alphabet.of_data(data(b"abc"), escapes=False)
    assert alphabet.unseen_share(data(b"aaxb\0xcz")) == 3 / 8
    assert EVERY_BYTE.unseen_share(data(b"aaxb")) == 0


def restricted(config: ModelConfig) -> tuple[Decoder, Alphabet]:
    """Also where weights begin at zero, so that nothing is hidden by them."""
    torch.manual_seed(0)
    model = new_decoder(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    alphabet = Alphabet(frozenset(range(0, 256, 3)), escape=0.01)
    model.restrict(alphabet)
    return model, alphabet


def windows(alphabet: Alphabet) -> tuple[torch.Tensor, torch.Tensor]:
    seen = torch.tensor(sorted(alphabet.seen))
    x, y = seen[torch.randint(0, len(seen), (2, 3, 16))]
    y[0, :5] = -100
    return x, y


@both_families
def test_unseen_bytes_share_the_escape_and_the_others_the_rest(config: ModelConfig) -> None:
    model, alphabet = restricted(config)
    x, _ = windows(alphabet)
    restricted_BTV = model(x).log_softmax(2).exp()
    model.restrict(EVERY_BYTE)
    free_BTV = model(x).softmax(2)
    seen = sorted(alphabet.seen)
    unseen = sorted(set(range(256)) - alphabet.seen)
    among_seen = free_BTV[..., seen] / free_BTV[..., seen].sum(2, keepdim=True)
    torch.testing.assert_close(restricted_BTV[..., seen], 0.99 * among_seen)
    assert restricted_BTV[..., unseen].sub(0.01 / len(unseen)).abs().max() < 1e-8


@both_families
@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_over_seen_bytes(config: ModelConfig, z_loss: float, reduction: str) -> None:
    model, alphabet = restricted(config)
    x, y = windows(alphabet)
    loss = model.loss(x, y, reduction, z_loss)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    # What evaluation makes of it: the probability of the escape is missing from each byte.
    evaluated = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")
    num_targets = int(y.ne(-100).sum())
    trained = loss * num_targets if reduction == "mean" else loss
    torch.testing.assert_close(evaluated, trained - num_targets * math.log(0.99))
    unseen = sorted(set(range(256)) - alphabet.seen)
    gradient_of = dict(zip((id(p) for p in model.parameters()), gradients, strict=True))
    for rows in model.byte_rows():
        assert not gradient_of[id(rows)][unseen].any()


@both_families
def test_an_unseen_target_is_an_error(config: ModelConfig) -> None:
    model, alphabet = restricted(config)
    x, y = windows(alphabet)
    y[2, 3] = 1
    with pytest.raises((IndexError, RuntimeError), match=r"out of bounds"):
        model.loss(x, y)
