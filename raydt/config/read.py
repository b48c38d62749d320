"""A sweep from defaults, TOML files and the command line; every problem at once.

Later wins: the command line over `--hparams` over `--sweep` over the defaults. Fields of the
protocol are reached by dots (`--protocol.scratch.learning-rate`), in a file by tables.
"""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from raydt.config.hparams_file import check_models, read_hparams
from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem
from raydt.units import approximate_bytes

_DEFAULTS = Sweep()
_DERIVED = {"name", "scratch_sizes"}  # their defaults follow from other fields


def leaf_fields(
    model: type[BaseModel] = Sweep, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Path, description and whether it takes several values, of every field of a sweep."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaf_fields(field.annotation, (*prefix, name))
        else:
            several = get_origin(field.annotation) is tuple
            yield (*prefix, name), field.description or "", several


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """One option per field. Values stay text here; the sweep gives them their types."""
    parser.add_argument("--sweep", metavar="FILE", help="a TOML file with fields of the sweep")
    parser.add_argument(
        "--hparams",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="hyperparameters as sweeps/hparams.py found them; over those of --sweep",
    )
    groups: dict[tuple[str, ...], Any] = {}
    defaults = _DEFAULTS.model_dump(mode="json", exclude=_DERIVED)
    for path, description, several in leaf_fields():
        group = groups.setdefault(
            path[:-1], parser.add_argument_group(" ".join(path[:-1]) or "the sweep")
        )
        default: Any = defaults
        for key in path:
            default = default.get(key)
        if several and default is not None:
            default = " ".join(str(item) for item in default)
        shown = "" if default is None else f" [{default}]"
        group.add_argument(
            "--" + ".".join(path).replace("_", "-"),
            dest=".".join(path),
            metavar=path[-1].split("_")[-1].upper(),
            nargs="+" if several else None,
            default=argparse.SUPPRESS,
            help=(description + shown).strip().replace("%", "%%"),
        )


def read_sweep(arguments: argparse.Namespace, unknown: Sequence[str] = ()) -> Sweep:
    """The sweep that the command line means.

    `arguments` come from a parser with `add_sweep_arguments`, `unknown` are the words it did not
    know. Raises `InputError` with all problems of the words, the file and the fields.
    """
    problems = _unknown_options(unknown)
    values: dict[str, Any] = {}
    if arguments.sweep is not None:
        try:
            values = _read_file(Path(arguments.sweep))
        except InputError as error:
            problems.extend(error.problems)
    hparams = None
    if "hparams" in arguments:
        try:
            hparams = read_hparams(Path(arguments.hparams))
        except InputError as error:
            problems.extend(error.problems)
        else:
            values = _over_defaults(values, {"protocol": hparams.protocol})
    known = {".".join(path) for path, _, _ in leaf_fields()}
    for dotted, value in vars(arguments).items():
        if dotted in known:
            _put(values, dotted.split("."), value)
    try:
        sweep = Sweep.model_validate(_over_defaults(_defaults_for(values), values))
    except ValidationError as error:
        raise InputError([*problems, *_problems(error)]) from None
    problems.extend(_impossible(sweep))
    if hparams is not None:
        problems.extend(check_models(hparams, sweep.models))
    if problems:
        raise InputError(problems)
    return sweep


def _defaults_for(values: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of a sweep on the corpus that is named: the protocol follows from it."""
    try:
        defaults = Sweep(corpus=values.get("corpus", _DEFAULTS.corpus))
    except ValidationError:
        defaults = _DEFAULTS  # the corpus is no text; the sweep will say so
    return defaults.model_dump(exclude=_DERIVED)


def _unknown_options(words: Sequence[str]) -> list[Problem]:
    options = ["--" + ".".join(path).replace("_", "-") for path, _, _ in leaf_fields()]
    problems = []
    for word in words:
        option, _, _ = word.partition("=")
        if option.startswith("--"):
            problems.append(
                Problem(option, "a field of a sweep" + _meant(option, options), "no such option")
            )
    if words and not problems:
        problems.append(Problem("command line", "options only", " ".join(words)))
    return problems


def _meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else " (--help lists them)"


def _read_file(path: Path) -> dict[str, Any]:
    if path.suffix != ".toml":
        raise InputError([Problem("--sweep", "a .toml file", str(path))])
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError([Problem(str(path), "a readable file", error.strerror or "")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError([Problem(str(path), "valid TOML", str(error))]) from None


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *tables, leaf = path
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):  # the file gave a value where a table belongs
            return
        values = inner
    values[leaf] = value


def _over_defaults(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` laid over `defaults`, table by table: a field left out keeps its default even
    where its neighbours are set."""
    merged = dict(defaults)
    for key, value in values.items():
        default = defaults.get(key)
        both = isinstance(value, Mapping) and isinstance(default, Mapping)
        merged[key] = _over_defaults(default, value) if both else value  # type: ignore[arg-type]
    return merged


def _problems(error: ValidationError) -> list[Problem]:
    names = [path[-1] for path, _, _ in leaf_fields()]
    problems = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "sweep"
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(item["loc"][-1]), names, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            problems.append(Problem(where, f"a field of a sweep{hint}", "no such field"))
        else:
            requirement = item["msg"].removeprefix("Value error, ")
            found = item["input"]
            problems.append(
                Problem(where, requirement, "nothing" if found in ((), [], "") else repr(found))
            )
    return problems


def _impossible(sweep: Sweep) -> list[Problem]:
    """Fields that are right one by one and do not fit together."""
    problems = []
    reached = {target for _, target in sweep.pairs()}
    for target in sweep.targets:
        if target not in reached:
            problems.append(
                Problem(
                    f"targets: {target}",
                    "at least one source other than the target itself",
                    f"sources {' '.join(sweep.sources)}",
                )
            )
    for model in sweep.models:
        window = MODELS[model].window_bytes
        for size in (*sweep.ladder, sweep.pretrain_size):
            if size.num_bytes < window:
                problems.append(
                    Problem(
                        f"size {size}",
                        f"at least one window of model {model}, {window} bytes",
                        f"{size.num_bytes} bytes",
                    )
                )
    for what in ("label", "num_bytes"):
        if len({getattr(size, what) for size in sweep.ladder}) < len(sweep.ladder):
            problems.append(
                Problem(
                    "sizes and scratch_sizes",
                    "rungs of different bytes and different labels",
                    " ".join(f"{size.label}={size.num_bytes}" for size in sweep.ladder),
                )
            )
    for stage in ("pretrain", "scratch", "finetune"):
        for field in ("budget_bytes", "budget_at_bytes"):
            if getattr(getattr(sweep.protocol, stage), field).num_bytes == 0:
                problems.append(Problem(f"protocol.{stage}.{field}", "at least 1 byte", "0"))
    for split in ("val_bytes", "test_bytes"):
        size = getattr(sweep.protocol, split)
        if size is not None and size.num_bytes < 1_000:
            problems.append(
                Problem(
                    f"protocol.{split}",
                    "at least 1k, or its loss means nothing",
                    approximate_bytes(size.num_bytes),
                )
            )
    return problems
