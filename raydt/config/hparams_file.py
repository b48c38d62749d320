"""The file that `sweeps/hparams.py` writes and `--hparams FILE` reads.

`[protocol.<stage>]` are fields of a sweep, as in any sweep file; `[found]` records which model and
sizes they were tuned for, and the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from raydt.config.problems import problems_of_fields
from raydt.config.protocol import RECIPES, Protocol
from raydt.config.toml_file import read_toml
from raydt.errors import InputError, Problem, UnknownName

_OPTION = "--hparams"


@dataclass(frozen=True)
class HparamsFile:
    """`protocol` has the fields that the file sets, in tables as in a sweep file."""

    path: Path
    model: str
    protocol: dict[str, object]


def read_hparams(path: Path) -> HparamsFile:
    """Read the file at `path`; `InputError` with all of its problems."""
    values = read_toml(_OPTION, path)
    problems: list[Problem] = [
        UnknownName(f"{_OPTION} {path}: {name}", "it has the tables protocol and found", "table")
        for name in sorted(values.keys() - {"protocol", "found"})
    ]
    found = values.get("found")
    model = found.get("model") if isinstance(found, dict) else None
    if not isinstance(model, str):
        expected = "the model that it was tuned for, as sweeps/hparams.py writes it"
        problems.append(Problem(f"{_OPTION} {path}: found.model", expected, repr(model)))
    protocol = values.get("protocol")
    if isinstance(protocol, dict):
        problems += _problems_of(path, protocol)
    else:
        problems.append(
            Problem(f"{_OPTION} {path}: protocol", "tables such as [protocol.scratch]", "none")
        )
    if problems:
        raise InputError(problems)
    assert isinstance(protocol, dict)
    return HparamsFile(path, str(model), protocol)


def check_models(file: HparamsFile, models: tuple[str, ...]) -> list[Problem]:
    """A problem if the file was tuned for another model than the sweep's: its values are wrong
    there, and nothing else would show it."""
    if set(models) == {file.model}:
        return []
    return [
        Problem(
            f"{_OPTION} {file.path}",
            f"hyperparameters for the model of the sweep, {' '.join(models)}",
            f"some for {file.model}",
        )
    ]


def _problems_of(path: Path, protocol: dict[str, object]) -> list[Problem]:
    """Validate the tables over the defaults, because a file may leave fields out."""
    merged = dict(protocol)
    for stage in RECIPES:
        given = protocol.get(stage)
        if isinstance(given, dict):
            default: BaseModel = getattr(Protocol(), stage)
            merged[stage] = {**default.model_dump(), **given}
    try:
        Protocol.model_validate(merged)
    except ValidationError as error:
        return problems_of_fields(error, ("protocol",), f"{_OPTION} {path}: ")
    return []
