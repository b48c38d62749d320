"""Models of the Hub's form: numbers as `transformers` has them, and files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from raydt.config.hub_folder import model_in
from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.config.sweep import Sweep
from raydt.corpora.controlled.catalog import generate
from raydt.errors import InputError, Problem, RunError
from raydt.grid.journal import WEIGHTS
from raydt.model.alphabet import EVERY_BYTE, Alphabet
from raydt.model.families import new_decoder
from raydt.orchestration.grid.outside import outside_weights
from raydt.probes.pyfunc import _load_pyfunc
from raydt.training.checkpoints.folder import CheckpointFolder
from raydt.training.checkpoints.weights import load_weights, save_weights
from raydt.training.evaluate import Evaluator
from raydt.training.loop import Splits, TrainConfig, train
from tests.hub_models import WINDOW, edit, write_gpt2, write_llama

transformers = pytest.importorskip("transformers")
from raydt.model.hub import HubDecoder  # noqa: E402
from raydt.model.hub_weights import read_hub_weights  # noqa: E402

# A whole window.
TEXT = "Grüße aus Pāvilosta; 你好, ça va? 🙂".encode().ljust(WINDOW, b"!")
WRITERS = {"llama": write_llama, "gpt2": write_gpt2}
both = pytest.mark.parametrize("kind", list(WRITERS))


def shape_of(folder: Path) -> ModelConfig:
    found = model_in("x", folder)
    assert isinstance(found, ModelConfig), found
    return found


def read(folder: Path) -> HubDecoder:
    found = read_hub_weights("x", folder, shape_of(folder))
    assert isinstance(found, HubDecoder), found
    return found


def refused(folder: Path) -> str:
    found = read_hub_weights("x", folder, shape_of(folder))
    assert isinstance(found, Problem), found
    return str(found)


@both
def test_losses_of_bytes_are_those_of_the_tokens_that_its_own_tokenizer_makes(
    kind: str, tmp_path: Path
) -> None:
    folder = WRITERS[kind](tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer(TEXT.decode(), add_special_tokens=False).input_ids
    assert len(ids) == len(TEXT)
    end = model.config.eos_token_id
    # Of all bytes: what the tokenizer makes of each, and of a text's end.
    of_bytes = [end, *(i + (3 if kind == "llama" else 0) for i in range(1, 256))]
    with torch.inference_mode():
        logits = model(torch.tensor([[end, *ids[:-1]]])).logits[0][:, of_bytes]
    place = torch.tensor([of_bytes.index(each) for each in ids])
    theirs = torch.nn.functional.cross_entropy(logits, place, reduction="none").numpy()
    data = np.frombuffer(TEXT, np.uint8)
    ours = Evaluator(precision="float32").byte_losses(read(folder), data)
    assert np.abs(ours - theirs).max() < 1e-5
    assert ours.std() > 0.1  # no two alike, so that a wrong order would be seen


@both
def test_weights_pass_through_a_file_once_each(kind: str, tmp_path: Path) -> None:
    decoder = read(WRITERS[kind](tmp_path / "there"))
    path = tmp_path / "weights.safetensors"
    save_weights(decoder.state_dict(), path)
    assert sum(t.numel() for t in load_file(path).values()) == decoder.config.num_parameters
    again = new_decoder(decoder.config)
    assert load_weights(again, path) is None
    x_BT = torch.arange(1, 33)[None]
    assert torch.equal(again.eval()(x_BT), decoder(x_BT))


@both
def test_scratch_is_the_same_architecture_at_random_by_the_seed(kind: str, tmp_path: Path) -> None:
    shape = shape_of(WRITERS[kind](tmp_path))

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in new_decoder(shape).parameters()])

    with torch.random.fork_rng(devices=[]):
        first, again, other = weights(0), weights(0), weights(1)
    assert len(first) == shape.num_parameters
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_muon_has_the_hidden_matrices(tmp_path: Path) -> None:
    llama = read(write_llama(tmp_path / "llama"))
    names = {id(p): name for name, p in llama.named_parameters()}
    matrices = {names[id(p)] for p in llama.matrices()}
    assert len(matrices) == 2 * 7
    assert not any("embed" in name or "lm_head" in name for name in matrices)
    # Positions are a table as well.
    assert len(read(write_gpt2(tmp_path / "gpt2")).matrices()) == 2 * 4


class _CutError(Exception):
    pass


@both
def test_a_cell_that_is_cut_off_ends_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    """Tied weights, the average of the weights, and no dropout that a resumed cell would miss."""
    torch.set_num_threads(1)
    folder = WRITERS[kind](tmp_path / "there")
    save_weights(read(folder).state_dict(), tmp_path / "start")
    splits = Splits(*(generate("alba", split, 4_000, 0) for split in ("train", "val", "test")))
    recipe = Recipe(epochs="1", max_batch_windows=8, min_steps=1, average="power")
    config = TrainConfig(shape_of(folder), recipe, 4_000, evaluations=4, patience=5)
    start = {"initial_weights": tmp_path / "start"}
    whole = train(config, splits, **start)

    def cut(report: Any) -> None:
        if report.bytes_seen > 2_000:
            raise _CutError

    checkpoints = CheckpointFolder(tmp_path / "checkpoints", every_steps=3)
    with pytest.raises(_CutError):
        train(config, splits, report=cut, checkpoints=checkpoints, **start)
    resumed: list[int] = []
    again = train(
        config,
        splits,
        checkpoints=CheckpointFolder(tmp_path / "checkpoints", every_steps=3),
        resumed=lambda found: resumed.append(found.bytes_seen),
        **start,
    )
    assert resumed
    assert resumed[0] > 0
    assert again.test_loss == whole.test_loss
    assert whole.test_loss is not None
    assert whole.test_loss < Evaluator().evaluate(read(folder), splits.test).loss
    assert whole.weights.keys() == again.weights.keys()
    assert all(torch.equal(whole.weights[name], again.weights[name]) for name in whole.weights)


def test_a_model_that_looks_ahead(tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"max_position_embeddings": WINDOW, "intermediate_size": 64, "vocab_size": 256}
    config = transformers.BertConfig(**shape, eos_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.BertLMHeadModel(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(tmp_path)
    assert "bert, whose logits change with later bytes" in refused(tmp_path)


def test_a_tokenizer_that_gives_bytes_other_ids(tmp_path: Path) -> None:
    folder = write_gpt2(tmp_path)
    path = folder / "tokenizer.json"
    edit(path, normalizer={"type": "Lowercase"})
    assert "ids [97" in refused(folder)  # of "A", as of "a"
    edit(path, normalizer=None)
    read(folder)


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    path = write_llama(tmp_path) / "model.safetensors"
    weights = load_file(path)
    (name, *_) = sorted(weights)
    save_file({n: t for n, t in weights.items() if n != name}, path, {"format": "pt"})
    assert f"1 missing or of another shape, such as {name}" in refused(tmp_path)


def test_a_type_that_transformers_does_not_have(tmp_path: Path) -> None:
    folder = write_llama(tmp_path)
    edit(folder / "config.json", model_type="lhama")
    assert "lhama: " in refused(folder)
    with pytest.raises(RunError, match="a model of type lhama"):
        new_decoder(shape_of(folder))


def test_an_escape_is_refused(tmp_path: Path) -> None:
    decoder = read(write_gpt2(tmp_path))
    decoder.restrict(EVERY_BYTE)
    with pytest.raises(RunError, match="unseen_bytes"):
        decoder.restrict(Alphabet(frozenset({0, 1}), 0.1))


def test_weights_in_bfloat16_and_in_parts(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "whole")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "parts", max_shard_size="50KB")
    for path in folder.glob("*token*"):
        (tmp_path / "parts" / path.name).write_bytes(path.read_bytes())
    index = json.loads((tmp_path / "parts" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    whole, parts = read(folder).state_dict(), read(tmp_path / "parts").state_dict()
    assert all(t.dtype == torch.float32 for t in parts.values())
    assert all(torch.equal(parts[n], whole[n].bfloat16().float()) for n in whole)


def test_weights_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    first, same, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    write_llama(first)
    write_llama(same)
    write_llama(other, seed=1)
    sources = tuple(f"{each.name}=ckpt:{each}" for each in (first, same, other))
    found = outside_weights(Sweep(sources=sources, targets=("alba",), storage=str(tmp_path / "s")))
    assert found["a"] == found["b"]
    assert found["a"].sha256 != found["c"].sha256
    (first / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="damaged files"):
        outside_weights(Sweep(sources=sources, targets=("alba",), storage=str(tmp_path / "s")))


@both
def test_it_scores_texts_where_a_cell_of_it_is_loaded(kind: str, tmp_path: Path) -> None:
    """From what MLflow has of a model: its shape and its weights."""
    decoder = read(WRITERS[kind](tmp_path / "there"))
    save_weights(decoder.state_dict(), tmp_path / WEIGHTS, EVERY_BYTE)
    (tmp_path / "model.json").write_text(json.dumps(decoder.config.model_dump(mode="json")))
    (nats,) = _load_pyfunc(str(tmp_path)).predict([TEXT.decode()])
    ours = Evaluator(precision="float32").byte_losses(decoder, np.frombuffer(TEXT, np.uint8))
    assert nats == pytest.approx(ours.mean(), rel=1e-5)
