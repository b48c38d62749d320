"""Operations on runs that all writers of a store use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# MLflow's own limits.
_MAX_METRICS_PER_BATCH = 1000
_MAX_PARAM_CHARACTERS = 6000
_MAX_TAG_CHARACTERS = 5000  # and 8000 from MLflow 2.11 on
_RUNS_PER_PAGE = 1000


def every_run(client: Any, experiment_id: str, where: str) -> Iterator[Any]:
    """Yield the runs of an experiment that match an MLflow filter, page by page."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], where, max_results=_RUNS_PER_PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def log(
    client: Any,
    run_id: str,
    metrics: Sequence[Any],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    """Log MLflow metrics in batches; params and tags with the first batch.

    Logging them again is not an error, if a param has the same value and a metric the same time.
    Values that are too long for MLflow are truncated.
    """
    from mlflow.entities import Param, RunTag

    for start in range(0, max(1, len(metrics)), _MAX_METRICS_PER_BATCH):
        first = start == 0
        client.log_batch(
            run_id,
            metrics=metrics[start : start + _MAX_METRICS_PER_BATCH],
            params=[Param(k, v[:_MAX_PARAM_CHARACTERS]) for k, v in params.items() if first],
            tags=[RunTag(k, v[:_MAX_TAG_CHARACTERS]) for k, v in tags.items() if first],
        )
