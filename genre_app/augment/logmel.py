"""Augmentation of a training batch of log-mel spectrograms, on the device that the batch is on.

`STEPS` is the physical path from an instrument to a recording; `apply_chain` sends a batch down it. To add a step, write an
operation ``(db [b, n_mels, frames], value [b] of each setting, spec) -> db`` and put it into `STEPS` with `step`; its settings
are the fields of `LogMelConfig` that begin with the step's name.
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
    places: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    """(step, place) -> items [b, 1, 1] to which the step is applied there; for the steps that have two places."""
    response: Tensor = field(init=False)
    """Frequency response of the device in dB [b, n_mels, 1]."""

    def draw(self, setting: str) -> Tensor:
        """Draw a value [b] for a field of `LogMelConfig`: from its range, or from - to + its value if it is one number."""
        value = getattr(self.config, setting)
        low, high = value if isinstance(value, tuple) else (-value, value)
        return uniform(low, high, (self.size,), self.generator)

    def choose(self, probability: float) -> Tensor:
        """Choose each item with this probability, bool [b, 1, 1]."""
        return (uniform(0, 1, (self.size,), self.generator) < probability)[:, None, None]

    def probability(self, name: str) -> float:
        """Return the share of the items that a step is applied to."""
        return float(getattr(self.config, f"{name}_probability"))


Change = Callable[[Tensor, Chain], Tensor]
Place = Literal["only", "early", "late"]


def step(name: str, operation: Callable[..., Tensor], *settings: str, place: Place = "only", random: bool = False) -> Change:
    """Return a step that applies an operation to ``{name}_probability`` of the items.

    Parameters
    ----------
    name : str
        Prefix of its settings in `LogMelConfig`.
    operation : callable
        Takes the batch, a value drawn for each of ``settings``, the `FeatureSpec`, and a generator if ``random``.
    *settings : str
        Names of the settings without the prefix.
    place : {"only", "early", "late"}
        A step that the list holds twice is applied early to some items and late to others, as `choose_places` draws.
    random : bool
        Whether the operation draws random values of its own.
    """

    def apply(db: Tensor, chain: Chain) -> Tensor:
        probability = chain.probability(name)
        if probability == 0:
            return db  # and draw nothing, so that the other steps draw what they did without this one
        drawn = [chain.draw(f"{name}_{setting}") for setting in settings]
        changed = operation(db, *drawn, chain.spec, *([chain.generator] if random else []))
        return torch.where(chain.choose(probability) if place == "only" else chain.places[name, place], changed, db)

    return apply


def choose_places(*names: str) -> Change:
    """Return a step that chooses the items of the steps ``names``, and for each item the early or the late place."""

    def choose(db: Tensor, chain: Chain) -> Tensor:
        for name in names:
            if chain.probability(name) > 0:
                chosen, early = chain.choose(chain.probability(name)), chain.choose(0.5)
                chain.places[name, "early"], chain.places[name, "late"] = chosen & early, chosen & ~early
        return db

    return choose


def _draw_response(db: Tensor, chain: Chain) -> Tensor:
    """Draw the device's response; for half of the items it is applied before the noise is added, for half after it."""
    size, config = chain.size, chain.config

    def adding(curve: Callable[..., Tensor], *settings: float) -> Callable[..., Tensor]:
        return lambda response, *drawn: response + curve(*settings, *drawn)

    rough = adding(spectrum.coloration, size, config.coloration_db)
    smooth = adding(spectrum.equaliser, size, config.equaliser_db, config.equaliser_knots)
    response = torch.zeros(size, chain.spec.n_mels, 1, device=db.device)
    response = step("coloration", rough, random=True)(response, chain)
    response = step("equaliser", smooth, random=True)(response, chain)
    after_noise = chain.choose(0.5)
    chain.response = step("response", adding(spectrum.band_limit), "low_hz", "high_hz", "slope_db")(response, chain)
    chain.places["response", "early"], chain.places["response", "late"] = ~after_noise, after_noise
    return db


def _respond(place: str) -> Change:
    """Return the step that applies the device's response to the items that have it at this place."""
    return lambda db, chain: torch.where(chain.places["response", place], db + chain.response * (chain.spec.power / 2.0), db)


_CLIP = ("clip", distortion.clip, "headroom_db")
_CODEC = ("codec", distortion.code, "range_db", "cutoff_hz", "scatter_db")
_GAIN_CONTROL = ("gain_control", recorder.control_gain, "target_dbfs", "seconds", "max_db")

STEPS: tuple[Change, ...] = (
    step("pitch", spectrum.pitch_shift, "semitones"),  # the instruments play in another key
    choose_places("codec", "clip"),  # an item is coded once and clipped once, early or late
    step(*_CODEC, place="early", random=True),  # the file that is played was compressed
    step(*_CLIP, place="early"),  # the loudspeaker is driven too loud
    step("reverb", room.reverberate, "direct_db", "t60_seconds"),  # an average room smears the sound
    step("room", room.play_in_room, "direct_db", "t60_seconds", random=True),  # one room with its own response and decay
    _draw_response,  # coloration by the room, equaliser, band limits of the device
    _respond("early"),  # the device's own noise does not pass its frequency response
    # steady noise of the room or the device
    step("coloured_noise", noise.add_coloured_noise, "snr_db", "slope_db", random=True),
    step("background", noise.add_background, "snr_db", random=True),  # voices and traffic
    _respond("late"),  # noise of the room passes the device's response as the music does
    step("white_noise", noise.add_white_noise, "sigma", random=True),  # the microphone's amplifier hisses
    step("gain", spectrum.gain, "db"),  # the recording level is too low or too high
    choose_places("gain_control"),  # recorders differ in the order of gain control and noise suppression
    step(*_GAIN_CONTROL, place="early"),  # the recorder turns soft passages up
    # the browser takes steady music for noise
    step("suppress", recorder.suppress, "depth_db", "excess_db", "wander_db", "scatter_db", random=True),
    step(*_GAIN_CONTROL, place="late"),  # the browser turns up what is left
    step("limit", recorder.limit, "threshold_db", "release_db"),  # the recorder avoids clipping
    step(*_CLIP, place="late"),  # the recorder clips
    step(*_CODEC, place="late", random=True),  # the recording is compressed to be sent
    step("floor", spectrum.floor, "db"),  # the recording keeps a limited dynamic range
)
"""The path from an instrument to a recording, in physical order."""


def apply_chain(db: Tensor, config: LogMelConfig, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Send a batch [b, n_mels, frames] in dB down the physical path of `STEPS`."""
    chain = Chain(config, spec, generator, len(db))
    for change in STEPS:
        db = change(db, chain)
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
    if config.mix_style_probability > 0:
        styled = regularise.mix_style(db, config.mix_style_alpha, generator)
        db = torch.where(_chosen(len(db), config.mix_style_probability, config, generator)[:, None, None], styled, db)
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
