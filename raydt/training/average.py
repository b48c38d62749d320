"""The average of a cell's weights over its steps, which is evaluated, saved and used as a parent.

At a constant learning rate the weights keep fluctuating. Their average settles, and at every step
is as good as annealed weights at the last one. So the length of training need not be known in
advance.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from raydt.model.decoder import Decoder
from raydt.training.checkpoints.weights import put_weights


class WeightAverage:
    """The power-function average of Karras et al. 2024 (arXiv 2312.02696, section 3.1).

    After step t = 1, 2, ... the average m of the weights w is

        m += (1 - (1 - 1 / t)^(power + 1)) (w - m),

    so the weight of step s is about s^power: the average always covers the same share of training,
    whatever its length. A power of 0 is the plain mean, a large one approaches the weights
    themselves.
    """

    def __init__(self, model: Decoder, power: float) -> None:
        self.model = copy.deepcopy(model)
        self._power = power
        self._weights = [parameter.detach() for parameter in model.parameters()]
        self._means = [parameter.detach() for parameter in self.model.parameters()]
        # On a GPU a tensor, which a CUDA graph reads at every step.
        device = self._means[0].device
        self._share: float | Tensor = (
            torch.ones((), device=device) if device.type == "cuda" else 1.0
        )

    def update(self, num_steps: int) -> None:
        """Update the average with the weights after `num_steps` steps, at least one."""
        self.set_share(num_steps)
        self.take_in()

    def set_share(self, num_steps: int) -> None:
        """Set the share of the weights after `num_steps` steps, at least one."""
        share = 1 - (1 - 1 / num_steps) ** (self._power + 1)
        if isinstance(self._share, Tensor):
            self._share.fill_(share)
        else:
            self._share = share

    @torch.no_grad()
    def take_in(self) -> None:
        """Move the average towards the weights by the current share."""
        if isinstance(self._share, Tensor):
            torch._foreach_mul_(self._means, 1 - self._share)
            torch._foreach_add_(self._means, torch._foreach_mul(self._weights, self._share))
            return
        for mean, weight in zip(self._means, self._weights, strict=True):
            mean.lerp_(weight, self._share)

    def state_tensors(self) -> dict[str, Tensor]:
        """The average by the names of the model's weights; not copied."""
        return self.model.state_dict()

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Resume from `state_tensors`; `RunError` for another model."""
        put_weights(self.model, tensors, "checkpoint", "a cell must resume with its own model")
