"""What is read of a folder with a model in it, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from raydt.config.hub_folder import byte_letters, model_in
from raydt.config.model import MODELS, ModelConfig
from raydt.config.sweep import Sweep
from raydt.errors import Problem
from raydt.export.folder import _config
from raydt.grid.build import build_grid
from tests.hub_models import edit
from tests.sweep_words import problems, read

LLAMA = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA |= {"max_position_embeddings": 64, "vocab_size": 384, "intermediate_size": 12}
LLAMA |= {"tie_word_embeddings": False, "eos_token_id": 1, "attention_dropout": 0.5}
BYTE_LEVEL = {"type": "ByteLevel"}


def tokenizer(ids: dict[str, int], **model: Any) -> dict[str, Any]:
    return {"pre_tokenizer": BYTE_LEVEL, "model": {"type": "BPE", "vocab": ids, **model}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config with ByT5's vocabulary, and 3,000 weights."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    save_file({"a": np.zeros((30, 100), np.float32)}, tmp_path / "model.safetensors")
    return tmp_path


def model_of(folder: Path) -> ModelConfig:
    found = model_in("x", folder)
    assert isinstance(found, ModelConfig), found
    return found


def ids_of(folder: Path) -> tuple[int, ...]:
    hub = model_of(folder).hub
    assert hub is not None
    return hub.byte_ids


def found_in(folder: Path) -> str:
    problem = model_in("sources: ckpt:x", folder)
    assert isinstance(problem, Problem), problem
    return problem.got


def test_ids_of_byt5_are_byte_and_three_and_its_end_is_the_separator(folder: Path) -> None:
    assert ids_of(folder) == (1, *range(4, 259))
    edit(folder / "config.json", eos_token_id=50_256)  # a default that is no id of this model
    assert ids_of(folder) == tuple(range(3, 259))


def test_ids_are_read_off_a_byte_level_vocabulary(folder: Path) -> None:
    letters = sorted(byte_letters(), key=ord)  # GPT-2's own order: "!" is 0, byte 0 is 188
    ids = {letter: number for number, letter in enumerate(letters)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(ids)))
    edit(folder / "config.json", eos_token_id=256, vocab_size=257)
    assert ids_of(folder)[ord("!")] == 0
    assert ids_of(folder)[0] == 256
    assert len(set(ids_of(folder))) == 256
    edit(folder / "config.json", eos_token_id=5)  # which is "&": no separator
    assert ids_of(folder)[0] == 188


def test_without_a_tokenizer_256_ids_are_the_bytes(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    assert found_in(folder) == "llama with 384 tokens and no tokenizer"
    edit(folder / "config.json", vocab_size=256, eos_token_id=2)  # 2 is a byte
    assert ids_of(folder) == tuple(range(256))


def test_the_shape_by_whatever_name_it_has(folder: Path) -> None:
    model = model_of(folder)
    assert (model.family, model.width, model.num_layers, model.num_heads) == ("hub", 8, 2, 2)
    assert (model.hidden, model.window_bytes, model.num_parameters) == (12, 64, 3000)
    # The input's table is not multiplied with.
    assert model.num_matrix_parameters == 3000 - 384 * 8
    names = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 64, "vocab_size": 384}
    gpt2 = {"model_type": "gpt2", **names, "attn_pdrop": 0.1}
    (folder / "config.json").write_text(json.dumps(gpt2))
    model = model_of(folder)
    assert (model.width, model.hidden, model.num_matrix_parameters) == (8, 32, 3000)
    assert model.hub is not None
    assert model.hub.fields["attn_pdrop"] == 0.0


def test_weights_in_parts_are_counted(folder: Path) -> None:
    for part in ("1", "2"):
        save_file({part: np.zeros((2, 5), np.float32)}, folder / f"part-{part}.safetensors")
    index = {"weight_map": {"1": "part-1.safetensors", "2": "part-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert model_of(folder).num_parameters == 20
    (folder / "part-2.safetensors").unlink()
    assert "part-2.safetensors" in found_in(folder)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, "t5, an encoder-decoder"),
        ({"vocab_size": 250}, "llama with 250 tokens"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "llama with custom code"),
        ({"max_position_embeddings": None}, "llama without it"),
        ({"num_attention_heads": 0}, "damage"),
    ],
)
def test_what_is_refused_by_name(folder: Path, fields: dict[str, object], found: str) -> None:
    edit(folder / "config.json", **fields)
    assert found in found_in(folder)


LETTERS = {letter: byte for byte, letter in enumerate(byte_letters())}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (tokenizer(LETTERS, merges=["a b"]), "a subword vocabulary (1 merges)"),
        ({**tokenizer(LETTERS), "pre_tokenizer": None}, "a tokenizer of another kind (BPE)"),
        (tokenizer({**LETTERS, "a": 98}), "384 tokens, not one for each byte"),
        (tokenizer({**LETTERS, "a": 384}), "384 tokens, not one for each byte"),
        (tokenizer({"a": 97}), "a vocabulary without 254 of the bytes"),
        ({"model": {"type": "Unigram", "vocab": []}}, "a tokenizer of another kind (Unigram)"),
        ({}, "a tokenizer that cannot be read"),
        ([], "a tokenizer that cannot be read"),
    ],
)
def test_vocabularies_that_are_no_bytes(folder: Path, content: object, found: str) -> None:
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert found in found_in(folder)


def test_a_subword_tokenizer_by_its_class(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    assert found_in(folder) == "llama with 384 tokens and LlamaTokenizer"


@pytest.mark.parametrize("keep", [0, 7, 20])
def test_weights_that_are_damaged(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "damaged files" in found_in(folder)
    path.unlink()
    assert "no file" in found_in(folder)


def test_the_shape_of_an_exported_config(tmp_path: Path) -> None:
    exported = _config(MODELS["nano"], None, {})
    (tmp_path / "config.json").write_text(json.dumps(exported))
    assert model_of(tmp_path) == MODELS["nano"]
    edit(tmp_path / "config.json", hidden_size="wide")
    assert "damage" in found_in(tmp_path)
    edit(tmp_path / "config.json", vocab_size=300)
    assert found_in(tmp_path) == "raydt with 300 tokens"


def test_all_cells_are_of_the_architecture_of_such_a_source(folder: Path) -> None:
    sweep = read("--sources", "related", f"theirs=ckpt:{folder}", "--targets", "alba")
    assert sweep.models == ("theirs",)
    assert sweep.model("theirs") == model_of(folder)
    assert {cell.model for cell in build_grid(sweep)} == {"theirs"}
    recorded = sweep.model_dump(mode="json")
    (folder / "config.json").unlink()
    # What is recorded stays known where the folder is gone.
    assert Sweep.model_validate(recorded) == sweep


def test_a_name_of_a_model_that_no_source_is(folder: Path) -> None:
    edit(folder / "config.json", is_encoder_decoder=True)
    (problem,) = problems("--sources", f"theirs=ckpt:{folder}", "--models", "theirs")
    assert "llama, an encoder-decoder" in problem
    edit(folder / "config.json", is_encoder_decoder=False)
    (problem,) = problems("--sources", f"nano=ckpt:{folder}")
    assert "a label that is not the name of a raydt model" in problem


def test_bytes_that_were_never_seen_have_no_escape_there(folder: Path) -> None:
    words = ["--sources", f"theirs=ckpt:{folder}", "--targets", "alba"]
    (problem,) = problems(*words, "--protocol.scratch.unseen-bytes", "escape")
    assert "protocol.scratch.unseen_bytes: expected train for the Hub model theirs" in problem
