"""Which augmentations are applied to a training batch, how often and how hard."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Generator, Tensor

from genre_app.augment import spectrogram as ops
from genre_app.augment.spectrogram import uniform
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
    gain_probability: float = Field(0.0, ge=0, le=1)
    gain_db: tuple[float, float] = (-30.0, 6.0)
    floor_probability: float = Field(0.0, ge=0, le=1)
    floor_db: tuple[float, float] = Field((50.0, 80.0), description="dynamic range that is left under the segment's maximum")


class AugmentConfig(BaseModel):
    """A share of each batch goes through the mild chain, a share through the recording chain, the rest is left alone."""

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
    mixup_probability: float = Field(0.0, ge=0, le=1, description="share of batches")
    mixup_alpha: float = Field(0.3, gt=0, le=10)


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
    n_mild, n_recorded = round(config.mild_share * len(db)), round(config.recorded_share * len(db))
    mild, recorded, rest = db.split([n_mild, n_recorded, len(db) - n_mild - n_recorded])
    if n_mild:
        mild = apply_chain(mild, config.mild, spec, generator)
    if n_recorded:
        recorded = apply_chain(recorded, config.recorded, spec, generator)
    db = torch.cat([mild, recorded, rest])
    if config.mask_probability > 0:
        masked = ops.mask(db, config.mask_bins, config.mask_frames, config.mask_count, generator)
        keep = uniform(0, 1, (len(db), 1, 1), generator) >= config.mask_probability
        db = torch.where(keep, db, masked)
    if config.mixup_probability > 0 and float(uniform(0, 1, (1,), generator)) < config.mixup_probability:
        db, targets = ops.mixup(db, targets, config.mixup_alpha, generator)
    return db, targets
