"""What `transformers` makes of an exported model: raydt's own numbers, a cache, long texts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raydt.config.model import MODELS, ModelConfig
from raydt.export.folder import write_model
from raydt.model.alphabet import Alphabet
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.training.checkpoints.weights import save_weights
from raydt.training.evaluate import Evaluator

transformers = pytest.importorskip("transformers")

TEXT = ("Grüße aus Pāvilosta; 你好, ça va? " * 40).encode()
CASES = {
    "default": MODELS["nano"].model_copy(update={"num_layers": 2, "num_heads": 2}),
    "paper": MODELS["paper-nano"].model_copy(update={"num_layers": 2, "num_heads": 2}),
}
CASES |= {f"{n}-masked": c.model_copy(update={"mask_documents": True}) for n, c in CASES.items()}
both = pytest.mark.parametrize("case", list(CASES))


def trained(config: ModelConfig) -> Decoder:
    """A decoder of which no weight is zero, and few are small."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_decoder(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def exported(
    folder: Path, config: ModelConfig, alphabet: Alphabet | None = None
) -> tuple[Decoder, Any]:
    model = trained(config)
    weights = folder / "weights.safetensors"
    save_weights(model.state_dict(), weights, alphabet)
    write_model(folder / "model", config, weights, alphabet, "a card", {})
    if alphabet is not None:
        model.restrict(alphabet)
    return model, loaded(folder / "model")


def loaded(folder: Path, **options: Any) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=True, **options
    ).eval()


def bytes_of(text: bytes, rows: int = 1) -> Tensor:
    return torch.tensor(list(text)).view(rows, -1)


def assert_close_in_bfloat16(found: Tensor, expected: Tensor) -> None:
    """A number of bfloat16 has 8 bits, and a logit passes through some dozen of them."""
    assert (found - expected).abs().mean() < 2**-5 * expected.abs().mean()


def with_separators(num_bytes: int) -> Tensor:
    return bytes_of(b"".join(b"\0" + TEXT[start : start + 37] for start in range(0, 700, 37)))[
        :, :num_bytes
    ]


@both
def test_logits_are_raydts(case: str, tmp_path: Path) -> None:
    model, theirs = exported(tmp_path, CASES[case])
    x_BT = with_separators(256).view(2, 128)
    with torch.no_grad():
        torch.testing.assert_close(theirs(x_BT).logits, model(x_BT), rtol=1e-5, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            found = theirs(x_BT, use_cache=False).logits.float()
            assert_close_in_bfloat16(found, model(x_BT).float())


@both
def test_logits_of_weights_in_bfloat16_differ_by_rounding(case: str, tmp_path: Path) -> None:
    model, _ = exported(tmp_path, CASES[case])
    theirs = loaded(tmp_path / "model", dtype=torch.bfloat16)
    x_BT = with_separators(128)
    with torch.no_grad():
        found = theirs(x_BT).logits.float()
        with torch.autocast("cpu", torch.bfloat16):
            assert_close_in_bfloat16(found, model(x_BT).float())


@both
def test_a_softmax_over_the_seen_bytes(case: str, tmp_path: Path) -> None:
    alphabet = Alphabet(frozenset({0, *b"abcdefgh ", *TEXT[:30]}), escape=0.01)
    model, theirs = exported(tmp_path, CASES[case], alphabet)
    x_BT = bytes_of(TEXT[:100])
    with torch.no_grad():
        torch.testing.assert_close(theirs(x_BT).logits, model(x_BT), rtol=1e-5, atol=1e-5)


@both
def test_a_cache_changes_nothing(case: str, tmp_path: Path) -> None:
    _, theirs = exported(tmp_path, CASES[case])
    x_BT = with_separators(200)  # beyond the window, too
    with torch.no_grad():
        whole = theirs(x_BT, use_cache=False).logits
        cache, pieces = None, []
        ends = [0, 60, 61, 64, *range(130, 201)]
        for start, stop in pairwise(ends):
            output = theirs(x_BT[:, start:stop], past_key_values=cache, use_cache=True)
            cache = output.get("cache", output.get("past_key_values"))
            pieces.append(output.logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-4, atol=1e-4)


@both
def test_it_generates(case: str, tmp_path: Path) -> None:
    model, theirs = exported(tmp_path, CASES[case])
    prompt = torch.cat([torch.zeros(1, 1, dtype=torch.long), bytes_of(TEXT[:40])], dim=1)
    options = {"max_new_tokens": 60, "do_sample": False, "eos_token_id": None}
    cached = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), **options)
    ours = prompt
    with torch.no_grad():
        for _ in range(60):
            ours = torch.cat([ours, model(ours)[:, -1:].argmax(dim=-1)], dim=1)
    assert cached.tolist() == ours.tolist()
    beams = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), num_beams=3, max_new_tokens=8
    )
    assert beams.shape[1] <= prompt.shape[1] + 8


@both
def test_prompts_of_several_lengths_as_each_alone(case: str, tmp_path: Path) -> None:
    _, theirs = exported(tmp_path, CASES[case])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model", padding_side="left")
    texts = ["Ein Satz.", "Noch einer, der viel länger ist als der erste."]
    options = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None}
    together = theirs.generate(**tokenizer(texts, padding=True, return_tensors="pt"), **options)
    for row, text in zip(together, texts, strict=True):
        alone = theirs.generate(**tokenizer(text, return_tensors="pt"), **options)[0]
        assert row[-20:].tolist() == alone[-20:].tolist()


@pytest.mark.parametrize("stride", [128, 64, 1])
@both
def test_a_long_text_has_raydts_losses(case: str, stride: int, tmp_path: Path) -> None:
    model, theirs = exported(tmp_path, CASES[case])
    for num_bytes in (1, 90, 128, 129, 300):
        text = with_separators(num_bytes)[0]
        ours = Evaluator(stride, precision="float32").byte_losses(
            model, text.numpy().astype(np.uint8)
        )
        np.testing.assert_allclose(theirs.byte_losses(text, stride), ours, rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_the_next_byte(tmp_path: Path) -> None:
    model, theirs = exported(tmp_path, CASES["default"])
    x_BT = bytes_of(TEXT[:100])
    with torch.no_grad():
        loss = theirs(x_BT, labels=x_BT).loss
        ours = model.loss(x_BT[:, :-1], x_BT[:, 1:])
    assert math.isclose(loss.item(), ours.item(), rel_tol=1e-5)


def test_a_token_is_a_byte(tmp_path: Path) -> None:
    exported(tmp_path, CASES["default"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert len(tokenizer) == 256
    every = "".join(map(chr, range(1, 0x3000))) + "🙂 Ā  double  spaces\n\r\n\t"
    ids = tokenizer(every)["input_ids"]
    assert ids == [0, *every.encode()]
    assert tokenizer.decode(ids, skip_special_tokens=True) == every
    assert tokenizer("a\0b")["input_ids"] == [0, 97, 0, 98]
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == tokenizer.pad_token_id == 0
    assert sorted(tokenizer.get_vocab().values()) == list(range(256))


def test_it_is_saved_and_loaded_by_transformers_itself(tmp_path: Path) -> None:
    _, theirs = exported(tmp_path, CASES["paper"], Alphabet(frozenset({0, *TEXT}), 0.001))
    theirs.save_pretrained(tmp_path / "again")
    again = loaded(tmp_path / "again")
    x_BT = bytes_of(TEXT[:50])
    with torch.no_grad():
        assert torch.equal(again(x_BT).logits, theirs(x_BT).logits)
    assert json.loads((tmp_path / "again" / "config.json").read_text())["escape"] == 0.001


_STRANGER = """
import sys

class Nobody:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "raydt":
            raise ImportError("raydt is not installed")

sys.meta_path.insert(0, Nobody())
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
text = tokenizer("aba", return_tensors="pt")
made = model.generate(**text, max_new_tokens=8, min_new_tokens=8, do_sample=False)
assert not any(name.partition(".")[0] == "raydt" for name in sys.modules)
print(made[0].tolist())
"""


@pytest.mark.parametrize("case", ["default", "paper"])
def test_nothing_of_raydt_is_needed(case: str, tmp_path: Path) -> None:
    _, model = exported(tmp_path, CASES[case])
    folder = str(tmp_path / "model")
    words = [sys.executable, "-c", _STRANGER, folder]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    x = torch.tensor([[0, *b"aba"]])
    made = model.generate(x, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    assert json.loads(done.stdout) == made[0].tolist()
