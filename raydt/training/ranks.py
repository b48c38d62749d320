"""Several processes that train one cell together, with `torch.distributed`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """The rank of this process among those of a cell. A single process does not communicate."""

    rank: int = 0
    num_ranks: int = 1

    @classmethod
    def of_process_group(cls) -> Ranks:
        """The ranks of the default process group, which the caller has initialised: gloo for CPUs,
        nccl for GPUs."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this rank writes and reports."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> None:
        """Replace `tensor` on all ranks by its sum over them, bitwise equal everywhere."""
        if self.num_ranks > 1:
            dist.all_reduce(tensor)

    def min(self, number: int, device: torch.device) -> int:
        """The minimum of `number` over all ranks."""
        if self.num_ranks == 1:
            return number
        smallest = torch.tensor(number, device=device)
        dist.all_reduce(smallest, dist.ReduceOp.MIN)
        return int(smallest.item())

    def any(self, holds: bool, device: torch.device) -> bool:
        """Whether `holds` is True on any rank."""
        return self.min(-int(holds), device) < 0

    def agree_on(self, number: int, device: torch.device) -> bool:
        """Whether `number` is the same on all ranks."""
        if self.num_ranks == 1:
            return True
        largest = torch.tensor([number, -number], device=device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return bool((largest[0] == -largest[1]).item())
