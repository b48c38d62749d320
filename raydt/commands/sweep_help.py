"""How the options of a sweep are shown: in groups by what a person does with them, the most wanted
first. How cells are trained and evaluated is behind `--help-all`, and what all stages have is shown
once."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from raydt.config.fields import FIELDS, SweepField
from raydt.config.protocol import RECIPES
from raydt.config.read import DERIVED
from raydt.config.sweep import Sweep

# Each field that is not of the protocol, in the order in which they are shown.
GROUPS = {
    "What to measure": "corpus sources targets sizes seeds models pretrain_size scratch_sizes "
    "joint forgetting",
    "Where it goes": "name storage tracking_uri",
    "How it runs": "slots gpus_per_cell gpu dollars_per_gpu_hour cpus_per_cell workers "
    "large_cell_seconds checkpoint_seconds keep_weights log_models max_retries",
}
_PROTOCOL = "How cells are evaluated, and when they end"
_STAGES = f"How a stage trains: STAGE is {', '.join(RECIPES[:-1])} or {RECIPES[-1]}"
HIDDEN_GROUPS = (_PROTOCOL, _STAGES)
_GROUP_OF = {name: title for title, names in GROUPS.items() for name in names.split()}
_ORDER = {name: place for place, name in enumerate(_GROUP_OF)}
FIELDS_AS_SHOWN = sorted(FIELDS, key=lambda field: _ORDER.get(field.path[0], len(_ORDER)))


def group_of(field: SweepField) -> str:
    """The title under which a field is shown."""
    if len(field.path) == 1:
        return _GROUP_OF[field.path[0]]
    return _STAGES if field.path[1] in RECIPES else _PROTOCOL


def prepare_help(options: Mapping[SweepField, argparse.Action], show_all: bool) -> None:
    """Give argparse the texts that it shows, and of each option one name. Parsing is over by
    then."""
    for field, action in options.items():
        action.option_strings = field.spellings[:1]
        if group_of(field) in HIDDEN_GROUPS and not show_all:
            continue
        if group_of(field) == _STAGES:
            if field.path[1] != RECIPES[0]:
                continue  # one line for all stages
            action.option_strings = ["--STAGE." + field.option.rpartition(".")[2]]
        default = _default(field)
        shown = f" [{default}]" if default else ""
        action.help = f"{field.description}{shown}".replace("%", "%%")


def _default(field: SweepField) -> str:
    """The demo's; a field of the protocol may have another where the text is one's own."""
    demo, own = (_default_on(corpus, field) for corpus in ("controlled", "files:texts"))
    if demo == own or group_of(field) not in HIDDEN_GROUPS:
        return demo
    return f"{demo}; on text of your own {own or 'auto'}"


def _default_on(corpus: str, field: SweepField) -> str:
    values = _defaults_on(corpus)
    if group_of(field) != _STAGES:
        return _text(_value(values, field.path))
    protocol, _, leaf = field.path
    stages: dict[str, list[str]] = defaultdict(list)
    for stage in RECIPES:
        stages[_text(_value(values, (protocol, stage, leaf)))].append(stage)
    if len(stages) == 1:
        return next(iter(stages))
    return ", ".join(f"{text} in {' and '.join(names)}" for text, names in stages.items())


@cache
def _defaults_on(corpus: str) -> Mapping[str, object]:
    return Sweep(corpus=corpus).model_dump(mode="json", exclude=DERIVED)


def _value(values: object, path: tuple[str, ...]) -> object:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        texts = [_text(item) for item in value]
        # Of a table by size that has one row: its number.
        return texts[0].removeprefix("0=") if len(texts) == 1 else " ".join(texts)
    return str(value)
