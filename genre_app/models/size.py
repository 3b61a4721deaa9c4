"""How large the results of a network's layers are, without computing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genre_app.models.base import GenreModel


def largest_result(network: GenreModel) -> int:
    """Return the number of values of the largest tensor that a network computes for a segment.

    Parameters
    ----------
    network : GenreModel
        On the meta device, where tensors have a shape and no values.

    Raises
    ------
    RuntimeError
        If the network cannot process its segments, or needs their values.
    """
    largest = _Largest()
    with torch.inference_mode(), largest:
        network(torch.empty(1, network.n_bins, network.n_frames, device="meta"))
    return largest.n_values


class _Largest(TorchFunctionMode):
    """Keep the number of values of the largest tensor that a function returns."""

    def __init__(self) -> None:
        super().__init__()
        self.n_values = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        results = _recurrent(*args) if func in (torch.lstm, torch.gru) else func(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else (results,):
            if isinstance(result, Tensor):
                self.n_values = max(self.n_values, result.numel())
        return results


def _recurrent(inputs: Tensor, states: Any, *settings: Any) -> tuple[Tensor, ...]:
    """Return what a recurrent layer does, [b, frames, units] and its states; on the meta device it would take seconds."""
    states = states if isinstance(states, tuple) else (states,)
    *_, is_bidirectional, _ = settings
    return inputs.new_empty((*inputs.shape[:2], states[0].shape[-1] * (1 + is_bidirectional))), *states
