"""Reverberation of log-mel spectrograms."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from genre_app.augment.logmel_ops import scale
from genre_app.features import FeatureSpec

_TAIL_SECONDS = 1.2  # length of the tail that is computed; the cost grows with it
_STEEPER = (0.03, 0.2)  # share of the reverberation time lost with each octave, the same range as for waveforms
_LOWEST_OCTAVE = -3.0  # below 125 Hz the reverberation time no longer grows
_LEAST_EARLY = 0.05  # share of the early power that remains where reflections cancel the direct sound
# Share of a band's width that music fills: 1 for noise, less for tones, which excite fewer modes of the room. Tests compare the
# deviation between bands with convolution.
_FILLED = 0.5
# Inverse variance of the power of a band that is fully reverberant. Tests compare the resulting deviation with convolution.
_BEATING = 4.0


def reverberate(db: Tensor, direct_db: Tensor, t60_seconds: Tensor, spec: FeatureSpec) -> Tensor:
    """Smear the power of each item over time with a tail that decays exponentially, the same in all bands.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    direct_db : Tensor [b]
        Direct-to-reverberant energy ratio.
    t60_seconds : Tensor [b]
        Time in which the tail falls by 60 dB.
    spec : FeatureSpec
    """
    n_frames = db.shape[2]
    frames = torch.arange(n_frames, device=db.device)
    lag = (frames[None, :] - frames[:, None]).float()  # [from, to]
    rate = math.log(1e6) * spec.hop_length / spec.sample_rate / t60_seconds  # nepers of power per frame [b]
    tail = torch.where(lag >= 0, torch.exp(-rate[:, None, None] * lag.clamp(min=0)), 0.0)
    tail = tail * ((1.0 - torch.exp(-rate)) * scale.to_power(-direct_db))[:, None, None]
    power = torch.bmm(scale.to_power(db * (2.0 / spec.power)), tail + torch.eye(n_frames, device=db.device))
    return scale.from_power(power) * (spec.power / 2.0)


def play_in_room(db: Tensor, direct_db: Tensor, t60_seconds: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Play each item in a random room of its own.

    `reverberate` applies the average of many rooms. Here the tail decays faster at high frequencies, and its level is random
    for each band and delay: a steady sound gets a random frequency response, and a sound that stops decays unevenly.

    Parameters
    ----------
    db, direct_db, spec
        As for `reverberate`.
    t60_seconds : Tensor [b]
        Time in which the tail falls by 60 dB at 1 kHz.
    generator : torch.Generator

    References
    ----------
    Schroeder 1962, Frequency-correlation functions of frequency responses in rooms.
    """
    length = min(scale.frame_count(_TAIL_SECONDS, spec), db.shape[2])
    independent = (scale.band_widths(spec, db.device) * (spec.hop_length / spec.sample_rate) * _FILLED).clamp(min=1.0)[:, None]
    tail = _tail(length, direct_db, t60_seconds, independent, spec, generator)
    # The sound before the segment is unknown: reflect its start.
    power = torch.nn.functional.pad(scale.to_power(db * (2.0 / spec.power)), (length - 1, 0), mode="reflect")
    frames = db.shape[2]
    total = torch.zeros_like(db)
    for delay in range(length):
        total.addcmul_(tail[:, :, delay, None], power[:, :, length - 1 - delay : length - 1 - delay + frames])
    # The modes of the room beat against each other: the larger the reverberant share, the more the power fluctuates. Frames
    # that share samples fluctuate together.
    shared = max(1, round(spec.n_fft / spec.hop_length))
    beating = scale.normal((len(db), db.shape[1], frames + shared - 1), generator)
    beating = torch.nn.functional.avg_pool1d(beating, shared, stride=1) * math.sqrt(shared)
    reverberant = 1.0 / (1.0 + scale.to_power(direct_db))
    total *= scale.gamma(_BEATING / reverberant.square()[:, None, None], beating)
    return scale.from_power(total) * (spec.power / 2.0)


def _tail(
    length: int, direct_db: Tensor, t60_seconds: Tensor, independent: Tensor, spec: FeatureSpec, generator: Generator
) -> Tensor:
    """Draw the power of a room's response [b, bins, length] by delay in frames; the direct sound has power 1.

    ``independent`` [bins, 1] is the number of independent values that the power of a band is the mean of.
    """
    octaves = scale.band_octaves(spec, direct_db.device).clamp(min=_LOWEST_OCTAVE)
    steeper = scale.uniform(*_STEEPER, (len(direct_db), 1), generator)
    t60 = t60_seconds[:, None] * torch.exp(-steeper * octaves)  # [b, bins]
    rate = (math.log(1e6) * (spec.hop_length / spec.sample_rate) / t60)[:, :, None]  # nepers of power per frame
    lag = torch.arange(length, device=direct_db.device).float()
    # Sound that arrives between two frames adds to both, more to the nearer one: the decay times a triangle, integrated.
    tail = torch.exp(-rate * lag) * (torch.exp(rate) + torch.exp(-rate) - 2.0) / rate
    tail[:, :, 0] = 1.0 - (1.0 - torch.exp(-rate[:, :, 0])) / rate[:, :, 0]
    tail = tail * scale.to_power(-direct_db)[:, None, None]
    tail = tail * scale.gamma(independent, scale.normal(tuple(tail.shape), generator))
    # Direct sound and early reflections add up as amplitudes: they amplify each other in one band and cancel in the next.
    early = tail[:, :, 0]
    cross = 2.0 * early.sqrt() * scale.normal(tuple(early.shape), generator) / (2.0 * independent[:, 0]).sqrt()
    tail[:, :, 0] = torch.maximum(1.0 + early + cross, _LEAST_EARLY * (1.0 + early))
    return tail
