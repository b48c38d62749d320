"""Several processes that train one cell together, over plain `torch.distributed`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among those of a cell. One alone communicates with nobody."""

    rank: int = 0
    num_ranks: int = 1

    @classmethod
    def of_process_group(cls) -> Ranks:
        """Those of the default process group, which the caller has initialised: gloo for a CPU,
        nccl for GPUs."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether it is this one that writes and reports."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> None:
        """Replace `tensor` on all ranks by the sum over them: the same bits everywhere."""
        if self.num_ranks > 1:
            dist.all_reduce(tensor)

    def fewest(self, number: int, device: torch.device) -> int:
        """The smallest `number` of any rank."""
        if self.num_ranks == 1:
            return number
        smallest = torch.tensor(number, device=device)
        dist.all_reduce(smallest, dist.ReduceOp.MIN)
        return int(smallest.item())

    def any(self, holds: bool, device: torch.device) -> bool:
        """Whether it holds on any rank."""
        return self.fewest(-int(holds), device) < 0

    def agree_on(self, number: int, device: torch.device) -> bool:
        """Whether `number` is the same on all ranks."""
        if self.num_ranks == 1:
            return True
        largest = torch.tensor([number, -number], device=device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return bool((largest[0] == -largest[1]).item())
