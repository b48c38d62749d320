"""The answer in the store: the report, a note and headline numbers of the launch, D_T of each cell.

What is written has names of its own and is never read back by an analysis.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.probes import ALL_KINDS
from analysis.report.probe_tables import by_accuracy, by_loss, scratch_accuracy
from analysis.result import REPORT, Analysis
from analysis.store.read import open_store
from analysis.wording import (
    LEGEND,
    UNFINISHED_LEGEND,
    size_name,
    transferred_with_interval,
    unfinished_mark,
)
from raydt.tracking import schema
from raydt.tracking.schema import Stage

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A page shows only so many headline numbers: beyond this only those of the leading sources.
MOST_HEADLINES = 40
# One call per cell: more than this takes longer than the analysis, and the tables have all cells.
MOST_CELLS = 2_000
_OF_CELLS = (
    schema.METRIC_EFFECTIVE_BYTES,
    schema.METRIC_TRANSFERRED_BYTES,
    schema.METRIC_EFFECTIVE_BY_ACCURACY,
    schema.METRIC_TRANSFERRED_BY_ACCURACY,
)
# MLflow accepts these in the name of a metric; languages may have any letters.
_REFUSED = re.compile(r"[^\w\-./ :]", re.ASCII)


def log_answer(store_uri: str, analysis: Analysis) -> None:
    """Put the report's folder under the launch as artifact `schema.ARTIFACT_REPORT`, the answer in
    its note and metrics, and D_E and D_T into the cells' runs.

    Raises `MlflowException` or `OSError` where the store or its artifacts cannot be written.
    """
    from mlflow.entities import RunTag

    client = open_store(store_uri)
    launch = analysis.launch_run_id
    client.log_artifacts(launch, str(analysis.out_dir), artifact_path=schema.ARTIFACT_REPORT)
    client.log_batch(
        launch,
        metrics=_metrics(headlines(analysis.effective) | _scores(analysis.bilingual)),
        tags=[RunTag(schema.TAG_NOTE, note(analysis))],
    )
    _log_cells(client, analysis)
    _log_joint_cells(client, analysis)


def headlines(effective: pd.DataFrame) -> dict[str, float]:
    """D_T in bytes by the name of its metric; if there are many, only those of leading sources."""
    inside = effective[effective["range"] == "inside"]
    if len(inside) > MOST_HEADLINES:
        inside = inside[inside["leads"]].head(MOST_HEADLINES)
    several = effective["model"].nunique() > 1
    found = {}
    for row in inside.to_dict("records"):
        name = schema.METRIC_LAUNCH_TRANSFERRED.format(
            target=row["target"], size=row["size"], source=row["source"]
        )
        name += f" {row['model']}" if several else ""
        found[_REFUSED.sub("_", name)] = float(round(row["transferred_bytes"]))
    return found


def _scores(bilingual: pd.DataFrame) -> dict[str, float]:
    """Bilingual transfer scores by the name of their metric, except for bounds."""
    found = {}
    several = len(bilingual) > 0 and bilingual["model"].nunique() > 1
    for row in _inside(bilingual).head(MOST_HEADLINES).to_dict("records"):
        name = schema.METRIC_LAUNCH_BILINGUAL.format(
            target=row["target"], size=row["size"], source=row["source"]
        )
        name += f" {row['model']}" if several else ""
        found[_REFUSED.sub("_", name)] = float(row["score"])
    return found


def _inside(bilingual: pd.DataFrame) -> pd.DataFrame:
    return bilingual[bilingual["range"] == "inside"] if len(bilingual) else bilingual


def _log_joint_cells(client: MlflowClient, analysis: Analysis) -> None:
    """Log the score of a pair and size to the runs of its joint cells, the same for all seeds."""
    scores = _inside(analysis.bilingual)
    if scores.empty:
        return
    keys = ["model", "source", "target"]
    cells = analysis.cells[
        (analysis.cells["stage"] == Stage.JOINT) & (analysis.cells["status"] == "done")
    ].merge(
        scores[[*keys, "target_bytes", "score"]],
        left_on=[*keys, "size_bytes"],
        right_on=[*keys, "target_bytes"],
    )
    _log_beside_runs(
        client,
        analysis,
        cells,
        "Bilingual transfer scores are",
        lambda row: {schema.METRIC_BILINGUAL_SCORE: float(row["score"])},
    )


def _log_beside_runs(
    client: MlflowClient,
    analysis: Analysis,
    cells: pd.DataFrame,
    what: str,
    values: Callable[[Mapping[str, Any]], dict[str, float]],
) -> None:
    """Log metrics to the runs of cells; a note about `what` if there are too many."""
    if len(cells) > MOST_CELLS:
        analysis.notes.append(
            f"{what} in the report but not in each run in MLflow: {len(cells)} runs are more than "
            f"{MOST_CELLS}."
        )
        return
    for row in cells.to_dict("records"):
        client.log_batch(str(row["run_id"]), metrics=_metrics(values(row)))


def note(analysis: Analysis) -> str:
    """The launch's page in MLflow: the answer, D_T as a table, and where the report is."""
    lines = [
        f"### {_plain(analysis.answer.headline)}",
        "",
        *(f"- {_plain(sentence)}" for sentence in analysis.answer.per_target),
        "",
        *_table(analysis.effective),
        "",
        *_probes(analysis),
        f"{analysis.num_done} of {analysis.table.num_expected} cells done, {analysis.seeds}; "
        f"{len(analysis.alarms)} alarms. The full report is the artifact "
        f"`{schema.ARTIFACT_REPORT}/{REPORT}`.",
    ]
    return "\n".join(lines)


def _table(effective: pd.DataFrame) -> Iterator[str]:
    rows = effective
    if rows.empty:
        return
    if len(rows) > MOST_HEADLINES:
        rows = rows[rows["leads"]].head(MOST_HEADLINES)
    marked = any(unfinished_mark(row) for row in rows.to_dict("records"))
    more = f" {UNFINISHED_LEGEND}" if marked else ""
    yield f"{LEGEND} < and >: a bound, off the ladder.{more}"
    yield ""
    yield "| into | on | source | D_T | loss | scratch |"
    yield "|---|---|---|---:|---:|---:|"
    for row in rows.sort_values(["model", "target", "finetune_bytes", "loss"]).to_dict("records"):
        scratch = "" if pd.isna(row["scratch_loss"]) else f"{row['scratch_loss']:.4f}"
        source = f"**{_plain(row['source'])}**" if row["leads"] else _plain(row["source"])
        yield (
            f"| {_plain(row['target'])} | {size_name(row)} | {source} "
            f"| {_plain(transferred_with_interval(row))} | {row['loss']:.4f} | {scratch} |"
        )


def _probes(analysis: Analysis) -> Iterator[str]:
    """D_T by minimal pairs, over all kinds; none if there are many, since the report has them."""
    rows = analysis.probes.table
    rows = rows[rows["kind"] == ALL_KINDS]
    if rows.empty or len(rows) > MOST_HEADLINES:
        return
    yield "| into | on | source | accuracy | scratch | D_T by accuracy | D_T by loss |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for row in rows.to_dict("records"):
        yield (
            f"| {_plain(row['target'])} | {size_name(row)} | {_plain(row['source'])} "
            f"| {row['accuracy']:.3f} | {scratch_accuracy(row)} "
            f"| {_plain(by_accuracy(row))} | {_plain(by_loss(row))} |"
        )
    yield ""


def _plain(text: Any) -> str:
    """`text` with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", str(text))


def _log_cells(client: MlflowClient, analysis: Analysis) -> None:
    keys = ["model", "stage", "source", "target"]
    inside = _inside_ladders(analysis)
    cells = analysis.cells[
        (analysis.cells["stage"] == Stage.FINETUNE) & (analysis.cells["status"] == "done")
    ].merge(
        inside,
        left_on=[*keys, "size_bytes"],
        right_on=[*keys, "finetune_bytes"],
    )
    _log_beside_runs(
        client,
        analysis,
        cells,
        "D_T is",
        lambda row: {name: float(round(row[name])) for name in _OF_CELLS if not pd.isna(row[name])},
    )


def _inside_ladders(analysis: Analysis) -> pd.DataFrame:
    """D_E and D_T inside their ladder, by loss and by accuracy, under the names of their metrics;
    NaN for the one that is not."""
    keys = ["model", "stage", "source", "target", "finetune_bytes"]
    by_pairs = analysis.probes.table
    tables = (
        (analysis.effective, schema.METRIC_EFFECTIVE_BYTES, schema.METRIC_TRANSFERRED_BYTES),
        (
            by_pairs[by_pairs["kind"] == ALL_KINDS],
            schema.METRIC_EFFECTIVE_BY_ACCURACY,
            schema.METRIC_TRANSFERRED_BY_ACCURACY,
        ),
    )
    found = []
    for table, effective, transferred in tables:
        names = {"effective_bytes": effective, "transferred_bytes": transferred}
        inside = table[table["range"] == "inside"]
        found.append(inside[[*keys, *names]].rename(columns=names))
    return found[0].merge(found[1].astype({"finetune_bytes": "int64"}), on=keys, how="outer")


def _metrics(values: Mapping[str, float]) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, value, now, 0) for name, value in values.items()]
