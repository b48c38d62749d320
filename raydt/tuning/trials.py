"""The record of a search in the storage: one line per finished trial, and the search's identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from raydt.config.protocol import RECIPES
from raydt.config.recipe import FREE_RECIPE_FIELDS
from raydt.errors import InputError, Problem, RunError
from raydt.storage.folder import Folder
from raydt.tuning.trial import End, Finished, trial_of

_SEARCH = "search.json"
_TRIALS = "trials.jsonl"


class TrialRecord:
    """The finished trials of a search, by id; only one process writes."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.finished: dict[str, Finished] = _read(folder)

    def add(self, finished: Finished) -> None:
        """Record a finished trial; call it before the trial is used for anything else."""
        row = {
            **asdict(finished),
            "trial": finished.trial.facts(),
            "trial_id": finished.trial.trial_id,
        }
        self._folder.append(_TRIALS, (json.dumps(row) + "\n").encode())
        self.finished[finished.trial.trial_id] = finished


def _read(folder: Folder) -> dict[str, Finished]:
    try:
        data = folder.read(_TRIALS)
    except FileNotFoundError:
        return {}
    *lines, last = data.split(b"\n")
    if last:
        # A kill cut this line short; remove it, or the next line would be damaged too.
        folder.write(_TRIALS, b"".join(line + b"\n" for line in lines))
    found = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            finished = Finished(
                trial_of(row["trial"]),
                End(row["end"]),
                tuple((int(seen), float(loss)) for seen, loss in row["val_losses"]),
                row["bytes_seen"],
                row["seconds"],
                row["time"],
                row["weights_sha256"],
                row["reason"],
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(
                f"{folder.uri}/{_TRIALS}:{number}: expected a trial, got a damaged line ({error}); "
                "remove the line to run the trial again"
            ) from None
        found[finished.trial.trial_id] = finished
    return found


def check_same_search(folder: Folder, identity: Mapping[str, Any]) -> None:
    """`InputError` if the folder holds another search, whose trials are not comparable."""
    earlier = folder.read_json(_SEARCH)
    if earlier is None:
        return
    now = _decisive(json.loads(json.dumps(identity)))
    earlier = _decisive(earlier)
    problems = [
        Problem(
            name,
            f"{earlier.get(name)!r} as in the search in {folder.uri}, or another --name",
            repr(now.get(name)),
        )
        for name in sorted(earlier.keys() | now.keys())
        if earlier.get(name) != now.get(name)
    ]
    if problems:
        raise InputError(problems)


def _decisive(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Without the recipe fields that change only speed and rounding."""
    protocol = {
        name: {field: each for field, each in value.items() if field not in FREE_RECIPE_FIELDS}
        if name in RECIPES
        else value
        for name, value in identity.get("protocol", {}).items()
    }
    return {**identity, "protocol": protocol}


def record_search(folder: Folder, identity: Mapping[str, Any]) -> None:
    """Record the search's identity, for the next launch."""
    folder.write_json(_SEARCH, dict(identity))
