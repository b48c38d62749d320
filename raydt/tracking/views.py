"""How a sweep looks in MLflow's UI: named views of its runs, each with its columns and its order.

MLflow keeps a shared view as a tag of the experiment, `mlflow.sharedViewState.KEY`, and lists it by
its name in the menu of the page of runs; `viewStateShareKey=KEY` in the address opens it. The form
is read off the UI of MLflow 3.17 (`savedViewsUtils`, `ExperimentPageUIState`) and is no documented
interface: a UI that does not know it shows its own columns, and nothing else depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydt.tracking import schema

_TAG = "mlflow.sharedViewState."
# Views say when they were made, which MLflow shows nowhere; a fixed time lets a view that has not
# changed be the same tag.
_MADE_MS = 1_760_000_000_000
_COLUMN_PIXELS = 92
_WIDE = {"attributes.`Dataset`": 260}  # name and digest


@dataclass(frozen=True)
class View:
    """A page of runs: which, with columns as (params | metrics | tags | attributes, name), in which
    order."""

    key: str
    name: str
    filter: str
    columns: tuple[tuple[str, str], ...]
    order_by: str
    ascending: bool

    def state(self) -> str:
        """As MLflow keeps it: an envelope with the state of the page, JSON in JSON."""
        columns = [_column(*column) for column in self.columns]
        state = {
            "searchFilter": self.filter,
            "orderByKey": self.order_by,
            "orderByAsc": self.ascending,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "modelVersionFilter": "All Runs",
            "datasetsFilter": [],
            "selectedColumns": columns,
            # Else metrics stand before params, and wide.
            "columnOrder": columns,
            "columnWidths": {one: _WIDE.get(one, _COLUMN_PIXELS) for one in columns},
        }
        return json.dumps(
            {
                "name": self.name,
                "createdAt": _MADE_MS,
                "updatedAt": _MADE_MS,
                "state": json.dumps(state),
            }
        )


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _of_kind(kind: str) -> str:
    return f"tags.`{schema.TAG_KIND}` = '{kind}'"


_LANGUAGES = (
    ("params", schema.PARAM_SOURCE),
    ("params", schema.PARAM_TARGET),
    ("params", schema.PARAM_SIZE),
)
CELLS = View(
    schema.CELLS_VIEW,
    "Cells: running first",
    _of_kind(schema.KIND_CELL),
    (
        ("params", schema.PARAM_STAGE),
        *_LANGUAGES,
        ("metrics", schema.METRIC_VAL_BPB),
        ("metrics", schema.METRIC_TEST_BPB),
        ("tags", schema.TAG_STATUS),
        ("params", schema.PARAM_SEED),
        ("attributes", "Dataset"),
    ),
    # By time the UI would fold the cells into their launch. The words come in a good order:
    # running, failed, diverged, done; within each the newest first.
    _column("tags", schema.TAG_STATUS),
    ascending=False,
)
TRANSFER = View(
    schema.TRANSFER_VIEW,
    "Transfer: most bytes first",
    f"params.`{schema.PARAM_STAGE}` = '{schema.Stage.FINETUNE}'",
    (
        *_LANGUAGES,
        ("metrics", schema.METRIC_TRANSFERRED_BYTES),
        ("metrics", schema.METRIC_TEST_BPB),
        ("metrics", schema.METRIC_SOURCE_LOSS_RISE),
        ("params", schema.PARAM_SEED),
    ),
    _column("metrics", schema.METRIC_TRANSFERRED_BYTES),
    ascending=False,
)
LAUNCHES = View(
    schema.LAUNCHES_VIEW,
    "Launches and reports",
    _of_kind(schema.KIND_LAUNCH),
    (
        ("attributes", "Description"),  # the note
        ("metrics", schema.METRIC_CELLS_DONE),
        ("metrics", schema.METRIC_CELLS_TOTAL),
        ("metrics", schema.METRIC_LAUNCH_BYTES_SEEN),
    ),
    "attributes.start_time",
    ascending=False,
)
VIEWS = (CELLS, TRANSFER, LAUNCHES)


def add_views(client: Any, experiment_id: str, tags: Mapping[str, str]) -> None:
    """Put the views into an experiment that has these `tags`; those that are there as they are to
    be are left alone."""
    for view in VIEWS:
        tag, state = _TAG + view.key, view.state()
        if tags.get(tag) != state:
            client.set_experiment_tag(experiment_id, tag, state)
