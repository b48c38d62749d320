"""A cell's model for `mlflow.pyfunc`: texts in, the loss of each in nats per byte out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydt.config.model import ModelConfig
from raydt.errors import bad
from raydt.grid.journal import WEIGHTS
from raydt.model.alphabet import EVERY_BYTE
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.probes.score import text_nats
from raydt.training.checkpoints.weights import load_weights


class Scorer:
    """The model that `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, model: Decoder) -> None:
        self._model = model

    def predict(self, model_input: Any, params: Any = None) -> NDArray[np.float64]:
        """Nats per byte of each text in UTF-8, on the CPU in float32; shape (number of texts,).

        `model_input` is a list, a series or a frame with one column of texts. `InputError` if a
        text is empty.
        """
        texts = [str(text).encode() for text in np.asarray(model_input).reshape(-1)]
        for place, text in enumerate(texts):
            if not text:
                raise bad(f"text {place}", "at least one byte", "an empty text")
        return text_nats(self._model, texts) / [len(text) for text in texts]


def _load_pyfunc(path: str) -> Scorer:
    """MLflow's entry point: load a folder that `raydt.tracking.logged_models` wrote."""
    shape = json.loads(Path(path, "model.json").read_text("utf-8"))
    model = new_decoder(ModelConfig.model_validate(shape))
    alphabet = load_weights(model, Path(path, WEIGHTS))
    model.restrict(alphabet or EVERY_BYTE)
    return Scorer(model.eval())
