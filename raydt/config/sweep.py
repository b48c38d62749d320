"""A sweep: a declared set of cells and the protocol they share."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from raydt.config.machine import gpu_places, num_gpus
from raydt.config.mixtures import Mixed, Mixture, mixture_of, single_language
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
    """The local folder for files of a storage: the storage itself if it is a folder, else one in
    the cache."""
    if not is_remote(storage):
        return path_of(storage)
    return cache_folder() / hashlib.sha256(storage.encode()).hexdigest()[:16]


class Sweep(BaseModel):
    """Sources x targets x sizes x seeds x models. The defaults are the demo: controlled languages,
    no download, no GPU, under three minutes on two cores."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    corpus: Corpus = Field(
        "controlled",
        description="corpus with the languages: files:FOLDER, hub:DATASET, controlled or "
        "controlled:SEED",
    )
    name: Name = Field(
        default_factory=default_name,
        description="name of the sweep and of its experiment in MLflow [named after the corpus]",
    )
    sources: Sources = Field(
        DEMO_LANGUAGES,
        description="languages to pretrain on; mixtures such as en+es or 'en*0.7+pt*0.3'; or "
        "existing weights: ckpt:FOLDER for a folder that `raydt export` wrote or a byte-level "
        "model in Hugging Face format, cell:SWEEP/CELL for a cell in the same storage; "
        "LABEL=ckpt:FOLDER sets the name of the source",
    )
    # Copied from the folders, so that a recorded sweep can be read without them.
    hub_models: dict[str, ModelConfig] = Field(
        default_factory=lambda fields: hub_models(fields.get("sources", ())),
        repr=False,
        description="the sources that are models in Hugging Face format, by label",
    )
    targets: Names = Field(DEMO_LANGUAGES, description="languages to transfer to")
    sizes: Sizes = Field(
        DEMO_SIZES, description="bytes of target data, such as 8k, 6M or 6M=6815744"
    )
    scratch_sizes: ExtraSizes = Field(
        default_factory=default_scratch_sizes,
        description="additional sizes that are only trained from scratch, so that the losses of "
        "good finetunes fall inside the ladder [6k 20k in the demo, else none]",
    )
    pretrain_size: SizeField = Field(
        default_factory=default_pretrain_size,
        description="bytes of source data to pretrain on [400k for controlled languages, else "
        "800k]",
    )
    models: Models = Field(
        default_factory=lambda fields: default_models(fields),
        description=f"models to train: {', '.join(MODELS)}, or the label of a source in Hugging "
        "Face format, whose architecture is then trained [the first such source, else nano]",
    )
    seeds: Seeds = Field(
        default_factory=default_seeds,
        description="random seeds; each cell is trained once per seed [0 1 in the demo, else "
        "0 1 2]",
    )
    joint: bool = Field(
        False,
        description="also train each source and target jointly from scratch, half the data each, "
        "at every size, for the bilingual transfer score",
    )
    forgetting: bool = Field(
        True,
        description="also test each finetune on the test split of its source, once it is trained: "
        "what the source forgets",
    )
    protocol: Protocol = Field(default_factory=lambda fields: default_protocol(fields))

    # The fields below decide where and how fast a sweep runs, never its results.
    storage: Storage = Field(
        "runs",
        description="where checkpoints, journals and results are kept: a folder, s3:// or gs://",
    )
    tracking_uri: str | None = Field(
        None, repr=False, description="URI of the MLflow store [SQLite in the storage folder]"
    )
    slots: int | None = Field(
        None,
        ge=1,
        description="number of cells trained at the same time [as many as fit on the machine or "
        "the cluster]",
    )
    cpus_per_cell: int = Field(
        1, ge=1, description="CPU cores per cell, or per worker of a cell; one thread per core"
    )
    gpus_per_cell: float = Field(
        0.0,
        ge=0,
        description="GPUs per cell, or per worker of a cell, at most 1; 0.25 puts four cells on "
        "one GPU",
    )
    gpu: GpuName | None = Field(
        None,
        description="GPU type for which time and cost are planned: "
        f"{', '.join(gpu.name for gpu in GPUS)} [this machine's, that of cluster.yaml, or "
        f"{ASSUMED_GPU.name}]",
    )
    dollars_per_gpu_hour: float | None = Field(
        None,
        ge=0,
        description="price of one GPU hour, in dollars [the on-demand price, if known]",
    )
    workers: int = Field(
        0,
        ge=0,
        description="number of Ray Train workers that train a large cell together (DDP); 0: every "
        "cell is trained by one process",
    )
    large_cell_seconds: float = Field(
        600.0,
        ge=0,
        description="expected training time from which a cell is large, and trained by --workers",
    )
    checkpoint_seconds: float = Field(
        30.0,
        ge=0,
        description="time between checkpoints, from which an interrupted cell resumes",
    )
    keep_weights: KeepWeights = Field(
        "parents",
        description="which weights are kept in the storage: those of all cells, those of parents "
        "that other cells start from, or none once no cell of the sweep needs them any more",
    )
    log_models: LogModels = Field(
        "pretrains",
        description="which models are logged to MLflow, with a copy of their weights: pretrains, "
        "all cells whose weights are kept, or none; always none with --keep-weights none",
    )
    max_retries: int = Field(1, ge=0, description="number of times a failed cell is retried")

    @property
    def folder(self) -> Folder:
        """The folder of the sweep's cells."""
        return self.storage_folder / self.name

    @property
    def storage_folder(self) -> Folder:
        """The storage, which this sweep shares with others."""
        return open_folder(self.storage)

    @property
    def local_storage(self) -> Path:
        """The local folder for files that must be on a disk: prepared languages, Tune's files, and
        MLflow's if no server is given. The storage itself if that is a folder."""
        return local_folder(self.storage)

    @property
    def store_uri(self) -> str:
        """The URI of the MLflow store. Never relative, because MLflow would resolve it against the
        working directory of each process."""
        if self.tracking_uri is not None:
            return self.tracking_uri
        return sqlite_uri(self.local_storage / "mlflow.db")

    @field_serializer("tracking_uri")
    def _keep_password_unwritten(self, uri: str | None) -> str | None:
        # All records of a sweep are dumps of it: sweep.json and MLflow's artifact.
        return None if uri is None else without_password(uri)

    @property
    def num_slots(self) -> int:
        """Number of cells that this machine's cores and GPUs can train at the same time."""
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
        """The shape of one of its models, by name."""
        return self.hub_models[name] if name in self.hub_models else MODELS[name]

    def logs_model(self, stage: Stage) -> bool:
        """Whether the models of a stage are logged to MLflow."""
        if self.log_models == "none" or self.keep_weights == "none" or stage is Stage.ZEROSHOT:
            return False
        return stage is Stage.PRETRAIN or self.log_models == self.keep_weights == "all"

    def train_bytes(self) -> dict[str, int]:
        """Bytes of training data that each language needs."""
        needed = dict.fromkeys(self.targets, max(self.ladder).num_bytes)
        size_bytes = self.pretrain_size.num_bytes
        for source in self.source_languages:
            needed[source] = max(needed.get(source, 0), size_bytes)
        for mixed in self.mixed():
            for language, num_bytes in mixed.mixture.bytes_of(mixed.train_bytes).items():
                needed[language] = max(needed.get(language, 0), num_bytes)
        return needed

    def mixed(self) -> list[Mixed]:
        """The mixtures to prepare: sources, and the data of joint cells."""
        size_bytes = self.pretrain_size.num_bytes
        sources = [Mixed(name, each, size_bytes) for name, each in self.mixtures.items()]
        return [*sources, *self.joint_data.values()]

    def pairs(self) -> list[tuple[str, str]]:
        """Source and target of every transfer. A language is not transferred to itself, because its
        pretraining has already seen the bytes of the finetune."""
        return [(s, t) for t in self.targets for s in self.source_names if s != t]

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources: languages, mixtures, and the labels of checkpoints."""
        found = [(source, checkpoint_of(source)) for source in self.sources]
        return tuple(source if c is None else c.label for source, c in found)

    @property
    def source_languages(self) -> tuple[str, ...]:
        """The sources that are a single language."""
        others = self.checkpoints.keys() | self.mixtures.keys()
        return tuple(name for name in self.source_names if name not in others)

    @property
    def mixtures(self) -> dict[str, Mixture]:
        """The sources that are mixtures, by name."""
        plain = [source for source in self.sources if checkpoint_of(source) is None]
        found = ((source, mixture_of(source)) for source in plain)
        return {source: each for source, each in found if each is not None}

    @property
    def joint_data(self) -> dict[tuple[str, str, Size], Mixed]:
        """The data of each joint cell, by source, target and size. Checkpoints have no text, and so
        no joint cells. Each size has its own text: exactly the scratch cell's bytes of the target
        and as many of the source."""
        if not self.joint:
            return {}
        languages = {name: single_language(name) for name in self.source_languages} | self.mixtures
        return {
            (source, target, size): languages[source].joined(target, size.num_bytes)
            for source, target in self.pairs()
            if source in languages
            for size in self.sizes
        }

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """The sources that are weights, by label."""
        found = (checkpoint_of(source) for source in self.sources)
        return {each.label: each for each in found if each is not None}
