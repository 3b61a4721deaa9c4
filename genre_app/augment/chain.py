"""Which augmentations are applied to a training batch, how often and how hard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Generator, Tensor

from genre_app.augment import spectrogram as ops
from genre_app.augment import spectrogram_recording as recording
from genre_app.augment.ranges import Decibel, FullScales, Hertz, Probability, RangesModel, Seconds
from genre_app.augment.spectrogram import uniform
from genre_app.augment.waveform import WaveformConfig
from genre_app.features import FeatureSpec


class ChainConfig(RangesModel):
    """Ranges of one chain. Each part is applied to an item with its own ``*_probability``; a range is drawn from uniformly."""

    pitch_probability: Probability = 0.0
    pitch_semitones: float = Field(2.0, ge=0, le=12, description="largest shift, up or down")
    equaliser_probability: Probability = 0.0
    equaliser_db: float = Field(6.0, ge=0, le=40, description="largest boost or cut")
    equaliser_knots: int = Field(6, ge=2, le=32, description="points through which its curve goes")
    colour_probability: Probability = 0.0
    colour_db: float = Field(3.0, ge=0, le=20, description="largest standard deviation of the bands")
    reverb_probability: Probability = 0.0
    reverb_direct_db: tuple[Decibel, Decibel] = Field((-10.0, 10.0), description="direct-to-reverberant ratio")
    reverb_t60_seconds: tuple[Seconds, Seconds] = Field((0.2, 1.2), description="reverberation time")
    band_probability: Probability = 0.0
    band_low_hz: tuple[Hertz, Hertz] = Field((40.0, 350.0), description="where the band begins")
    band_high_hz: tuple[Hertz, Hertz] = Field((4000.0, 11000.0), description="where it ends")
    band_slope_db: tuple[Decibel, Decibel] = Field((6.0, 36.0), description="per octave")
    noise_probability: Probability = 0.0
    noise_snr_db: tuple[Decibel, Decibel] = Field((5.0, 40.0), description="the music's power over the noise's")
    noise_slope_db: tuple[Decibel, Decibel] = Field((-6.0, 0.0), description="per octave: 0 white, -3 pink, -6 brown")
    gaussian_probability: Probability = 0.0
    gaussian_sigma: tuple[FullScales, FullScales] = Field(
        (0.001, 0.015), description="of white noise on the waveform, in full scales"
    )
    gain_probability: Probability = 0.0
    gain_db: tuple[Decibel, Decibel] = Field((-30.0, 6.0), description="change of level")
    room_probability: Probability = 0.0
    room_direct_db: tuple[Decibel, Decibel] = Field((-12.0, 6.0), description="direct-to-reverberant ratio")
    room_t60_seconds: tuple[Seconds, Seconds] = Field((0.25, 1.1), description="at 1 kHz; shorter above")
    bustle_probability: Probability = 0.0
    bustle_snr_db: tuple[Decibel, Decibel] = Field((3.0, 30.0), description="of noise that changes over time and frequency")
    suppress_probability: Probability = 0.0
    suppress_depth_db: tuple[Decibel, Decibel] = Field((12.0, 21.0), description="by how much steady bands are pushed down")
    suppress_excess_db: tuple[Decibel, Decibel] = Field(
        (-2.0, 11.0), description="over the lower quartile of a band's last levels, what counts as steady"
    )
    suppress_wander_db: tuple[Decibel, Decibel] = Field((1.0, 4.0), description="standard deviation of that over time")
    suppress_scatter_db: tuple[Decibel, Decibel] = Field((1.0, 5.0), description="standard deviation of that between bands")
    control_probability: Probability = 0.0
    control_target_dbfs: tuple[Decibel, Decibel] = Field((-26.0, -12.0), description="level that gain control aims at")
    control_seconds: tuple[Seconds, Seconds] = Field((0.5, 4.0), description="time constant of the gain")
    control_most_db: tuple[Decibel, Decibel] = Field((5.0, 30.0), description="most that it turns up or down")
    limit_probability: Probability = 0.0
    limit_threshold_db: tuple[Decibel, Decibel] = Field((-8.0, 3.0), description="over the mean level, what is turned down")
    limit_release_db: tuple[Decibel, Decibel] = Field((3.0, 60.0), description="a second, by which it is turned up again")
    clip_probability: Probability = 0.0
    clip_headroom_db: tuple[Decibel, Decibel] = Field((0.0, 12.0), description="over the RMS, where peaks are cut off")
    code_probability: Probability = 0.0
    code_range_db: tuple[Decibel, Decibel] = Field((25.0, 60.0), description="under a column's maximum, where a codec gives up")
    code_cutoff_hz: tuple[Hertz, Hertz] = Field((4500.0, 16000.0), description="where a codec's band ends")
    code_scatter_db: tuple[Decibel, Decibel] = Field((0.3, 3.0), description="by how much quantised bands stray")
    floor_probability: Probability = 0.0
    floor_db: tuple[Decibel, Decibel] = Field((50.0, 80.0), description="dynamic range that is left under the maximum")


class AugmentConfig(BaseModel):
    """A share of each batch goes through the mild chain, a share through the recording chain, the rest is left alone.

    The name of a preset, one of `genre_app.augment.presets.PRESETS`, stands for its settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mild_share: float = Field(0.0, ge=0, le=1, description="share of each batch that goes through the mild chain")
    mild: ChainConfig = ChainConfig()
    recorded_share: float = Field(0.0, ge=0, le=1, description="share of each batch that goes through the recording chain")
    recorded: ChainConfig = ChainConfig()
    stretch_probability: float = Field(0.0, ge=0, le=1)
    stretch: float = Field(0.1, ge=0, le=0.5, description="largest change of tempo, 0.1 is ten per cent")
    mask_probability: float = Field(0.0, ge=0, le=1)
    mask_bins: int = Field(16, ge=0, le=512, description="most bands that one stripe hides")
    mask_frames: int = Field(10, ge=0, le=512, description="most frames that one stripe hides")
    mask_count: int = Field(2, ge=1, le=10, description="stripes of each kind")
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
        from genre_app.augment.presets import PRESETS

        if given not in PRESETS:
            raise ValueError(f"there is no augmentation {given!r}; choose one of: {', '.join(PRESETS)}")
        return dict(PRESETS[given])

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        if self.mild_share + self.recorded_share > 1 + 1e-9:
            raise ValueError(f"mild_share + recorded_share must not exceed 1, got {self.mild_share} + {self.recorded_share}")
        return self


@dataclass(frozen=True)
class _Draws:
    """What is drawn for each item of a batch."""

    size: int
    generator: Generator

    def chosen(self, probability: float) -> Tensor:
        return uniform(0, 1, (self.size,), self.generator) < probability

    def either(self, probability: float, changed: Tensor, unchanged: Tensor) -> Tensor:
        return torch.where(self.chosen(probability)[:, None, None], changed, unchanged)

    def within(self, bounds: tuple[float, float]) -> Tensor:
        return uniform(*bounds, (self.size,), self.generator)

    def early_or_late(self, probability: float) -> tuple[Tensor, Tensor]:
        """Choose items, and for each of them one of two places in the chain."""
        chosen, early = self.chosen(probability)[:, None, None], self.chosen(0.5)[:, None, None]
        return chosen & early, chosen & ~early


def apply_chain(db: Tensor, config: ChainConfig, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Send a batch [b, n_mels, frames] in dB down the physical path: instrument, file, loudspeaker, room, device, recorder."""
    size = len(db)
    draws = _Draws(size, generator)
    draw, either = draws.within, draws.either
    if config.pitch_probability > 0:
        semitones = uniform(-config.pitch_semitones, config.pitch_semitones, (size,), generator)
        db = ops.pitch_shift(db, semitones * draws.chosen(config.pitch_probability), spec)
    # A codec and clipping come twice: the file that is played, and what is sent; the loudspeaker, and the recorder.
    coded = draws.early_or_late(config.code_probability) if config.code_probability > 0 else None
    clipped = draws.early_or_late(config.clip_probability) if config.clip_probability > 0 else None
    if coded is not None:
        db = torch.where(coded[0], _code(db, config, spec, draws), db)
    if clipped is not None:
        db = torch.where(clipped[0], recording.clip(db, draw(config.clip_headroom_db), spec), db)
    if config.reverb_probability > 0:
        smeared = ops.reverberate(db, draw(config.reverb_direct_db), draw(config.reverb_t60_seconds), spec)
        db = either(config.reverb_probability, smeared, db)
    if config.room_probability > 0:
        heard = recording.room(db, draw(config.room_direct_db), draw(config.room_t60_seconds), spec, generator)
        db = either(config.room_probability, heard, db)
    response = torch.zeros(size, spec.n_mels, 1, device=db.device)
    if config.colour_probability > 0:
        coloured = ops.colour(size, config.colour_db, spec, generator)
        response = response + either(config.colour_probability, coloured, torch.zeros_like(coloured))
    if config.equaliser_probability > 0:
        curve = ops.equaliser(size, config.equaliser_db, config.equaliser_knots, spec, generator)
        response = response + either(config.equaliser_probability, curve, torch.zeros_like(curve))
    early = draws.chosen(0.5)[:, None, None]  # noise of the room passes the device as the music does, its own hiss does not
    if config.band_probability > 0:
        limits = ops.band_limit(draw(config.band_low_hz), draw(config.band_high_hz), draw(config.band_slope_db), spec)
        response = response + either(config.band_probability, limits, torch.zeros_like(limits))
    db = torch.where(early, db, db + response)
    if config.noise_probability > 0:
        noisy = ops.add_noise(db, draw(config.noise_snr_db), draw(config.noise_slope_db), spec, generator)
        db = either(config.noise_probability, noisy, db)
    if config.bustle_probability > 0:
        noisy = recording.bustle(db, draw(config.bustle_snr_db), spec, generator)
        db = either(config.bustle_probability, noisy, db)
    db = torch.where(early, db + response, db)
    if config.gaussian_probability > 0:
        hissing = ops.add_gaussian(db, draw(config.gaussian_sigma), spec, generator)
        db = either(config.gaussian_probability, hissing, db)
    if config.gain_probability > 0:
        db = ops.gain(db, draw(config.gain_db) * draws.chosen(config.gain_probability))
    db = _process(db, config, spec, draws)
    if clipped is not None:
        db = torch.where(clipped[1], recording.clip(db, draw(config.clip_headroom_db), spec), db)
    if coded is not None:
        db = torch.where(coded[1], _code(db, config, spec, draws), db)
    if config.floor_probability > 0:
        floor = db.amax(dim=(1, 2), keepdim=True) - draw(config.floor_db)[:, None, None]
        db = either(config.floor_probability, torch.maximum(db, floor), db)
    return db


def _process(db: Tensor, config: ChainConfig, spec: FeatureSpec, draws: _Draws) -> Tensor:
    """Apply what a recorder or a browser does on purpose: its gain follows the level before noise is suppressed, or after."""

    def control(db: Tensor) -> Tensor:
        target, seconds = draws.within(config.control_target_dbfs), draws.within(config.control_seconds)
        return recording.control_gain(db, target, seconds, draws.within(config.control_most_db), spec)

    controlled = draws.early_or_late(config.control_probability) if config.control_probability > 0 else None
    if controlled is not None:
        db = torch.where(controlled[0], control(db), db)
    if config.suppress_probability > 0:
        depth, excess = draws.within(config.suppress_depth_db), draws.within(config.suppress_excess_db)
        wander, scatter = draws.within(config.suppress_wander_db), draws.within(config.suppress_scatter_db)
        suppressed = recording.suppress(db, depth, excess, wander, scatter, spec, draws.generator)
        db = draws.either(config.suppress_probability, suppressed, db)
    if controlled is not None:
        db = torch.where(controlled[1], control(db), db)
    if config.limit_probability > 0:
        limited = recording.limit(db, draws.within(config.limit_threshold_db), draws.within(config.limit_release_db), spec)
        db = draws.either(config.limit_probability, limited, db)
    return db


def _code(db: Tensor, config: ChainConfig, spec: FeatureSpec, draws: _Draws) -> Tensor:
    range_db, cutoff_hz = draws.within(config.code_range_db), draws.within(config.code_cutoff_hz)
    return recording.code(db, range_db, cutoff_hz, draws.within(config.code_scatter_db), spec, draws.generator)


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
