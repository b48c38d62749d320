"""A sweep: a declared set of cells and the protocol they share."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_serializer,
)
from pydantic_core import PydanticCustomError

from raydt.config.machine import gpu_places, num_cpus, num_gpus
from raydt.config.model import MODELS
from raydt.config.protocol import DEMO_PROTOCOL, Protocol
from raydt.config.size_field import SizeField
from raydt.config.sources import Checkpoint, checkpoint_of, whole_text
from raydt.gpus import ASSUMED_GPU, GPUS, known_gpu
from raydt.storage.disks import cache_folder
from raydt.storage.folder import Folder
from raydt.storage.opening import is_remote, open_folder, path_of
from raydt.tracking.schema import Stage
from raydt.tracking.uri import sqlite_uri, without_password
from raydt.units import Size

_RESERVED = {"corpora", "mlflow.db", "mlflow-artifacts"}  # what else is in the storage
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DEMO_SOURCES = ("related", "unrelated", "nonsense")
_DEMO_TARGETS = ("alba", "brio")
_DEMO_SIZES = (Size(2_000, "2k"), Size(8_000, "8k"))


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError(
            "name", "letters, digits and . _ -, beginning with a letter or digit"
        )
    if name in _RESERVED:
        raise PydanticCustomError("name", "none of raydt's own folders in the storage")
    return name


def _check_source(source: str) -> str:
    text = whole_text(source)
    found = checkpoint_of(text)
    _check_name(source if found is None else found.label)
    return text


def _check_sources(sources: tuple[str, ...]) -> tuple[str, ...]:
    found = [checkpoint_of(source) for source in sources]
    _check_unique(tuple(c.label if c else source for c, source in zip(found, sources, strict=True)))
    return sources


def _check_model(name: str) -> str:
    if name not in MODELS:
        raise PydanticCustomError("model", "one of {models}", {"models": ", ".join(MODELS)})
    return name


def _absolute_folder(corpus: str) -> str:
    """One text for one folder: a sweep is the same from wherever its corpus is named."""
    kind, _, rest = corpus.partition(":")
    place, mark, options = rest.partition("?")
    if kind != "files" or not place or place.startswith("~"):
        return corpus
    return f"files:{os.path.normpath(Path.cwd() / place)}{mark}{options}"


def _default_name(fields: Mapping[str, object]) -> str:
    """The demo's sweep is `demo`, that of `files:some/folder` is `folder`."""
    corpus = str(fields.get("corpus", ""))
    if corpus == "controlled":
        return "demo"
    kind, _, rest = corpus.partition(":")
    if kind == "controlled":
        return f"controlled-{rest}"
    last = rest.partition("?")[0].rstrip("/").split("/")[-1]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", last).strip("-.") or kind
    return f"{kind}-{name}" if name in _RESERVED else name


def _default_protocol(fields: Mapping[str, object]) -> Protocol:
    """Controlled languages are for trying things out, and have the demo's shortcuts."""
    kind = str(fields.get("corpus", "")).partition(":")[0]
    return DEMO_PROTOCOL if kind == "controlled" else Protocol()


def _default_scratch_sizes(fields: Mapping[str, object]) -> tuple[Size, ...]:
    """A rung on which the demo's best finetunes still fall; of other sweeps it is not known."""
    axes = (fields.get("sources"), fields.get("targets"), fields.get("sizes"))
    is_demo = axes == (_DEMO_SOURCES, _DEMO_TARGETS, _DEMO_SIZES)
    return (Size(32_000, "32k"),) if is_demo else ()


def _as_tuple(value: object) -> object:
    # `sources = "en"` in a file means a single one, not the letters e and n.
    return (value,) if isinstance(value, str | int) else value


def _check_unique(values: tuple[object, ...]) -> tuple[object, ...]:
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise PydanticCustomError(
            "repeated", "each only once; repeated: {repeated}", {"repeated": ", ".join(repeated)}
        )
    return values


def _check_sizes(sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    if any(size.num_bytes == 0 for size in sizes):
        raise PydanticCustomError("zero", "at least 1 byte; size 0 is what zeroshot cells are for")
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
        # The same place is written in one way: this machine's files of it go by its name.
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


def local_folder(storage: str) -> Path:
    """Where this machine keeps files of a storage: itself if it is a folder, else in the cache."""
    if not is_remote(storage):
        return path_of(storage)
    return cache_folder() / hashlib.sha256(storage.encode()).hexdigest()[:16]


class Sweep(BaseModel):
    """Sources x targets x sizes x seeds x models. The defaults are the demo: controlled languages,
    no download, no GPU, under three minutes on two cores."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    corpus: Corpus = Field(
        "controlled",
        description="where the text is: files:FOLDER, hub:DATASET, controlled or controlled:SEED",
    )
    name: Name = Field(
        default_factory=_default_name,
        description="name of the sweep, and of its experiment in MLflow [after the corpus]",
    )
    sources: Sources = Field(
        _DEMO_SOURCES,
        description="languages to pretrain on, or weights that are there: ckpt:FOLDER as `raydt "
        "export` wrote it, cell:SWEEP/CELL of the same storage; LABEL=ckpt:FOLDER names it",
    )
    targets: Names = Field(_DEMO_TARGETS, description="languages to transfer to")
    sizes: Sizes = Field(_DEMO_SIZES, description="bytes of target data, as 8k, 6M or LABEL=BYTES")
    scratch_sizes: ExtraSizes = Field(
        default_factory=_default_scratch_sizes,
        description="more sizes to train on from scratch alone, so that the losses of good "
        "finetunes fall inside the ladder [32k in the demo, else none]",
    )
    pretrain_size: SizeField = Field(
        Size(800_000, "800k"), description="bytes of source data to pretrain on"
    )
    models: Models = Field(("nano",), description=f"one or more of {', '.join(MODELS)}")
    seeds: Seeds = Field((0, 1, 2), description="each cell is trained once per seed")
    protocol: Protocol = Field(default_factory=lambda fields: _default_protocol(fields))

    # What follows decides where and how fast a sweep runs, and never what comes out of it.
    storage: Storage = Field(
        "runs",
        description="where checkpoints, journals and the store are: a folder, s3:// or gs://",
    )
    tracking_uri: str | None = Field(
        None, repr=False, description="the MLflow store [SQLite in the storage folder]"
    )
    slots: int | None = Field(
        None,
        ge=1,
        description="cells at once [as many as the machine or the cluster has room for]",
    )
    cpus_per_cell: int = Field(
        1, ge=1, description="cores a cell (or each of its workers) holds, a thread for each"
    )
    gpus_per_cell: float = Field(
        0.0,
        ge=0,
        description="GPUs a cell (or each of its workers) holds, at most 1; 0.25 puts four cells "
        "on one",
    )
    gpu: GpuName | None = Field(
        None,
        description="type of GPU that time and cost are planned for, one of "
        f"{', '.join(gpu.name for gpu in GPUS)} [this machine's, that of cluster.yaml, or "
        f"{ASSUMED_GPU.name}]",
    )
    dollars_per_gpu_hour: float | None = Field(
        None, ge=0, description="what an hour of one GPU costs [its price on demand, if known]"
    )
    workers: int = Field(
        0,
        ge=0,
        description="Ray Train workers that train a large cell together (DDP); 0: every cell is "
        "trained in one process",
    )
    large_cell_seconds: float = Field(
        600.0, ge=0, description="a cell is large if it is expected to take this long"
    )
    checkpoint_seconds: float = Field(
        30.0, ge=0, description="time between checkpoints, from which a cell that is cut resumes"
    )
    keep_weights: KeepWeights = Field(
        "parents",
        description="whose weights stay on the storage: of all cells, of the parents that others "
        "start from, or of none once nothing of the sweep is left to start from them",
    )
    log_models: LogModels = Field(
        "pretrains",
        description="whose models MLflow gets, with a copy of their weights: of pretrains, of all "
        "cells whose weights stay, or of none; with keep_weights none of none",
    )
    max_retries: int = Field(1, ge=0, description="how often a cell that fails is tried again")

    @property
    def folder(self) -> Folder:
        """Where the sweep keeps its cells."""
        return self.storage_folder / self.name

    @property
    def storage_folder(self) -> Folder:
        """The storage, of this sweep and of others."""
        return open_folder(self.storage)

    @property
    def local_storage(self) -> Path:
        """Where this machine keeps what must be on a disk of its own: prepared languages, Tune's
        files, and MLflow's where no server is named. The storage itself if that is a disk."""
        return local_folder(self.storage)

    @property
    def store_uri(self) -> str:
        """The MLflow store; never relative, because MLflow resolves against each process's own
        working directory."""
        if self.tracking_uri is not None:
            return self.tracking_uri
        return sqlite_uri(self.local_storage / "mlflow.db")

    @field_serializer("tracking_uri")
    def _keep_password_unwritten(self, uri: str | None) -> str | None:
        # Every record of a sweep is made by dumping it: sweep.json, MLflow's artifact.
        return None if uri is None else without_password(uri)

    @property
    def num_slots(self) -> int:
        """Cells at once on this machine: as many as its cores and its GPUs have room for."""
        if self.slots is not None:
            return self.slots
        places = num_cpus() // self.cpus_per_cell
        if self.gpus_per_cell:
            places = min(places, gpu_places(num_gpus(), self.gpus_per_cell))
        return max(1, places)

    @property
    def ladder(self) -> tuple[Size, ...]:
        """All rungs of the scratch ladder."""
        return tuple(sorted({*self.sizes, *self.scratch_sizes}))

    def logs_model(self, stage: Stage) -> bool:
        """Whether MLflow gets the models of a stage."""
        if self.log_models == "none" or self.keep_weights == "none" or stage is Stage.ZEROSHOT:
            return False
        return stage is Stage.PRETRAIN or self.log_models == self.keep_weights == "all"

    def train_bytes(self) -> dict[str, int]:
        """Bytes of training data that each language must have."""
        needed = dict.fromkeys(self.targets, max(self.ladder).num_bytes)
        for source in self.source_languages:
            needed[source] = max(needed.get(source, 0), self.pretrain_size.num_bytes)
        return needed

    def pairs(self) -> list[tuple[str, str]]:
        """Source and target of every transfer. A language is not transferred to itself: its
        pretraining has read the very bytes that the finetune would learn from."""
        return [(s, t) for t in self.targets for s in self.source_names if s != t]

    @property
    def source_names(self) -> tuple[str, ...]:
        """What sources are called: languages, and the labels of checkpoints."""
        found = [(source, checkpoint_of(source)) for source in self.sources]
        return tuple(source if c is None else c.label for source, c in found)

    @property
    def source_languages(self) -> tuple[str, ...]:
        """The sources that are pretrained on."""
        return tuple(source for source in self.sources if checkpoint_of(source) is None)

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """The other sources, by their labels."""
        found = (checkpoint_of(source) for source in self.sources)
        return {each.label: each for each in found if each is not None}
