"""A pretrain with its weights on a disk and its journal, for tests of what MLflow has of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from raydt.config.model import MODELS
from raydt.corpora.prepared.stamps import hash_file
from raydt.grid.journal import WEIGHTS, attempt_folder
from raydt.grid.journal_rows import JournalRow, StartRow
from raydt.grid.read_data import ReadData
from raydt.model.alphabet import EVERY_BYTE
from raydt.model.families import new_decoder
from raydt.storage.local import LocalFolder
from raydt.tracking import schema
from raydt.tracking.logged_models import ModelOf
from raydt.tracking.writer import Writer
from raydt.training.checkpoints.weights import save_weights
from tests.grid.results import report_of, result_of

CELL = "pretrain/related/8k/nano/s0"
ATTEMPT = "1"
FACTS: dict[str, object] = {
    schema.TAG_CELL_ID: CELL,
    schema.PARAM_STAGE: "pretrain",
    schema.PARAM_SOURCE: "related",
}
READ = tuple(
    ReadData(
        language="related",
        split=split,
        digest=f"{number:032x}",
        num_bytes=1000 * number,
        num_documents=number,
        source_type="code",
        source='{"tags": {"corpus": "controlled"}}',
    )
    for number, split in enumerate(("train", "val", "test"), start=1)
)
ROWS: list[JournalRow] = [
    StartRow(time=99.0, launch="L", cell_id=CELL, fingerprint="f" * 64, data=READ),
    report_of(2048, 2.5, time=100.0),
    report_of(4096, 2.25, time=101.0),
]
SHAPE = MODELS["nano"]


class RecordedCell:
    """The folder of a pretrain that is done."""

    def __init__(self, path: Path) -> None:
        self.folder = LocalFolder(path)
        self.weights = path / "attempts" / ATTEMPT / WEIGHTS
        torch.manual_seed(0)
        self.model = new_decoder(SHAPE)
        self.weights.parent.mkdir(parents=True)
        save_weights(self.model.state_dict(), self.weights, EVERY_BYTE)
        assert attempt_folder(self.folder, ATTEMPT).exists(WEIGHTS)
        self.result = result_of(
            CELL,
            attempt=ATTEMPT,
            time=102.0,
            bytes_seen=4096,
            test_loss=2.0,
            best_val_loss=2.25,
            weights_sha256=hash_file(self.weights),
        )

    def sync(self, writer: Writer, **said: Any) -> None:
        """As a launch or `raydt sync` does, with the model."""
        model = ModelOf(CELL, SHAPE.model_dump(mode="json"))
        given = {"model": model, **said}
        writer.sync(self.folder, "pretrain", FACTS, ROWS, ATTEMPT, self.result, **given)
