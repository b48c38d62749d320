"""A trial: cells of equal shape as one program, their weights stacked along a leading axis.

What raydt would gain by training cells that differ only in seed, source or target in lock-step
(HFTA, MLSys 2021, arXiv 2102.02344). `vmap` over the model, Muon's products batched over all cells,
plain gradient descent for the rest, in one CUDA graph: less work per step than a real cell, so the
result is an upper bound of the gain.

N cells, R rows, C columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from benchmarks.gpu.sharing import BATCH_WINDOWS
from benchmarks.gpu.timing import seconds_of
from raydt.config.model import MODELS
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.training.optimizer.muon import orthogonalized


class _Loss(nn.Module):
    def __init__(self, model: Decoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, x_BT: Tensor) -> Tensor:
        return self.model.loss(x_BT, x_BT)


def stack(name: str, number: int, device: torch.device) -> dict[str, object]:
    """Seconds of a step of all."""
    config = MODELS[name]
    losses = [_Loss(new_decoder(config)).to(device) for _ in range(number)]
    weights, buffers = stack_module_state(losses)  # type: ignore[arg-type]
    parameters = {key: weight.detach().requires_grad_() for key, weight in weights.items()}
    matrices = {id(matrix) for matrix in losses[0].model.matrices()}
    are_matrices = [id(weight) in matrices for _, weight in losses[0].named_parameters()]
    x_NBT = torch.randint(1, 256, (number, BATCH_WINDOWS, config.window_bytes), device=device)

    def loss_of(weight: dict[str, Tensor], buffer: dict[str, Tensor], x_BT: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            loss: Tensor = functional_call(losses[0], (weight, buffer), (x_BT,))
            return loss

    def step() -> None:
        total = vmap(loss_of)(parameters, buffers, x_NBT).sum()
        gradients = torch.autograd.grad(total, list(parameters.values()))
        with torch.no_grad():
            for parameter, gradient, is_matrix in zip(
                parameters.values(), gradients, are_matrices, strict=True
            ):
                update = orthogonalized(gradient.bfloat16()).float() if is_matrix else gradient
                parameter.add_(update, alpha=-1e-4)

    if device.type == "cuda":
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.synchronize(device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            step()
        seconds = seconds_of(graph.replay, device)
    else:
        seconds = seconds_of(step, device, 1)
    return {"model": name, "cells": number, "step_seconds": seconds}
