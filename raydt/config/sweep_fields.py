"""Types of the fields of a sweep: names, sizes, locations."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from raydt.config.mixtures import mixture_of
from raydt.config.model import MODELS
from raydt.config.size_field import SizeField
from raydt.config.sources import canonical_source, checkpoint_of, why_no_model
from raydt.config.sweep_defaults import RESERVED
from raydt.gpus import GPUS, known_gpu
from raydt.storage.opening import is_remote
from raydt.units import Size

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError(
            "name", "a name of letters, digits and . _ -, starting with a letter or digit"
        )
    if name in RESERVED:
        raise PydanticCustomError("name", "a name that raydt does not use itself in the storage")
    return name


def _check_source(source: str) -> str:
    text = canonical_source(source)
    found = checkpoint_of(text)
    if found is not None:
        _check_name(found.label)
        return text
    mixture = mixture_of(source)
    for language in (source,) if mixture is None else mixture.languages:
        _check_name(language)
    return text if mixture is None else str(mixture)


def _check_sources(sources: tuple[str, ...]) -> tuple[str, ...]:
    found = [checkpoint_of(source) for source in sources]
    _check_unique(tuple(c.label if c else source for c, source in zip(found, sources, strict=True)))
    return sources


def _check_model(name: str, others: ValidationInfo) -> str:
    of_hub = others.data.get("hub_models", {})
    if name not in MODELS and name not in of_hub:
        known = ", ".join([*MODELS, *of_hub])
        about = {"models": known, "why": why_no_model(others.data.get("sources", ()), name)}
        raise PydanticCustomError("model", "one of {models}{why}", about)
    return name


def _absolute_folder(corpus: str) -> str:
    """Make the path absolute, so that a sweep is the same from every working directory."""
    kind, _, rest = corpus.partition(":")
    place, mark, options = rest.partition("?")
    if kind != "files" or not place or place.startswith("~"):
        return corpus
    return f"files:{os.path.normpath(Path.cwd() / place)}{mark}{options}"


def _as_tuple(value: object) -> object:
    # `sources = "en"` in a file is one source, not the letters e and n.
    return (value,) if isinstance(value, str | int) else value


def _check_unique(values: tuple[object, ...]) -> tuple[object, ...]:
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise PydanticCustomError(
            "repeated", "each value once (repeated: {repeated})", {"repeated": ", ".join(repeated)}
        )
    return values


def _check_sizes(sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    if any(size.num_bytes == 0 for size in sizes):
        raise PydanticCustomError("zero", "at least 1 byte (zeroshot cells are size 0)")
    for attribute in ("num_bytes", "label"):
        if len({getattr(size, attribute) for size in sizes}) < len(sizes):
            raise PydanticCustomError("repeated", "sizes of different bytes and different labels")
    return tuple(sorted(sizes))


def _check_storage(location: object) -> object:
    text = str(location)
    if "://" in text and not is_remote(text):
        raise PydanticCustomError("storage", "a folder, s3://bucket/prefix or gs://bucket/prefix")
    is_nowhere = is_remote(text) and not text.partition("://")[2].partition("?")[0].strip("/")
    if not text.strip() or is_nowhere or "\0" in text:
        raise PydanticCustomError("storage", "a folder, s3://bucket/prefix or gs://bucket/prefix")
    if is_remote(text):
        # One canonical spelling, because the local folder is named after it.
        location, mark, options = text.partition("?")
        return location.rstrip("/") + mark + options
    return text


def _check_gpu(name: str) -> str:
    gpu = known_gpu(name)
    if gpu is None:
        raise PydanticCustomError(
            "gpu", "one of {gpus}", {"gpus": ", ".join(gpu.name for gpu in GPUS)}
        )
    return gpu.name


KeepWeights: TypeAlias = Literal["all", "parents", "none"]
LogModels: TypeAlias = Literal["pretrains", "all", "none"]
GpuName = Annotated[str, AfterValidator(_check_gpu)]
Storage = Annotated[str, BeforeValidator(_check_storage)]
Name = Annotated[str, AfterValidator(_check_name)]
SourceName = Annotated[str, AfterValidator(_check_source)]
Names = Annotated[
    tuple[Name, ...], BeforeValidator(_as_tuple), Field(min_length=1), AfterValidator(_check_unique)
]
Sources = Annotated[
    tuple[SourceName, ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    AfterValidator(_check_sources),
]
ModelName = Annotated[str, AfterValidator(_check_model)]
Models = Annotated[
    tuple[ModelName, ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    AfterValidator(_check_unique),
]
Sizes = Annotated[
    tuple[SizeField, ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    AfterValidator(_check_sizes),
]
ExtraSizes = Annotated[
    tuple[SizeField, ...], BeforeValidator(_as_tuple), AfterValidator(_check_sizes)
]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Corpus = Annotated[str, AfterValidator(_absolute_folder)]
Seeds = Annotated[
    tuple[Seed, ...], BeforeValidator(_as_tuple), Field(min_length=1), AfterValidator(_check_unique)
]
