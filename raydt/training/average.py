"""The average of a cell's weights over its steps: what is evaluated, kept and started from.

At a constant learning rate the weights themselves keep jumping about; their average settles, and
is as good as weights whose rate was annealed, at every step and not only at the last one. So no
length of training has to be known beforehand.
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

    so step s weighs about s^power: the average covers the same share of the way at every time,
    whatever its length. A power of 0 is the plain mean, a large one is the weights themselves.
    """

    def __init__(self, model: Decoder, power: float) -> None:
        self.model = copy.deepcopy(model)
        self._power = power
        self._weights = [parameter.detach() for parameter in model.parameters()]
        self._means = [parameter.detach() for parameter in self.model.parameters()]
        # On a GPU a tensor, which a CUDA graph reads anew at every step.
        device = self._means[0].device
        self._share: float | Tensor = (
            torch.ones((), device=device) if device.type == "cuda" else 1.0
        )

    def update(self, num_steps: int) -> None:
        """Take in the weights as they are after `num_steps` steps, one or more."""
        self.set_share(num_steps)
        self.take_in()

    def set_share(self, num_steps: int) -> None:
        """Set how much the weights as they are after `num_steps` steps, one or more, count."""
        share = 1 - (1 - 1 / num_steps) ** (self._power + 1)
        if isinstance(self._share, Tensor):
            self._share.fill_(share)
        else:
            self._share = share

    @torch.no_grad()
    def take_in(self) -> None:
        """Let the average move towards the weights by the share that is set."""
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
        """Resume from what `state_tensors` gave; `RunError` for another model."""
        put_weights(self.model, tensors, "checkpoint", "a cell resumes with the model it had")
