from __future__ import annotations

import torch

from raydt.training.muon import BatchedMuon, orthogonalized


def test_it_steps_as_torchs_own_does() -> None:
    torch.manual_seed(0)
    shapes = [(24, 8), (8, 8), (24, 8), (8, 24)]
    theirs = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    ours = [torch.nn.Parameter(matrix.detach().clone()) for matrix in theirs]
    reference = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.05)
    optimizer = BatchedMuon(ours, weight_decay=0.05)
    for _ in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        reference.step()
        optimizer.step(0.02)
    for a, b in zip(ours, theirs, strict=True):
        # A step is 0.02 at most in any entry, and products in bfloat16 are good to 2^-8.
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
        momentum = reference.state[b]["momentum_buffer"]
        torch.testing.assert_close(optimizer.state[a]["momentum_buffer"], momentum)


def test_singular_values_end_near_one() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(3, 16, 48)).float())
    assert values.min() > 0.5
    assert values.max() < 1.5
