"""One cell that somebody else trained, as a row of `raydt import`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from raydt.tracking.schema import Stage, Status


@dataclass(frozen=True)
class LossRow:
    """A cell as somebody else measured it; losses in nats per byte."""

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
        """What makes it a cell of its own."""
        return (self.stage, self.source, self.target, self.size_bytes, self.seed, self.model)

    @property
    def cell_id(self) -> str:
        """As cells are called that raydt trains."""
        languages = "-".join(name for name in (self.source, self.target) if name is not None)
        return f"{self.stage}/{languages}/{self.size}/{self.model}/s{self.seed}"

    @property
    def run_name(self) -> str:
        """How the cell is called where people look."""
        if self.stage is Stage.PRETRAIN:
            return f"pretrain {self.source} s{self.seed}"
        return f"{self.source or Stage.SCRATCH}→{self.target} {self.size} s{self.seed}"

    @property
    def fingerprint(self) -> str:
        """Hash of all that the row says: one number changed, and it is another run."""
        said = asdict(self)
        if self.precision is None:  # rows that were imported before it could be said stay the same
            del said["precision"]
        if not self.curve:
            del said["curve"]
        text = json.dumps(said, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(f"imported {text}".encode()).hexdigest()
