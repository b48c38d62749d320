"""A cell: one thing to train or to evaluate, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from raydt.config.sweep import Sweep
from raydt.tracking.schema import Stage
from raydt.units import Size

NO_DATA = Size(0, "0")


@dataclass(frozen=True)
class Cell:
    """Stage, languages, size, seed and model size; `source` is None for scratch, `target` for
    pretrain, `parent_id` for both."""

    stage: Stage
    source: str | None
    target: str | None
    size: Size
    seed: int
    model: str
    parent_id: str | None = None

    @cached_property  # asked for at every turn, and a grid may have 100,000 cells
    def cell_id(self) -> str:
        """Readable and unique in a sweep; also the cell's folder. Nothing is read back from it."""
        languages = "-".join(name for name in (self.source, self.target) if name is not None)
        return f"{self.stage}/{languages}/{self.size.label}/{self.model}/s{self.seed}"

    @property
    def train_bytes(self) -> int:
        """Bytes of training data: of a joint cell its size of the target, and as much of the
        source."""
        return self.size.num_bytes * (2 if self.stage is Stage.JOINT else 1)

    @property
    def run_name(self) -> str:
        """How the cell is called where people look: `en→de 6M`."""
        if self.stage is Stage.PRETRAIN:
            name = f"pretrain {self.source}"
        elif self.stage is Stage.JOINT:
            name = f"joint {self.source}, {self.target} {self.size.label}"
        else:
            amount = Stage.ZEROSHOT if self.stage is Stage.ZEROSHOT else self.size.label
            name = f"{self.source or Stage.SCRATCH}→{self.target} {amount}"
        return f"{name} s{self.seed}"


def is_tested_on_source(cell: Cell, sweep: Sweep) -> bool:
    """Whether the cell is also tested on what its weights were pretrained on: a finetune of a
    pretrain. Of weights from elsewhere there is no text."""
    return sweep.forgetting and cell.stage is Stage.FINETUNE and cell.parent_id is not None
