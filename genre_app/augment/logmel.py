"""Augmentation of a training batch of log-mel spectrograms, on the device that the batch is on.

`STEPS` is the physical path from an instrument to a recording; `apply_chain` sends a batch down it. To add a step, write a
function ``(db [b, n_mels, frames], Chain) -> db`` and put it into `STEPS`; its settings are the fields of `LogMelConfig` that
begin with the step's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor

from genre_app.augment.config import AugmentConfig, LogMelConfig
from genre_app.augment.logmel_ops import distortion, noise, recorder, regularise, room, spectrum
from genre_app.augment.logmel_ops.scale import uniform
from genre_app.features import FeatureSpec


@dataclass
class Chain:
    """What the steps need beside the batch: the settings, and values drawn for each item."""

    config: LogMelConfig
    spec: FeatureSpec
    generator: Generator
    size: int
    places: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Step -> place -> items [b, 1, 1] to which the step is applied there; for the steps that have two places."""
    response: Tensor = field(init=False)
    """Frequency response of the device in dB [b, n_mels, 1]."""

    def draw(self, setting: str) -> Tensor:
        """Draw a value [b] from the range that is a field of `LogMelConfig`."""
        low, high = getattr(self.config, setting)
        return uniform(low, high, (self.size,), self.generator)

    def choose(self, probability: float) -> Tensor:
        """Choose each item with this probability, bool [b, 1, 1]."""
        return (uniform(0, 1, (self.size,), self.generator) < probability)[:, None, None]

    def probability(self, name: str) -> float:
        """Return the share of the items that a step is applied to."""
        return float(getattr(self.config, f"{name}_probability"))


Change = Callable[[Tensor, Chain], Tensor]


@dataclass(frozen=True)
class Step:
    """Apply a change to ``{name}_probability`` of the items.

    Attributes
    ----------
    name : str
        Prefix of its settings in `LogMelConfig`.
    change : callable
    place : {"only", "early", "late"}
        A step that the list holds twice is applied early to some items and late to others, as `choose_places` draws.
    """

    name: str
    change: Change
    place: Literal["only", "early", "late"] = "only"

    def __call__(self, db: Tensor, chain: Chain) -> Tensor:
        """Return the batch with the chosen items changed."""
        probability = chain.probability(self.name)
        if probability == 0:
            return db  # and draw nothing, so that the other steps draw what they did without this one
        if self.place != "only":
            return torch.where(chain.places[self.name][self.place], self.change(db, chain), db)
        changed = self.change(db, chain)
        return torch.where(chain.choose(probability), changed, db)


def choose_places(*names: str) -> Change:
    """Return a step that chooses the items of the steps ``names``, and for each item the early or the late place."""

    def choose(db: Tensor, chain: Chain) -> Tensor:
        for name in names:
            if chain.probability(name) > 0:
                chosen, early = chain.choose(chain.probability(name)), chain.choose(0.5)
                chain.places[name] = {"early": chosen & early, "late": chosen & ~early}
        return db

    return choose


def _pitch(db: Tensor, chain: Chain) -> Tensor:
    most = chain.config.pitch_semitones
    return spectrum.pitch_shift(db, uniform(-most, most, (chain.size,), chain.generator), chain.spec)


def _codec(db: Tensor, chain: Chain) -> Tensor:
    range_db, cutoff_hz, scatter_db = map(chain.draw, ("codec_range_db", "codec_cutoff_hz", "codec_scatter_db"))
    return distortion.code(db, range_db, cutoff_hz, scatter_db, chain.spec, chain.generator)


def _clip(db: Tensor, chain: Chain) -> Tensor:
    return distortion.clip(db, chain.draw("clip_headroom_db"), chain.spec)


def _reverb(db: Tensor, chain: Chain) -> Tensor:
    return room.reverberate(db, chain.draw("reverb_direct_db"), chain.draw("reverb_t60_seconds"), chain.spec)


def _room(db: Tensor, chain: Chain) -> Tensor:
    direct_db, t60_seconds = chain.draw("room_direct_db"), chain.draw("room_t60_seconds")
    return room.play_in_room(db, direct_db, t60_seconds, chain.spec, chain.generator)


def _coloration(response: Tensor, chain: Chain) -> Tensor:
    return response + spectrum.coloration(chain.size, chain.config.coloration_db, chain.spec, chain.generator)


def _equaliser(response: Tensor, chain: Chain) -> Tensor:
    config = chain.config
    return response + spectrum.equaliser(chain.size, config.equaliser_db, config.equaliser_knots, chain.spec, chain.generator)


def _band_limit(response: Tensor, chain: Chain) -> Tensor:
    low_hz, high_hz, slope_db = map(chain.draw, ("response_low_hz", "response_high_hz", "response_slope_db"))
    return response + spectrum.band_limit(low_hz, high_hz, slope_db, chain.spec)


def _draw_response(db: Tensor, chain: Chain) -> Tensor:
    """Draw the device's response; for half of the items it is applied before the noise is added, for half after it."""
    response = torch.zeros(chain.size, chain.spec.n_mels, 1, device=db.device)
    for curve in (Step("coloration", _coloration), Step("equaliser", _equaliser)):
        response = curve(response, chain)
    after_noise = chain.choose(0.5)
    chain.response = Step("response", _band_limit)(response, chain)
    chain.places["response"] = {"early": ~after_noise, "late": after_noise}
    return db


def _respond(place: str) -> Change:
    """Return the step that applies the device's response to the items that have it at this place."""
    return lambda db, chain: torch.where(chain.places["response"][place], db + chain.response, db)


def _coloured_noise(db: Tensor, chain: Chain) -> Tensor:
    snr_db, slope_db = chain.draw("coloured_noise_snr_db"), chain.draw("coloured_noise_slope_db")
    return noise.add_coloured_noise(db, snr_db, slope_db, chain.spec, chain.generator)


def _background(db: Tensor, chain: Chain) -> Tensor:
    return noise.add_background(db, chain.draw("background_snr_db"), chain.spec, chain.generator)


def _white_noise(db: Tensor, chain: Chain) -> Tensor:
    return noise.add_white_noise(db, chain.draw("white_noise_sigma"), chain.spec, chain.generator)


def _gain(db: Tensor, chain: Chain) -> Tensor:
    return spectrum.gain(db, chain.draw("gain_db"))


def _gain_control(db: Tensor, chain: Chain) -> Tensor:
    target_dbfs, seconds = chain.draw("gain_control_target_dbfs"), chain.draw("gain_control_seconds")
    return recorder.control_gain(db, target_dbfs, seconds, chain.draw("gain_control_max_db"), chain.spec)


def _suppress(db: Tensor, chain: Chain) -> Tensor:
    depth_db, excess_db = chain.draw("suppress_depth_db"), chain.draw("suppress_excess_db")
    wander_db, scatter_db = chain.draw("suppress_wander_db"), chain.draw("suppress_scatter_db")
    return recorder.suppress(db, depth_db, excess_db, wander_db, scatter_db, chain.spec, chain.generator)


def _limit(db: Tensor, chain: Chain) -> Tensor:
    return recorder.limit(db, chain.draw("limit_threshold_db"), chain.draw("limit_release_db"), chain.spec)


def _floor(db: Tensor, chain: Chain) -> Tensor:
    return torch.maximum(db, db.amax(dim=(1, 2), keepdim=True) - chain.draw("floor_db")[:, None, None])


STEPS: tuple[Change, ...] = (
    Step("pitch", _pitch),  # the instruments play in another key
    choose_places("codec", "clip"),  # an item is coded once and clipped once, early or late
    Step("codec", _codec, "early"),  # the file that is played was compressed
    Step("clip", _clip, "early"),  # the loudspeaker is driven too loud
    Step("reverb", _reverb),  # an average room smears the sound
    Step("room", _room),  # one room, with a response and a decay of its own
    _draw_response,  # coloration by the room, equaliser, band limits of the device
    _respond("early"),  # the device's own noise does not pass its frequency response
    Step("coloured_noise", _coloured_noise),  # steady noise of the room or the device
    Step("background", _background),  # voices and traffic
    _respond("late"),  # noise of the room passes the device's response as the music does
    Step("white_noise", _white_noise),  # the microphone's amplifier hisses
    Step("gain", _gain),  # the recording level is too low or too high
    choose_places("gain_control"),  # recorders differ in the order of gain control and noise suppression
    Step("gain_control", _gain_control, "early"),  # the recorder turns soft passages up
    Step("suppress", _suppress),  # the browser takes steady music for noise
    Step("gain_control", _gain_control, "late"),  # the browser turns up what is left
    Step("limit", _limit),  # the recorder avoids clipping
    Step("clip", _clip, "late"),  # the recorder clips
    Step("codec", _codec, "late"),  # the recording is compressed to be sent
    Step("floor", _floor),  # the recording keeps a limited dynamic range
)
"""The path from an instrument to a recording, in physical order."""


def apply_chain(db: Tensor, config: LogMelConfig, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Send a batch [b, n_mels, frames] in dB down the physical path of `STEPS`."""
    chain = Chain(config, spec, generator, len(db))
    for step in STEPS:
        db = step(db, chain)
    return db


def augment(
    db: Tensor, targets: Tensor, config: AugmentConfig, spec: FeatureSpec, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Augment a training batch.

    Parameters
    ----------
    db : Tensor [b, n_mels, frames]
        dB. The items must be in random order, since the chains take the first ones.
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
        masked = regularise.mask(db, config.mask_bins, config.mask_frames, config.mask_count, generator)
        db = torch.where(_chosen(len(db), config.mask_probability, config, generator)[:, None, None], masked, db)
    if config.mixup_probability > 0:
        chosen = _chosen(len(db), config.mixup_probability, config, generator)
        db, targets = regularise.mixup(db, targets, config.mixup_alpha, generator, chosen)
    return db, targets


def draw_rates(size: int, config: AugmentConfig, generator: Generator) -> Tensor:
    """Draw the tempo of each item of a training batch [size]; 1.0 leaves it unchanged."""
    rates = 1.0 + uniform(-config.stretch, config.stretch, (size,), generator)
    return torch.where(_chosen(size, config.stretch_probability, config, generator), rates, 1.0)


def _shares(size: int, config: AugmentConfig) -> tuple[int, int]:
    """Return how many items of a batch go through the mild chain, and how many after them through the recording chain."""
    n_mild = round(config.mild_share * size)
    return n_mild, min(round(config.recorded_share * size), size - n_mild)


def _chosen(size: int, probability: float, config: AugmentConfig, generator: Generator) -> Tensor:
    """Choose the items of a batch that are changed outside the chains, bool [size]."""
    chosen = uniform(0, 1, (size,), generator) < probability
    if config.spare_rest:
        chosen = chosen & (torch.arange(size, device=chosen.device) < sum(_shares(size, config)))
    return chosen
