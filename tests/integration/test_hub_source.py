"""A grid of the architecture of a model of the Hub's form, beside its weights: one way from a
folder to D_T, to MLflow's model and to probes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.hub_models import write_llama
from tests.integration.tiny import ROOT, results

pytest.importorskip("transformers")
SMALL = (
    "--targets alba --sizes 2k 8k --seeds 0 --protocol.pretrain.epochs 1 --pretrain-size 20k "
    "--protocol.scratch.epochs 3 --protocol.finetune.epochs 3 --protocol.val-bytes 2k "
    "--protocol.test-bytes 4k --slots 1 --name tiny --sources related"
).split()


def raydt(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "raydt", *words], capture_output=True, text=True)


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_grid_of_a_model_of_the_hub(tmp_path: Path) -> None:
    import mlflow

    storage, folder = tmp_path / "runs", write_llama(tmp_path / "llama")
    script = str(ROOT / "sweeps" / "grid.py")
    words = [*SMALL, f"theirs=ckpt:{folder}", "--storage", str(storage)]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = results(storage)
    assert all(result["status"] == "done" for result in found.values())
    assert all(result["model"] == "theirs" for result in found.values())
    # 8 cells as of any grid; of their weights nothing is pretrained.
    assert {cell_id.split("/")[0] for cell_id in found} == {
        *("pretrain", "scratch", "finetune", "zeroshot")
    }
    assert len(found) == 1 + 2 + 2 * 3
    # Its own files are not needed any more.
    folder.rename(tmp_path / "gone")
    analyzed = raydt("analyze", "tiny", "--storage", str(storage))
    assert analyzed.returncode == 0, analyzed.stderr
    rows = pd.read_csv(storage / "tiny" / "report" / "effective.csv")
    worth = rows[rows["stage"] == "finetune"].groupby("source")["transferred_bytes"].max()
    # Weights that nobody trained are worth less than a pretrain of the same architecture.
    assert worth["theirs"] < worth["related"]
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("aba\tabb\nba\tca\n")
    probed = raydt("probe", "pretrain/*", "--pairs", str(pairs), "--storage", str(storage))
    assert probed.returncode == 0, probed.stderr
    client = mlflow.MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "tiny"]
    (model,) = client.search_logged_models([experiment.experiment_id])
    mlflow.set_tracking_uri(f"sqlite:///{storage / 'mlflow.db'}")
    (nats,) = mlflow.pyfunc.load_model(model.model_uri).predict(["aba"])
    assert 0 < nats < 10
    refused = raydt(
        *("export", "pretrain/*", "--to", str(tmp_path / "out"), "--storage", str(storage))
    )
    assert refused.returncode == 2
    assert "a cell of one of raydt's own models, got theirs" in refused.stderr
