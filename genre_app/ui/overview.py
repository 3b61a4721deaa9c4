"""The spectrogram of a whole clip at the resolution of a figure, computed while the clip is classified.

The clip is decoded once: `OverviewTap` copies the samples on their way to the network. Memory does not grow with the clip: at
2 * `MAX_COLUMNS` columns, neighbouring columns are averaged, and each column then covers twice the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.audio import AudioStream, Clip
from genre_app.features import FeatureSpec, extract

MAX_COLUMNS = 2048
_CHUNK_FRAMES = 512  # STFT frames computed at the same time
_HOP_SECONDS = 0.024  # gives a 30 s clip 1250 columns, about one a pixel on a wide page
_WINDOW_SECONDS = 0.093  # 2048 samples at 22 050 Hz, librosa's default


@dataclass(frozen=True)
class Overview:
    """Log-mel columns of a whole clip.

    Attributes
    ----------
    db : numpy.ndarray, float32 [n_mels, columns]
        In dB relative to a power of 1.
    column_seconds : float
        Time between columns; the first column is centred on 0 s.
    spec : FeatureSpec
        Mel scale and frequency range of the rows.
    """

    db: NDArray[np.float32]
    column_seconds: float
    spec: FeatureSpec


def picture_spec(sample_rate: int, hop_seconds: float) -> FeatureSpec:
    """Return the specification of a spectrogram to look at, with about ``hop_seconds`` from column to column."""
    n_fft = 1 << max(9, round(np.log2(sample_rate * _WINDOW_SECONDS)))
    hop_length = max(16, round(sample_rate * hop_seconds))
    return FeatureSpec(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, fmax=sample_rate / 2, top_db=200.0)


class OverviewTap:
    """A stream that passes a clip's samples on to `genre_app.predict.classify` and computes their `Overview`.

    Parameters
    ----------
    audio : Clip or AudioStream

    Attributes
    ----------
    name : str
        Name of the file.
    sample_rate : int
        Hz.
    """

    def __init__(self, audio: Clip | AudioStream) -> None:
        self._audio = audio
        self.name, self.sample_rate = audio.name, audio.sample_rate
        self._spec = picture_spec(audio.sample_rate, _HOP_SECONDS)
        self._held = np.zeros(self._spec.n_fft // 2, np.float32)  # zeros before the clip, as `extract` pads it
        self._power: list[NDArray[np.float32]] = []  # each [n_mels, columns]
        self._merged = 1  # STFT columns to a column kept

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the decoder; complete once the blocks are consumed."""
        return self._audio.warnings

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the clip's samples in blocks, float32 [n]; can be called once."""
        for block in self._audio.blocks():
            self._held = np.concatenate([self._held, block])
            while len(self._held) >= self._width(_CHUNK_FRAMES):
                self._take(_CHUNK_FRAMES)
            yield block
        self._held = np.concatenate([self._held, np.zeros(self._spec.n_fft // 2, np.float32)])
        left = (len(self._held) - self._spec.n_fft) // self._spec.hop_length + 1
        if left > 0:
            self._take(left)

    def overview(self) -> Overview:
        """Return the spectrogram of the samples that have passed."""
        power, merged = np.concatenate(self._power, axis=1), self._merged
        if power.shape[1] > MAX_COLUMNS:
            power, merged = _merge_pairs(power), 2 * merged
        db = (10.0 * np.log10(np.maximum(power, 1e-10))).astype(np.float32)
        return Overview(db, merged * self._spec.hop_length / self._spec.sample_rate, self._spec)

    def _width(self, n_frames: int) -> int:
        return self._spec.n_fft + (n_frames - 1) * self._spec.hop_length

    def _take(self, n_frames: int) -> None:
        samples = torch.from_numpy(self._held[: self._width(n_frames)])[None]
        power = np.power(10.0, extract(samples, self._spec, padded=True)[0].numpy() / 10.0)
        self._held = self._held[n_frames * self._spec.hop_length :]
        merged = 1
        while merged < self._merged:
            power = _merge_pairs(power)
            merged *= 2
        self._power.append(power)
        if sum(part.shape[1] for part in self._power) >= 2 * MAX_COLUMNS:
            self._power = [_merge_pairs(np.concatenate(self._power, axis=1))]
            self._merged *= 2


def _merge_pairs(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average pairs of columns, [n_mels, n] -> [n_mels, ceil(n / 2)]; an odd last column stays as it is."""
    even = power[:, ::2].copy()
    pairs = power.shape[1] // 2
    even[:, :pairs] += power[:, 1::2]
    even[:, :pairs] *= 0.5
    return even
