"""Remove cells from a clip, or keep nothing else, so that an explanation can be heard and checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.audio import Clip
from genre_app.explain.grid import Grid

_WINDOW_SECONDS = 0.093  # 2048 samples at 22 050 Hz: narrow enough for bands of 330 Hz and short enough for moments of 1 s


def mask_audio(clip: Clip, grid: Grid, mask: NDArray[np.bool_], *, keep: bool) -> Clip:
    """Return the clip with only the masked cells, or without them; what remains keeps its phase.

    Parameters
    ----------
    clip : Clip
    grid : Grid
    mask : numpy.ndarray, bool [bands, moments]
    keep : bool
        Keep the masked cells; otherwise remove them.

    Returns
    -------
    Clip
        Of the same length.
    """
    if mask.shape != grid.shape:
        raise ValueError(f"the mask must have the grid's shape {grid.shape}, got {mask.shape}")
    samples = mask_samples(torch.from_numpy(clip.samples)[None], clip.sample_rate, grid, mask if keep else ~mask)
    return replace(clip, samples=samples[0].numpy())


@torch.no_grad()
def mask_samples(
    samples: torch.Tensor, sample_rate: int, grid: Grid, kept: NDArray[np.bool_], start_seconds: float = 0.0
) -> torch.Tensor:
    """Keep only some cells of samples [n, samples], all of which begin at ``start_seconds`` of the grid."""
    n_fft = 1 << max(6, round(np.log2(sample_rate * _WINDOW_SECONDS)))
    hop = n_fft // 4
    window = torch.hann_window(n_fft, device=samples.device)
    padding = "constant"  # not "reflect", which refuses clips shorter than half a window
    spectrum = torch.stft(samples, n_fft, hop, window=window, pad_mode=padding, return_complex=True)  # [n, bins, frames]
    bands = grid.bands_of(np.fft.rfftfreq(n_fft, 1.0 / sample_rate))
    moments = grid.moments_of(start_seconds + np.arange(spectrum.shape[2]) * hop / sample_rate)
    spectrum *= torch.from_numpy(kept[np.ix_(bands, moments)]).to(samples.device)
    return torch.istft(spectrum, n_fft, hop, window=window, length=samples.shape[1])
