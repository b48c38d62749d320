"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).

Our own few lines, because the first `torch.optim.Optimizer` of a process imports torch's compiler,
which takes a second, too long for a small cell. A test compares it with torch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_EPSILON = 1e-8


class AdamW:
    """AdamW with decoupled weight decay, for float32 parameters.

    `state` has the `step`, `exp_avg` and `exp_avg_sq` of each parameter that had a gradient, under
    torch's names. The step is on the CPU, so that nothing waits for a GPU.
    """

    def __init__(
        self, parameters: Iterable[Tensor], betas: tuple[float, float], weight_decay: float
    ) -> None:
        self.parameters = list(parameters)
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._betas = betas
        self._weight_decay = weight_decay
        self._learning_rate = 0.0

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of further steps."""
        self._learning_rate = learning_rate

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients, if there are any."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                self._step(parameter, parameter.grad)

    def restore(self, parameter: Tensor, saved: Mapping[str, Tensor]) -> None:
        """Resume from a copy of the saved `state` of a parameter; the step stays on the CPU."""
        self.state[parameter] = {
            quantity: tensor.to("cpu" if quantity == "step" else parameter.device, copy=True)
            for quantity, tensor in saved.items()
        }

    def _step(self, parameter: Tensor, gradient: Tensor) -> None:
        beta1, beta2 = self._betas
        state = self.state.get(parameter) or self._begin(parameter)
        state["step"] += 1
        step = state["step"].item()
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = square.sqrt().div_((1 - beta2**step) ** 0.5).add_(_EPSILON)
        parameter.mul_(1 - self._learning_rate * self._weight_decay)
        parameter.addcdiv_(mean, root, value=-self._learning_rate / (1 - beta1**step))

    def _begin(self, parameter: Tensor) -> dict[str, Tensor]:
        self.state[parameter] = {
            "step": torch.zeros(()),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
        return self.state[parameter]
