"""Several processes that train one network together with Hugging Face's Accelerate; a single process does not use it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Processes:
    """The processes that train together, seen from one of them.

    Attributes
    ----------
    rank, count : int
        Number of this process, from 0, and number of processes.
    accelerator : accelerate.Accelerator or None
        None if there is only one process.
    """

    rank: int = 0
    count: int = 1
    accelerator: Any = None

    @property
    def alone(self) -> bool:
        """Whether this process trains alone."""
        return self.count == 1

    def any(self, mine: bool) -> bool:
        """Return whether ``mine`` is true in any process; all processes get the same answer."""
        if self.alone:
            return mine
        flag = torch.tensor([float(mine)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item() > 0)

    def wait(self) -> None:
        """Wait until all processes have called this."""
        # Accelerate's own wait names a GPU for each process, which fails where two of them share one.
        self.any(False)

    def average_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its mean over the processes."""
        if not self.alone:
            self._average([p.grad for p in model.parameters() if p.grad is not None])

    @torch.no_grad()
    def average_buffers(self, *models: nn.Module) -> None:
        """Replace the running statistics, which each process gathers from its part of the batch, by their mean."""
        if not self.alone:
            self._average([b for model in models for b in model.buffers() if b.is_floating_point()])

    def _average(self, tensors: list[Tensor]) -> None:
        # As one tensor: one message instead of dozens.
        joined = self.accelerator.reduce(torch.cat([tensor.flatten() for tensor in tensors]), "mean")
        for tensor, value in zip(tensors, joined.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(value.view_as(tensor))


ONE_PROCESS = Processes()


def join() -> tuple[Processes, torch.device]:
    """Join the processes that ``accelerate launch`` or torchrun started, if any; return them and the device of this process."""
    has_gpu = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs

        # NCCL refuses two processes on one GPU; gloo accepts them and copies through the memory of the CPU.
        share = has_gpu and torch.cuda.device_count() < int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        # The other processes wait while the first one queues, decodes or validates.
        group = InitProcessGroupKwargs(backend="gloo" if share else "nccl", timeout=timedelta(days=7))
        accelerator = Accelerator(cpu=not has_gpu, kwargs_handlers=[group])
        return Processes(accelerator.process_index, accelerator.num_processes, accelerator), accelerator.device
    return ONE_PROCESS, torch.device("cuda" if has_gpu else "cpu")
