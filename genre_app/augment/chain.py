"""Which augmentations are applied to a training batch, how often and how hard."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Generator, Tensor

from genre_app.augment import spectrogram as ops
from genre_app.augment.spectrogram import uniform
from genre_app.augment.waveform import WaveformConfig
from genre_app.features import FeatureSpec


class ChainConfig(BaseModel):
    """Ranges of one chain. Each part is applied to an item with its own ``*_probability``; a range is drawn from uniformly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pitch_probability: float = Field(0.0, ge=0, le=1)
    pitch_semitones: float = Field(2.0, ge=0, le=12, description="largest shift, up or down")
    equaliser_probability: float = Field(0.0, ge=0, le=1)
    equaliser_db: float = Field(6.0, ge=0, le=40, description="largest boost or cut")
    equaliser_knots: int = Field(6, ge=2, le=32)
    colour_probability: float = Field(0.0, ge=0, le=1)
    colour_db: float = Field(3.0, ge=0, le=20, description="largest standard deviation of the bands")
    reverb_probability: float = Field(0.0, ge=0, le=1)
    reverb_direct_db: tuple[float, float] = Field((-10.0, 10.0), description="direct-to-reverberant ratio")
    reverb_t60_seconds: tuple[float, float] = (0.2, 1.2)
    band_probability: float = Field(0.0, ge=0, le=1)
    band_low_hz: tuple[float, float] = (40.0, 350.0)
    band_high_hz: tuple[float, float] = (4000.0, 11000.0)
    band_slope_db: tuple[float, float] = Field((6.0, 36.0), description="per octave")
    noise_probability: float = Field(0.0, ge=0, le=1)
    noise_snr_db: tuple[float, float] = (5.0, 40.0)
    noise_slope_db: tuple[float, float] = Field((-6.0, 0.0), description="per octave: 0 white, -3 pink, -6 brown")
    gaussian_probability: float = Field(0.0, ge=0, le=1)
    gaussian_sigma: tuple[float, float] = Field((0.001, 0.015), description="of white noise on the waveform, in full scales")
    gain_probability: float = Field(0.0, ge=0, le=1)
    gain_db: tuple[float, float] = (-30.0, 6.0)
    floor_probability: float = Field(0.0, ge=0, le=1)
    floor_db: tuple[float, float] = Field((50.0, 80.0), description="dynamic range that is left under the segment's maximum")


class AugmentConfig(BaseModel):
    """A share of each batch goes through the mild chain, a share through the recording chain, the rest is left alone.

    The name of a preset, one of `genre_app.augment.presets.PRESETS`, stands for its settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mild_share: float = Field(0.0, ge=0, le=1)
    mild: ChainConfig = ChainConfig()
    recorded_share: float = Field(0.0, ge=0, le=1)
    recorded: ChainConfig = ChainConfig()
    stretch_probability: float = Field(0.0, ge=0, le=1)
    stretch: float = Field(0.1, ge=0, le=0.5, description="largest change of tempo, 0.1 is ten per cent")
    mask_probability: float = Field(0.0, ge=0, le=1)
    mask_bins: int = Field(16, ge=0, le=512)
    mask_frames: int = Field(10, ge=0, le=512)
    mask_count: int = Field(2, ge=1, le=10)
    mixup_probability: float = Field(0.0, ge=0, le=1)
    mixup_alpha: float = Field(0.3, gt=0, le=10, description="of the beta distribution that the share is drawn from")
    waveform: WaveformConfig = Field(
        WaveformConfig(), description="changes made to the audio itself by worker processes while training goes on"
    )
    spare_rest: bool = Field(False, description="tempo, masks and mixup too leave alone the items that no chain takes")

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        from genre_app.augment.presets import PRESETS  # which are made of this class

        if given not in PRESETS:
            raise ValueError(f"there is no augmentation {given!r}; choose one of: {', '.join(PRESETS)}")
        return dict(PRESETS[given])

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        if self.mild_share + self.recorded_share > 1 + 1e-9:
            raise ValueError(f"mild_share + recorded_share must not exceed 1, got {self.mild_share} + {self.recorded_share}")
        return self


def apply_chain(db: Tensor, config: ChainConfig, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Send a batch [b, n_mels, frames] in dB down the physical path: instrument, room, device, noise, level."""
    size = len(db)

    def chosen(probability: float) -> Tensor:
        return uniform(0, 1, (size,), generator) < probability

    def either(probability: float, changed: Tensor, unchanged: Tensor) -> Tensor:
        return torch.where(chosen(probability)[:, None, None], changed, unchanged)

    def draw(bounds: tuple[float, float]) -> Tensor:
        return uniform(*bounds, (size,), generator)

    if config.pitch_probability > 0:
        semitones = uniform(-config.pitch_semitones, config.pitch_semitones, (size,), generator)
        db = ops.pitch_shift(db, semitones * chosen(config.pitch_probability), spec)
    if config.reverb_probability > 0:
        smeared = ops.reverberate(db, draw(config.reverb_direct_db), draw(config.reverb_t60_seconds), spec)
        db = either(config.reverb_probability, smeared, db)
    response = torch.zeros(size, spec.n_mels, 1, device=db.device)
    if config.colour_probability > 0:
        coloured = ops.colour(size, config.colour_db, spec, generator)
        response = response + either(config.colour_probability, coloured, torch.zeros_like(coloured))
    if config.equaliser_probability > 0:
        curve = ops.equaliser(size, config.equaliser_db, config.equaliser_knots, spec, generator)
        response = response + either(config.equaliser_probability, curve, torch.zeros_like(curve))
    early = chosen(0.5)[:, None, None]  # noise of the room passes the device as the music does, its own hiss does not
    if config.band_probability > 0:
        limits = ops.band_limit(draw(config.band_low_hz), draw(config.band_high_hz), draw(config.band_slope_db), spec)
        response = response + either(config.band_probability, limits, torch.zeros_like(limits))
    db = torch.where(early, db, db + response)
    if config.noise_probability > 0:
        noisy = ops.add_noise(db, draw(config.noise_snr_db), draw(config.noise_slope_db), spec, generator)
        db = either(config.noise_probability, noisy, db)
    db = torch.where(early, db + response, db)
    if config.gaussian_probability > 0:
        hissing = ops.add_gaussian(db, draw(config.gaussian_sigma), spec, generator)
        db = either(config.gaussian_probability, hissing, db)
    if config.gain_probability > 0:
        db = ops.gain(db, draw(config.gain_db) * chosen(config.gain_probability))
    if config.floor_probability > 0:
        floor = db.amax(dim=(1, 2), keepdim=True) - draw(config.floor_db)[:, None, None]
        db = either(config.floor_probability, torch.maximum(db, floor), db)
    return db


def augment(
    db: Tensor, targets: Tensor, config: AugmentConfig, spec: FeatureSpec, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Augment a training batch.

    Parameters
    ----------
    db : Tensor [b, n_mels, frames]
        dB; the order of the items must be random, since the chains take the first ones.
    targets : Tensor [b, genres]
        Probabilities.
    config : AugmentConfig
    spec : FeatureSpec
    generator : torch.Generator

    Returns
    -------
    db, targets : Tensor
        Of the same shapes.
    """
    n_mild, n_recorded = _shares(len(db), config)
    mild, recorded, rest = db.split([n_mild, n_recorded, len(db) - n_mild - n_recorded])
    if n_mild:
        mild = apply_chain(mild, config.mild, spec, generator)
    if n_recorded:
        recorded = apply_chain(recorded, config.recorded, spec, generator)
    db = torch.cat([mild, recorded, rest])
    if config.mask_probability > 0:
        masked = ops.mask(db, config.mask_bins, config.mask_frames, config.mask_count, generator)
        db = torch.where(_chosen(len(db), config.mask_probability, config, generator)[:, None, None], masked, db)
    if config.mixup_probability > 0:
        chosen = _chosen(len(db), config.mixup_probability, config, generator)
        db, targets = ops.mixup(db, targets, config.mixup_alpha, generator, chosen)
    return db, targets


def draw_rates(size: int, config: AugmentConfig, generator: Generator) -> Tensor:
    """Draw the tempo of each item of a training batch [size], 1.0 for those that keep theirs."""
    rates = 1.0 + uniform(-config.stretch, config.stretch, (size,), generator)
    return torch.where(_chosen(size, config.stretch_probability, config, generator), rates, 1.0)


def _shares(size: int, config: AugmentConfig) -> tuple[int, int]:
    """How many items of a batch go through the mild chain, and how many after them through the recording chain."""
    n_mild = round(config.mild_share * size)
    return n_mild, min(round(config.recorded_share * size), size - n_mild)


def _chosen(size: int, probability: float, config: AugmentConfig, generator: Generator) -> Tensor:
    """Draw which items of a batch are changed outside the chains, bool [size]."""
    chosen = uniform(0, 1, (size,), generator) < probability
    if config.spare_rest:
        chosen = chosen & (torch.arange(size, device=chosen.device) < sum(_shares(size, config)))
    return chosen
