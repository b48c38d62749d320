"""Validation curves out of the store: every evaluation of `val`, by run.

They are read only for a new analysis, separately from the facts of the runs: a grid of 10,000 cells
has some 300,000 evaluations.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from analysis.store.address import check_address
from analysis.store.read import open_reader
from analysis.store.sql import TablesUnreadableError

# Through a server each run's history is a separate request.
MOST_REQUESTS = 1000

Evaluations = dict[str, list[tuple[float, float]]]


def read_curves(
    store_uri: str, experiment_id: str, run_ids: Iterable[str]
) -> tuple[Evaluations, str]:
    """(bytes seen, nats per byte) of each of `run_ids` that has a history, in order of bytes; and
    a note for the reader, or "".

    From a server with more than `MOST_REQUESTS` such runs nothing is read, and the note says so.
    """
    wanted = set(run_ids)
    kind = check_address(store_uri)
    try:
        with ExitStack() as stack:
            reader = open_reader(stack, kind, store_uri)
            if kind == "server" and len(wanted) > MOST_REQUESTS:
                return {}, (
                    f"No crossovers: the validation curves of {len(wanted)} runs would take as "
                    f"many requests to the server, and at most {MOST_REQUESTS} are made. To get "
                    "crossovers, analyse the server's database or a copy of it."
                )
            return {
                run: sorted(points)
                for run, points in reader.curves(experiment_id, wanted)
                if run in wanted
            }, ""
    except TablesUnreadableError as error:
        return {}, f"No crossovers: the validation curves could not be read ({error})."
