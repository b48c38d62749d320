"""The file that `sweeps/hparams.py` writes and `--hparams FILE` reads.

`[protocol.<stage>]` are fields of a sweep, as in any sweep file; `[found]` says what they were
found for, and on what evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from raydt.config.problems import problems_of_fields
from raydt.config.protocol import RECIPES, Protocol
from raydt.config.toml_file import read_toml
from raydt.errors import InputError, Problem

_OPTION = "--hparams"


@dataclass(frozen=True)
class HparamsFile:
    """`protocol` as a sweep file has it: tables of those fields that the file sets."""

    path: Path
    model: str
    protocol: dict[str, object]


def read_hparams(path: Path) -> HparamsFile:
    """The file at `path`; `InputError` with every problem if it is none."""
    values = read_toml(_OPTION, path)
    problems = [
        Problem(f"{_OPTION} {path}: {name}", "only the tables protocol and found", "no such table")
        for name in sorted(values.keys() - {"protocol", "found"})
    ]
    found = values.get("found")
    model = found.get("model") if isinstance(found, dict) else None
    if not isinstance(model, str):
        requirement = "the model that it was found for, as sweeps/hparams.py writes it"
        problems.append(Problem(f"{_OPTION} {path}: found.model", requirement, repr(model)))
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
    """A problem if the file was found for another model than a sweep has: its values are no good
    there, and nothing would say so."""
    if set(models) == {file.model}:
        return []
    return [
        Problem(
            f"{_OPTION} {file.path}",
            f"a file found for the model of the sweep, {' '.join(models)}",
            f"one for {file.model}",
        )
    ]


def _problems_of(path: Path, protocol: dict[str, object]) -> list[Problem]:
    """Over the defaults, so that a field may be left out."""
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
