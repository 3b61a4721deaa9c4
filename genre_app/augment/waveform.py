"""Augmentation of waveforms with audiomentations, before a spectrogram is computed.

audiomentations draws from the global generators of ``random`` and ``numpy.random``; here they are seeded for the time of a call
and put back afterwards, one call at a time.
"""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from genre_app.audio import sound_files
from genre_app.augment.ranges import Decibel, Probability
from genre_app.augment.recording import Recording, RecordingConfig

Amplitude = Annotated[float, Field(gt=0, le=1)]

_LOCK = threading.Lock()


class WaveformConfig(RecordingConfig):
    """What is done to a track's samples: pitch, tempo, what makes a recording of it, noise, gain.

    Each part has its own ``*_probability``; a range is drawn from uniformly.
    """

    pitch_probability: Probability = Field(0.0, description="share of the tracks whose pitch is shifted, at the same tempo")
    pitch_semitones: float = Field(4.0, ge=0, le=12, description="largest shift, up or down")
    stretch_probability: Probability = Field(0.0, description="share of the tracks whose tempo is changed, at the same pitch")
    stretch: float = Field(0.1, ge=0, le=0.5, description="largest change of tempo, 0.1 is ten per cent")
    background_probability: Probability = Field(0.0, description="share of the tracks over which a sound of a folder is laid")
    background_folder: Path | None = Field(None, description="folder of noises: WAV, FLAC, AIFF, Ogg, Opus or MP3 at any depth")
    background_snr_db: tuple[Decibel, Decibel] = Field((3.0, 30.0), description="mean power of the track over the sound's")
    snr_probability: Probability = Field(0.0, description="share of the tracks to which white noise of a ratio is added")
    snr_db: tuple[Decibel, Decibel] = Field((5.0, 40.0), description="mean power of the track over the noise's")
    noise_probability: Probability = Field(0.0, description="share of the tracks to which white noise of an amplitude is added")
    noise_amplitude: tuple[Amplitude, Amplitude] = Field(
        (0.001, 0.015), description="standard deviation of the noise, in full scales"
    )
    gain_probability: Probability = Field(0.0, description="share of the tracks that are made louder or softer")
    gain_db: tuple[Decibel, Decibel] = Field((-12.0, 6.0), description="by how much")
    refresh_epochs: int = Field(
        10, ge=1, le=1000, description="epochs for which a changed track is used before it is changed anew, some in each epoch"
    )

    @model_validator(mode="after")
    def _consistent(self) -> WaveformConfig:
        if self.background_probability > 0 and self.background_folder is None:
            raise ValueError("background_probability needs a background_folder to take sounds from")
        return self

    @property
    def changes(self) -> bool:
        """Whether anything may happen to a track."""
        return any(value > 0 for name, value in self if name.endswith("_probability"))


@lru_cache(maxsize=8)
def background_files(folder: Path) -> tuple[Path, ...]:
    """Sounds of a folder that can be laid over music, in the order of their names.

    Raises
    ------
    ValueError
        If the folder is missing, has none, or has one that cannot be read; one sentence.
    """
    return sound_files(folder, "background_folder", "noises")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, and give them back as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _transforms(config: WaveformConfig, seed: int) -> Iterator[Any]:
    import audiomentations as am  # here: it brings librosa and scipy, seconds that most callers need not wait

    recording = Recording(config, seed)
    if config.pitch_probability > 0:
        yield am.PitchShift(-config.pitch_semitones, config.pitch_semitones, p=config.pitch_probability)
    if config.stretch_probability > 0:
        slow, fast = 1.0 - config.stretch, 1.0 + config.stretch
        yield am.TimeStretch(slow, fast, leave_length_unchanged=False, p=config.stretch_probability)
    yield from recording.before_noise()
    if config.background_probability > 0 and config.background_folder is not None:
        files = list(background_files(config.background_folder))
        yield am.AddBackgroundNoise(files, *config.background_snr_db, p=config.background_probability)
    if config.snr_probability > 0:
        yield am.AddGaussianSNR(*config.snr_db, p=config.snr_probability)
    yield from recording.noise()
    yield from recording.device()
    if config.noise_probability > 0:
        yield am.AddGaussianNoise(*config.noise_amplitude, p=config.noise_probability)
    if config.gain_probability > 0:
        yield am.Gain(*config.gain_db, p=config.gain_probability)
    yield from recording.recorder()


def augment_waveform(samples: NDArray[np.float32], sample_rate: int, config: WaveformConfig, seed: int) -> NDArray[np.float32]:
    """Augment a track.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono.
    sample_rate : int
        Hz.
    config : WaveformConfig
    seed : int
        The same samples, config and seed give the same result.

    Returns
    -------
    numpy.ndarray, float32 [m]
        Of another length where the tempo was changed; may exceed full scale.

    Raises
    ------
    ValueError
        If the folder of backgrounds or of rooms cannot be used; one sentence.
    """
    if not config.changes:
        return samples
    transforms = list(_transforms(config, seed))
    with _LOCK, _seeded(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sounds that had to be resampled, and of silent ones
        changed = samples
        for transform in transforms:
            changed = transform(changed, sample_rate)
    return np.ascontiguousarray(changed, dtype=np.float32)
