"""An imported cell, as a row of `raydt import`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from raydt.tracking.schema import Stage, Status


@dataclass(frozen=True)
class LossRow:
    """An imported cell; losses in nats per byte."""

    stage: Stage
    source: str | None
    target: str | None
    size: str
    size_bytes: int
    seed: int
    model: str
    status: Status
    test_loss: float | None
    reason: str | None = None
    stopped: str | None = None
    precision: str | None = None  # the dtype it was computed in
    metrics: Mapping[str, float] = field(default_factory=dict)  # by their names in the schema

    # Evaluations of `val`, (bytes seen, nats per byte), in order of bytes.
    curve: tuple[tuple[int, float], ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """What identifies the cell."""
        return (self.stage, self.source, self.target, self.size_bytes, self.seed, self.model)

    @property
    def cell_id(self) -> str:
        """Its id, in the form of cells that raydt trains."""
        languages = "-".join(name for name in (self.source, self.target) if name is not None)
        return f"{self.stage}/{languages}/{self.size}/{self.model}/s{self.seed}"

    @property
    def run_name(self) -> str:
        """The display name of the cell."""
        if self.stage is Stage.PRETRAIN:
            return f"pretrain {self.source} s{self.seed}"
        return f"{self.source or Stage.SCRATCH}→{self.target} {self.size} s{self.seed}"

    @property
    def fingerprint(self) -> str:
        """A hash of the whole row: if a number changes, it becomes another run."""
        said = asdict(self)
        if self.precision is None:  # so that rows of earlier versions keep their fingerprints
            del said["precision"]
        if not self.curve:
            del said["curve"]
        text = json.dumps(said, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(f"imported {text}".encode()).hexdigest()
