"""What a cell reads, as MLflow's datasets: by them a run is found by its data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raydt.grid.read_data import ReadData

_CONTEXT = "mlflow.data.context"  # MLflow's own tag of an input: what it was read for


def dataset_name(data: ReadData) -> str:
    """How the UI lists it; the same for all sizes, which the digest tells apart."""
    return f"{data.language}/{data.split}"


def log_datasets(client: Any, run_id: str, read: Sequence[ReadData]) -> None:
    """Make these the inputs of a run; those that it has already are left alone."""
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
