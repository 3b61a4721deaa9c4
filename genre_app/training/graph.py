"""The gradient of a batch as one CUDA graph: the GPU runs all its kernels without waiting for Python to launch each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_WARM_UP = 3  # steps before the recording, in which libraries choose their kernels; PyTorch's guide asks for a few

Gradient = Callable[[Tensor, Tensor], Tensor]


class GradientGraph:
    """Records how a gradient is computed, and replays it for other batches of the same shape.

    The gradient of the recipe ``default`` launches hundreds of kernels of a few microseconds each. Launching them takes Python
    longer than running them takes the GPU (`python -m tests.bench.gpu DATA --only step`).

    Parameters
    ----------
    gradient : callable
        Takes a batch and its targets, adds the gradients to the parameters, and returns the loss. It must not wait for the GPU.
    model : torch.nn.Module
        In training mode. Recording leaves its buffers, such as the statistics of batch norm, as they are; it draws from the
        generator that dropout uses.
    batch, targets : Tensor
        On a CUDA device; a first batch, whose shapes all others must have.

    References
    ----------
    https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, gradient: Gradient, model: nn.Module, batch: Tensor, targets: Tensor) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.batch, self.targets = batch.clone(), targets.clone()
        buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                model.zero_grad()
                gradient(self.batch, self.targets)
        torch.cuda.current_stream().wait_stream(side)
        for buffer, before in buffers:
            buffer.copy_(before)
        model.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = gradient(self.batch, self.targets)
        self.gradients = [parameter.grad for parameter in self.parameters]

    def __call__(self, batch: Tensor, targets: Tensor) -> Tensor:
        """Replay the graph; return the loss, which the next replay overwrites."""
        self.batch.copy_(batch)
        self.targets.copy_(targets)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss
