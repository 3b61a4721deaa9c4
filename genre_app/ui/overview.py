"""A picture's worth of a clip's spectrogram, gathered while the clip is classified.

The clip is decoded once: the samples that go to the network pass by here. However long the clip, no more than `MAX_COLUMNS`
columns are kept; when they are full, neighbours are merged and each column stands for twice the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.audio import AudioStream, Clip
from genre_app.checkpoint import Checkpoint
from genre_app.features import FeatureSpec, extract
from genre_app.predict import Prediction, classify
from genre_app.vote import DEFAULT_VOTE

MAX_COLUMNS = 2048
_CHUNK_FRAMES = 512  # columns computed at once
_HOP_SECONDS = 0.024  # a 30 s clip has about as many columns as a wide page has pixels


@dataclass(frozen=True)
class Overview:
    """Log-mel columns of a whole clip.

    Attributes
    ----------
    db : numpy.ndarray, float32 [n_mels, columns]
        dB re 1.0.
    column_seconds : float
        Time from one column to the next; the first is centred on 0 s.
    spec : FeatureSpec
        Mel scale and edges of the rows.
    """

    db: NDArray[np.float32]
    column_seconds: float
    spec: FeatureSpec


class OverviewTap:
    """Stands between a clip and `classify`, hands the samples on, and keeps what the figure shows.

    Parameters
    ----------
    audio : Clip or AudioStream
    """

    def __init__(self, audio: Clip | AudioStream) -> None:
        self._audio = audio
        rate = audio.sample_rate
        n_fft = 1 << max(9, round(np.log2(rate * 0.093)))  # 93 ms: 2048 samples at 22 050 Hz
        self._spec = FeatureSpec(
            sample_rate=rate, n_fft=n_fft, hop_length=max(16, round(rate * _HOP_SECONDS)), fmax=rate / 2, top_db=200.0
        )
        self._held = np.zeros(n_fft // 2, np.float32)  # zeros before the clip, as for the features
        self._power: list[NDArray[np.float32]] = []  # each [n_mels, columns]
        self._merged = 1  # STFT columns to a column kept

    @property
    def name(self) -> str:
        """Name of the file."""
        return self._audio.name

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._audio.sample_rate

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the decoder has to say; complete once the blocks are consumed."""
        return self._audio.warnings

    def classify(self, checkpoint: Checkpoint, *, vote: str = DEFAULT_VOTE, overlap: float | None = None) -> Prediction:
        """Classify the audio that passes by; parameters and errors as those of `genre_app.predict.classify`."""
        # `classify` asks for what stands above and the blocks, no more.
        return classify(cast(AudioStream, self), checkpoint, vote=vote, overlap=overlap)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the clip's samples, float32 [n]; once."""
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
        """Return what has gone by."""
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
    """Mean of neighbouring columns [n_mels, n] -> [n_mels, ceil(n / 2)]; an odd last one stays as it is."""
    even = power[:, ::2].copy()
    pairs = power.shape[1] // 2
    even[:, :pairs] += power[:, 1::2]
    even[:, :pairs] *= 0.5
    return even
