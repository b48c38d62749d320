"""The training state of a cell: everything needed to resume bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.decoder import Decoder
from raydt.training.average import WeightAverage
from raydt.training.checkpoints.folder import Checkpoint
from raydt.training.checkpoints.weights import put_weights
from raydt.training.optimizer.combined import Optimizer
from raydt.training.outcome import Report


@dataclass
class Progress:
    """The part of the state that is not tensors; losses in nats per byte."""

    step: int = 0  # steps done
    steps_since_report: int = 0
    seconds_since_report: float = 0.0
    training_seconds: float = 0.0  # up to the last report
    best_val_loss: float | None = None
    best_bytes_seen: int | None = None
    reports: list[Report] = field(default_factory=list)


class TrainingState:
    """Model, optimiser, batches and progress of one cell, to be saved and restored."""

    def __init__(
        self,
        model: Decoder,
        optimizer: Optimizer,
        batches: WindowBatches,
        average: WeightAverage | None = None,
    ) -> None:
        self.model = model
        self.average = average
        self.optimizer = optimizer
        self.batches = batches
        self.progress = Progress()
        self.device = next(model.parameters()).device
        self.loss_since_report = torch.zeros((), device=self.device)
        self.best_weights: dict[str, Tensor] = {}

    @property
    def evaluated(self) -> Decoder:
        """The model that is evaluated and kept: the average of the weights if there is one, but the
        initial weights before the first step."""
        return self.model if self.average is None else self.average.model

    def keep_as_best(self) -> None:
        """Keep a copy of the evaluated weights as the best ones."""
        self.best_weights = {
            name: tensor.detach().to("cpu", copy=True)
            for name, tensor in self.evaluated.state_dict().items()
        }

    def is_finite(self) -> bool:
        """Whether all weights and the accumulated loss are finite."""
        tensors = [self.loss_since_report, *self.model.state_dict().values()]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all().item())

    def checkpoint(self) -> Checkpoint:
        """The current state; its tensors are not copied."""
        facts = {"progress": asdict(self.progress), "data": self.batches.state()}
        return Checkpoint(self.progress.step, self._tensors(), facts)

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors by name, `<part>/<name>`."""
        parts = {
            "weights": self.model.state_dict(),
            "best": self.best_weights,
            "optimizer": self.optimizer.state_tensors(),
            "loop": {"loss_since_report": self.loss_since_report, "rng": torch.get_rng_state()},
        }
        if self.average is not None:
            parts["average"] = self.average.state_tensors()
        if self.device.type == "cuda":
            parts["loop"]["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        return {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()}

    def load(self, checkpoint: Checkpoint) -> None:
        """Resume from `checkpoint`; `RunError` for another model."""
        names = ("weights", "average", "best", "optimizer", "loop")
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        loop = parts["loop"]
        for key, tensor in checkpoint.tensors.items():
            part, _, name = key.partition("/")
            parts[part][name] = tensor
        put_weights(
            self.model, parts["weights"], "checkpoint", "a cell must resume with its own model"
        )
        if self.average is not None:
            self.average.load_state_tensors(parts["average"])
        self.best_weights = parts["best"]
        self.optimizer.load_state_tensors(parts["optimizer"])
        self.loss_since_report = loop["loss_since_report"].to(self.device)
        torch.set_rng_state(loop["rng"])
        if "cuda_rng" in loop and self.device.type == "cuda":
            torch.cuda.set_rng_state(loop["cuda_rng"], self.device)
        progress = dict(checkpoint.state["progress"])
        reports = [Report(**report) for report in progress.pop("reports")]
        self.progress = Progress(**progress, reports=reports)
        self.batches.load_state(checkpoint.state["data"])
