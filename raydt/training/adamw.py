"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), all parameters in one call.

The kernel, the state and the bits are those of `torch.optim.AdamW(fused=True)`; a test holds the
two together. It is called here without that class, because making the first `torch.optim.Optimizer`
of a process imports torch's compiler, which takes a second that a small cell has better uses for.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_EPSILON = 1e-8


class FusedAdamW:
    """AdamW with decoupled weight decay, for float32 parameters on one device.

    `state` holds of each parameter that had a gradient its `step`, `exp_avg` and `exp_avg_sq`.
    """

    def __init__(
        self, parameters: Iterable[Tensor], betas: tuple[float, float], weight_decay: float
    ) -> None:
        self.parameters = list(parameters)
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._betas = betas
        self._weight_decay = weight_decay

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Apply the gradients, where there are any."""
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        if not moved:
            return
        states = [self.state.get(parameter) or self._begin(parameter) for parameter in moved]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            moved,
            [parameter.grad for parameter in moved],  # type: ignore[misc]
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=learning_rate,
            beta1=self._betas[0],
            beta2=self._betas[1],
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def _begin(self, parameter: Tensor) -> dict[str, Tensor]:
        self.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
        return self.state[parameter]
