"""A task of lm-eval over an exported model: the log-probabilities and accuracy of `raydt probe`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydt.config.model import MODELS
from raydt.corpora.controlled.pairs import build_pairs
from raydt.export.folder import write_model
from raydt.model.alphabet import Alphabet
from raydt.probes.pairs import read_pairs
from raydt.probes.score import accuracies, overall, text_nats
from raydt.training.checkpoints.weights import save_weights
from tests.export.test_transformers import trained

lm_eval = pytest.importorskip(
    "lm_eval.models.huggingface", reason="lm-eval is absent: pip install 'raydt[lm-eval]'"
)

TASK = """
task: own_pairs
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{{{[good, bad]}}}}"
target_delimiter: ""
metric_list: [{{metric: acc}}]
"""


@pytest.mark.parametrize("name", ["nano", "paper-nano"])
def test_a_local_task_scores_an_exported_model_as_raydt_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    pairs_file = tmp_path / "pairs.jsonl"
    with pairs_file.open("w", encoding="utf-8") as file:
        for kind, good, bad in build_pairs("alba", 0, per_kind=5):
            row = {"good": good.decode(), "bad": bad.decode(), "kind": kind}
            file.write(json.dumps(row) + "\n")
    (tmp_path / "own_pairs.yaml").write_text(TASK.format(file=pairs_file))
    config = MODELS[name].model_copy(update={"num_layers": 2})
    model = trained(config)
    alphabet = Alphabet(frozenset({0, *pairs_file.read_bytes()}), 0.01)
    save_weights(model.state_dict(), tmp_path / "weights.safetensors", alphabet)
    write_model(
        tmp_path / "model", config, tmp_path / "weights.safetensors", alphabet, "a card", {}
    )
    found = evaluated(tmp_path)

    model.restrict(alphabet)
    pairs = read_pairs(pairs_file)
    theirs = np.array([[one[0] for one in sample["resps"]] for sample in found["samples"]])
    for place, texts in enumerate(zip(*((pair.good, pair.bad) for pair in pairs), strict=True)):
        # They print a log-probability with all its digits, from float32.
        np.testing.assert_allclose(
            theirs[:, place, 0].astype(float), -text_nats(model, texts), rtol=1e-4
        )
    assert found["acc"] == pytest.approx(overall(accuracies(model, pairs)).share)


def evaluated(folder: Path) -> dict[str, Any]:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    arguments = {"pretrained": str(folder / "model"), "trust_remote_code": True}
    result = simple_evaluate(
        model="hf",
        model_args={**arguments, "dtype": "float32"},
        tasks=["own_pairs"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        device="cpu",
        batch_size=4,
        bootstrap_iters=0,
    )
    samples = sorted(result["samples"]["own_pairs"], key=lambda sample: sample["doc_id"])
    return {"acc": result["results"]["own_pairs"]["acc,none"], "samples": samples}
