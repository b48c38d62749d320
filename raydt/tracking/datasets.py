"""The data of a cell as MLflow datasets, by which runs can be found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raydt.grid.read_data import ReadData

_CONTEXT = "mlflow.data.context"  # MLflow's own tag for the purpose of an input


def dataset_name(data: ReadData) -> str:
    """The name in the UI, the same for all sizes; the digest distinguishes these."""
    return f"{data.language}/{data.split}"


def log_datasets(client: Any, run_id: str, read: Sequence[ReadData]) -> None:
    """Add these as inputs of a run, except those that it already has."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                name=dataset_name(data),
                digest=data.digest,
                source_type=data.source_type,
                source=data.source,
                profile=json.dumps(
                    {"num_bytes": data.num_bytes, "num_documents": data.num_documents}
                ),
            ),
            tags=[InputTag(_CONTEXT, data.split)],
        )
        for data in read
    ]
    if inputs:
        client.log_inputs(run_id, datasets=inputs)
