"""The fields of a sweep, and the options that set each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raydt.config.by_size import FromSize
from raydt.config.sweep import Sweep
from raydt.units import Size

SWITCH = "true|false"
# Units at the end of a field's name.
_UNITS = {"bytes", "seconds", "steps", "windows"}


@dataclass(frozen=True)
class SweepField:
    """A leaf field of a sweep.

    `path` leads to it from the sweep: `("protocol", "scratch", "epochs")`. `value` names its value
    in `--help`, or each of its values if it takes several.
    """

    path: tuple[str, ...]
    description: str
    value: str
    several: bool

    @property
    def is_switch(self) -> bool:
        """Whether the option may be given without a value."""
        return self.value == SWITCH

    @property
    def dotted(self) -> str:
        """Its name in errors and records: `protocol.scratch.learning_rate`."""
        return ".".join(self.path)

    @property
    def option(self) -> str:
        """Its full option: `--protocol.scratch.learning-rate`."""
        return _option(self.path)

    @property
    def spellings(self) -> tuple[str, ...]:
        """All unambiguous options of this field, the shortest first."""
        tails = (_option(self.path[start:]) for start in reversed(range(len(self.path))))
        return tuple(option for option in tails if fields_meant_by(option) == (self,))


def fields_meant_by(option: str) -> tuple[SweepField, ...]:
    """The fields that an option may refer to: one, none, or several if it is ambiguous."""
    return _BY_OPTION.get(option, ())


def _option(path: tuple[str, ...]) -> str:
    return "--" + ".".join(path).replace("_", "-")


def _leaves(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[SweepField]:
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _leaves(info.annotation, (*prefix, name))
        elif get_origin(info.annotation) is dict:
            continue  # derived from other fields: not an option
        else:
            several = get_origin(info.annotation) is tuple
            yield SweepField(
                (*prefix, name), info.description or "", _value(name, info, several), several
            )


def _value(name: str, info: FieldInfo, several: bool) -> str:
    last = name.rpartition("_")[2]
    kinds = _kinds(info.annotation)
    if get_origin(info.annotation) is Literal:
        return "|".join(get_args(info.annotation))
    if bool in kinds:
        return SWITCH
    if Size in kinds:
        return "SIZE"
    if FromSize in kinds:
        return "[SIZE=]N"
    if kinds & {int, float}:
        return last.upper() if last in _UNITS else "N"
    return (last.removesuffix("s") if several else last).upper()


def _kinds(annotation: object) -> set[object]:
    """The plain types inside an annotation such as `tuple[Annotated[int, ...], ...] | None`."""
    arguments = get_args(annotation)
    return set().union(*map(_kinds, arguments)) if arguments else {annotation}


def _by_option() -> dict[str, tuple[SweepField, ...]]:
    meant: dict[str, list[SweepField]] = defaultdict(list)
    for field in FIELDS:
        for start in range(1, len(field.path)):
            meant[_option(field.path[start:])].append(field)
    # A full name is never an abbreviation of another one.
    meant.update({field.option: [field] for field in FIELDS})
    return {option: tuple(fields) for option, fields in meant.items()}


FIELDS = tuple(_leaves(Sweep))
_BY_OPTION = _by_option()
OPTIONS = tuple(_BY_OPTION)  # ambiguous ones, too
