"""What every writer of a store does with runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MAX_METRICS_PER_BATCH = 1000  # MLflow's own limit
_RUNS_PER_PAGE = 1000


def every_run(client: Any, experiment_id: str, where: str) -> Iterator[Any]:
    """The runs of an experiment that an MLflow filter finds, page by page."""
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
    """Log MLflow's metrics in as many batches as it takes; params and tags with the first.

    Written again they are no error: a param has to have the same value, a metric the same time.
    """
    from mlflow.entities import Param, RunTag

    for start in range(0, max(1, len(metrics)), _MAX_METRICS_PER_BATCH):
        first = start == 0
        client.log_batch(
            run_id,
            metrics=metrics[start : start + _MAX_METRICS_PER_BATCH],
            params=[Param(*item) for item in params.items()] if first else [],
            tags=[RunTag(*item) for item in tags.items()] if first else [],
        )
