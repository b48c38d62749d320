"""Read a sweep from defaults, TOML files and the command line, and report all problems at once.

The command line overrides `--hparams`, which overrides `--sweep`, which overrides the defaults.
Fields of the protocol are set with dots (`--protocol.scratch.learning-rate`), in a file with
tables.

Why no library does this (tried in November 2026: tyro 1.0.17, jsonargparse 4.53.0, cyclopts 5.5.2,
pydantic-settings 2.16.3): none reports unknown options together with invalid values, and none keeps
defaults that depend on another field if a neighbouring field is set. A library would replace the
loop in `raydt/commands/sweep_parser.py` that makes an option of each field, and little else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from raydt.config.hparams_file import HparamsFile, check_models, read_hparams
from raydt.config.problems import problems_between_fields, problems_of_fields, wrong_fields
from raydt.config.sweep import Sweep
from raydt.config.toml_file import read_toml
from raydt.errors import InputError, Problem, bad

# Fields whose defaults depend on other fields.
DERIVED = {"name", "scratch_sizes", "pretrain_size", "seeds", "hub_models", "models"}


@dataclass(frozen=True)
class Typed:
    """A command line that describes a sweep. Values are still text; the sweep parses them.

    `fields` are by dotted path; `problems` are those of the words themselves, such as an unknown
    option.
    """

    sweep_file: str | None = None
    hparams_file: str | None = None
    fields: Mapping[str, str | list[str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_sweep(typed: Typed) -> Sweep:
    """Build the sweep. Raises `InputError` with all problems of the words, files and fields."""
    problems = list(typed.problems)
    values = {} if typed.sweep_file is None else _read_file(Path(typed.sweep_file), problems)
    hparams = None
    if typed.hparams_file is not None:
        hparams = _read_hparams(Path(typed.hparams_file), problems)
    if hparams is not None:
        values = _over_defaults(values, {"protocol": hparams.protocol})
    for dotted, value in typed.fields.items():
        _put(values, dotted.split("."), value)
    wrong: frozenset[tuple[str, ...]] = frozenset()
    try:
        sweep = _sweep_of(values)
    except ValidationError as error:
        problems += problems_of_fields(error)
        # With defaults in place of the wrong fields, the others can still be checked.
        wrong = wrong_fields(error)
        for path in wrong:
            _remove(values, path)
        sweep = _sweep_of(values)
    problems += problems_between_fields(sweep, wrong)
    if hparams is not None and ("models",) not in wrong:
        problems += check_models(hparams, sweep.models)
    if problems:
        raise InputError(problems)
    return sweep


def _sweep_of(values: Mapping[str, object]) -> Sweep:
    return Sweep.model_validate(_over_defaults(_defaults_for(values), values))


def _defaults_for(values: Mapping[str, object]) -> dict[str, object]:
    """The defaults of a sweep on the given corpus, which decides the default protocol."""
    corpus = values.get("corpus")
    # If the corpus is not a string, the sweep reports it.
    defaults = Sweep(corpus=corpus) if isinstance(corpus, str) else Sweep()
    return defaults.model_dump(exclude=DERIVED)


# `object`: the values of a TOML file have no types until the sweep validates them.
def _read_file(path: Path, problems: list[Problem]) -> dict[str, object]:
    try:
        return _parse_file(path)
    except InputError as error:
        problems += error.problems
        return {}


def _parse_file(path: Path) -> dict[str, object]:
    if path.suffix != ".toml" and not path.is_dir():
        raise bad("--sweep", "a .toml file", path)
    return read_toml("--sweep", path)


def _read_hparams(path: Path, problems: list[Problem]) -> HparamsFile | None:
    try:
        return read_hparams(path)
    except InputError as error:
        problems += error.problems
        return None


def _put(values: dict[str, object], path: Sequence[str], value: object) -> None:
    *tables, leaf = path
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):  # the file has a value in place of a table
            return
        values = inner
    values[leaf] = value


def _remove(values: dict[str, object], path: Sequence[str]) -> None:
    *tables, leaf = path
    for table in tables:
        inner = values.get(table)
        if not isinstance(inner, dict):
            return
        values = inner
    values.pop(leaf, None)


def _over_defaults(
    defaults: Mapping[str, object], values: Mapping[str, object]
) -> dict[str, object]:
    """Merge `values` into `defaults`, table by table: a field that is left out keeps its default
    even if its neighbours are set."""
    merged = dict(defaults)
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            merged[key] = _over_defaults(default, value)
        else:
            merged[key] = value
    return merged
