"""Plain convolution blocks and dense layers for the published networks, and the sizes that remain after pools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

Activation = Literal["relu", "elu"]
BatchNorm = Literal["none", "before_activation", "after_activation", "after_pool"]
Padding = Literal["same", "valid"]


def activation_layer(activation: Activation) -> nn.Module:
    """Create a layer of an activation function."""
    return nn.ELU() if activation == "elu" else nn.ReLU()


def dense_layers(
    sizes: Sequence[int], n_out: int, *, activation: Activation, batch_norm: bool, dropout: float
) -> nn.Sequential:
    """Create hidden layers [dense, batch norm, activation, dropout] and an output layer; ``sizes[0]`` counts the inputs."""
    layers: list[nn.Module] = []
    for n_in, n_units in pairwise(sizes):
        norm = [nn.BatchNorm1d(n_units)] if batch_norm else []
        layers += [nn.Linear(n_in, n_units), *norm, activation_layer(activation), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_out))


def fitted_pools(
    size: Sequence[int], pools: Sequence[Sequence[int]], *, lost: int = 0, fit: bool | None = None
) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Compute the size of an input after blocks of one convolution and one max-pool each.

    Parameters
    ----------
    size : sequence of int
        Length of each axis.
    pools : sequence of sequences of int
        For each block, the pool's length along each axis.
    lost : int
        Values that a convolution removes from each axis: 0 with padding, else the kernel's length minus 1.
    fit : bool or None
        Shorten a pool that is longer than the remaining axis instead of raising; None if the network has no such setting.

    Returns
    -------
    pools : list of tuple of int
    size : tuple of int
        Size after the last block.

    Raises
    ------
    ValueError
        If no value remains along an axis.
    """
    fitted = []
    left = tuple(size)
    for number, pool in enumerate(pools, 1):
        left = tuple(length - lost for length in left)
        if min(left) >= 1 and fit:
            pool = tuple(min(step, length) for step, length in zip(pool, left, strict=True))
        if any(length < step for length, step in zip(left, pool, strict=True)):
            axes = " (bins x frames, padding included)" if len(left) == 2 else ""
            remedy = "smaller pools, or fit_pools = true" if fit is False else "smaller pools or fewer blocks"
            raise ValueError(
                f"an input of {_by(size)}{axes} is too small for these pools: {_by([max(0, n) for n in left])} reach the "
                f"pool of block {number}, which takes {_by(pool)}; use longer segments, {remedy}"
            )
        left = tuple(length // step for length, step in zip(left, pool, strict=True))
        fitted.append(tuple(pool))
    return fitted, left


def _by(lengths: Sequence[int]) -> str:
    return " x ".join(map(str, lengths))


def conv_blocks(
    n_in: int,
    size: Sequence[int],
    channels: Sequence[int],
    pools: Sequence[tuple[int, ...]],
    *,
    kernel: int = 3,
    padding: Padding = "same",
    batch_norm: BatchNorm,
    activation: Activation,
    dropout: float,
    fit: bool | None = None,
) -> tuple[nn.Sequential, tuple[int, ...]]:
    """Create a sequence of blocks: convolution, activation, max-pool, dropout, and batch norm at the position asked for.

    The blocks are one- or two-dimensional, like their pools. For ``size`` and ``fit`` see `fitted_pools`.

    Returns
    -------
    blocks : nn.Sequential
    size : tuple of int
        Size after the last block.

    Raises
    ------
    ValueError
        As in `check_blocks` and `fitted_pools`.
    """
    check_blocks(channels, pools, kernel, padding)
    pools, left = fitted_pools(size, pools, lost=kernel - 1 if padding == "valid" else 0, fit=fit)
    two = len(size) == 2
    conv, norm, max_pool = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d) if two else (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d)

    def layers(n_in: int, n_out: int, pool: tuple[int, ...]) -> Iterator[nn.Module]:
        yield conv(n_in, n_out, kernel, padding=padding)
        if batch_norm == "before_activation":
            yield norm(n_out)
        pooling = [max_pool(pool)] if math.prod(pool) > 1 else []
        if batch_norm == "after_activation":
            yield from (activation_layer(activation), norm(n_out), *pooling)
        else:
            # For a monotonic activation the order does not change the result; after pooling it has fewer values to process.
            yield from (*pooling, activation_layer(activation))
        if batch_norm == "after_pool":
            yield norm(n_out)
        if dropout > 0:
            yield nn.Dropout(dropout)

    blocks = nn.Sequential(*(nn.Sequential(*layers(*of)) for of in zip((n_in, *channels), channels, pools, strict=False)))
    # In this layout convolution, pooling and norm are fastest, on the CPU too. The activations take it from the weights.
    blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's types
    return blocks, left


def check_blocks(channels: Sequence[int], pools: Sequence[object], kernel: int = 3, padding: Padding = "same") -> None:
    """Refuse settings of blocks that contradict each other.

    Raises
    ------
    ValueError
        If channels and pools differ in number, or an even kernel has padding "same".
    """
    if len(channels) != len(pools):
        raise ValueError(f"channels and pools must be equally many, got {len(channels)} and {len(pools)}")
    if padding == "same" and kernel % 2 == 0:
        raise ValueError(f"kernel must be odd with padding same, got {kernel}")
