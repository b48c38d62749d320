"""A sweep: a declared set of cells and the protocol they share."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from raydt.config.machine import gpu_places, num_gpus
from raydt.config.mixtures import Mixed, Mixture, mixture_of, of_one
from raydt.config.model import MODELS, ModelConfig
from raydt.config.protocol import Protocol
from raydt.config.size_field import SizeField
from raydt.config.sources import Checkpoint, checkpoint_of, hub_models
from raydt.config.sweep_defaults import (
    DEMO_LANGUAGES,
    DEMO_SIZES,
    default_models,
    default_name,
    default_pretrain_size,
    default_protocol,
    default_scratch_sizes,
    default_seeds,
)
from raydt.config.sweep_fields import (
    Corpus,
    ExtraSizes,
    GpuName,
    KeepWeights,
    LogModels,
    Models,
    Name,
    Names,
    Seeds,
    Sizes,
    Sources,
    Storage,
)
from raydt.cpus import num_cpus
from raydt.gpus import ASSUMED_GPU, GPUS
from raydt.storage.disks import cache_folder
from raydt.storage.folder import Folder
from raydt.storage.opening import is_remote, open_folder, path_of
from raydt.tracking.schema import Stage
from raydt.tracking.uri import sqlite_uri, without_password
from raydt.units import Size


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
        default_factory=default_name,
        description="name of the sweep, and of its experiment in MLflow [after the corpus]",
    )
    sources: Sources = Field(
        DEMO_LANGUAGES,
        description="languages to pretrain on; mixtures of them, en+es or 'en*0.7+pt*0.3'; or "
        "weights that are there: ckpt:FOLDER as `raydt export` wrote it or a byte-level model of "
        "the Hub's form, cell:SWEEP/CELL of the same storage; LABEL=ckpt:FOLDER names it",
    )
    # As they are in the folders now: what a recorded sweep is stays known without them.
    hub_models: dict[str, ModelConfig] = Field(
        default_factory=lambda fields: hub_models(fields.get("sources", ())),
        repr=False,
        description="models of the Hub's form that sources are, by label",
    )
    targets: Names = Field(DEMO_LANGUAGES, description="languages to transfer to")
    sizes: Sizes = Field(DEMO_SIZES, description="bytes of target data, as 8k, 6M or LABEL=BYTES")
    scratch_sizes: ExtraSizes = Field(
        default_factory=default_scratch_sizes,
        description="more sizes to train on from scratch alone, so that the losses of good "
        "finetunes fall inside the ladder [6k 20k in the demo, else none]",
    )
    pretrain_size: SizeField = Field(
        default_factory=default_pretrain_size,
        description="bytes of source data to pretrain on [400k of controlled languages, else 800k]",
    )
    models: Models = Field(
        default_factory=lambda fields: default_models(fields),
        description=f"one or more of {', '.join(MODELS)}, or the label of a source of the Hub's "
        "form, whose architecture all cells then have [that of the first such source, else nano]",
    )
    seeds: Seeds = Field(
        default_factory=default_seeds,
        description="each cell is trained once per seed [0 1 in the demo, else 0 1 2]",
    )
    joint: bool = Field(
        False,
        description="also train each source and target together from scratch, by halves, at every "
        "size: for the bilingual transfer score",
    )
    forgetting: bool = Field(
        True,
        description="also test each finetune on the test split of its source, once it is trained: "
        "what the source forgets",
    )
    protocol: Protocol = Field(default_factory=lambda fields: default_protocol(fields))

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

    def model(self, name: str) -> ModelConfig:
        """The shape of one of its models."""
        return self.hub_models[name] if name in self.hub_models else MODELS[name]

    def logs_model(self, stage: Stage) -> bool:
        """Whether MLflow gets the models of a stage."""
        if self.log_models == "none" or self.keep_weights == "none" or stage is Stage.ZEROSHOT:
            return False
        return stage is Stage.PRETRAIN or self.log_models == self.keep_weights == "all"

    def train_bytes(self) -> dict[str, int]:
        """Bytes of training data that each language must have."""
        needed = dict.fromkeys(self.targets, max(self.ladder).num_bytes)
        size_bytes = self.pretrain_size.num_bytes
        for source in self.source_languages:
            needed[source] = max(needed.get(source, 0), size_bytes)
        for mixed in self.mixed():
            for language, num_bytes in mixed.mixture.bytes_of(mixed.train_bytes).items():
                needed[language] = max(needed.get(language, 0), num_bytes)
        return needed

    def mixed(self) -> list[Mixed]:
        """What is prepared as mixtures: sources, and what joint cells read."""
        size_bytes = self.pretrain_size.num_bytes
        sources = [Mixed(name, each, size_bytes) for name, each in self.mixtures.items()]
        return [*sources, *self.joint_data.values()]

    def pairs(self) -> list[tuple[str, str]]:
        """Source and target of every transfer. A language is not transferred to itself: its
        pretraining has read the very bytes that the finetune would learn from."""
        return [(s, t) for t in self.targets for s in self.source_names if s != t]

    @property
    def source_names(self) -> tuple[str, ...]:
        """What sources are called: languages, mixtures of them, and the labels of checkpoints."""
        found = [(source, checkpoint_of(source)) for source in self.sources]
        return tuple(source if c is None else c.label for source, c in found)

    @property
    def source_languages(self) -> tuple[str, ...]:
        """The sources that are one language each."""
        others = self.checkpoints.keys() | self.mixtures.keys()
        return tuple(name for name in self.source_names if name not in others)

    @property
    def mixtures(self) -> dict[str, Mixture]:
        """The sources that are several languages, by what they are called."""
        plain = [source for source in self.sources if checkpoint_of(source) is None]
        found = ((source, mixture_of(source)) for source in plain)
        return {source: each for source, each in found if each is not None}

    @property
    def joint_data(self) -> dict[tuple[str, str, Size], Mixed]:
        """What joint cells read, by source, target and size; none of a checkpoint, which has no
        text. Each size has a text of its own, so that it is the scratch cell's bytes of the target
        and as many of the source, to the byte."""
        if not self.joint:
            return {}
        languages = {name: of_one(name) for name in self.source_languages} | self.mixtures
        return {
            (source, target, size): languages[source].joined(target, size.num_bytes)
            for source, target in self.pairs()
            if source in languages
            for size in self.sizes
        }

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """The sources that are weights, by their labels."""
        found = (checkpoint_of(source) for source in self.sources)
        return {each.label: each for each in found if each is not None}
