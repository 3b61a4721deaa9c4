"""What becomes of log-mel spectrograms on the way through a room, a recorder and a browser; batched, on the batch's device.

As in `genre_app.augment.spectrogram`: dB values ``[b, bins, frames]`` in and out, one parameter per item (``[b]``), an explicit
``torch.Generator``, and nothing that waits for the device. What depends on the past of a segment, which is not at hand, takes
the segment played backwards for it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Generator, Tensor

from genre_app.augment import suppressor
from genre_app.augment.spectrogram import (
    band_centres,
    band_edges,
    band_octaves,
    equaliser,
    from_power,
    mean_power,
    normal,
    to_power,
    uniform,
    white_bands,
)
from genre_app.features import FeatureSpec

_ROOM_SECONDS = 1.2  # of a room's tail that are followed
_BEATING = 4.0  # inverse variance of the power that is reverberant only
_NEIGHBOURS = 1 / 64  # of the mel axis on either side, over which a suppressor averages what it decides by
_LINEAR_BINS = 513  # of the spectra that a distortion is computed on


def level_dbfs(db: Tensor, spec: FeatureSpec) -> Tensor:
    """Mean power of each column in dB re full scale [b, frames]: 0 for white noise of standard deviation 1."""
    level, _ = white_bands(spec, db.device)
    power = to_power(db * (2.0 / spec.power))
    edges = band_edges(spec, db.device)
    weights = (edges[2:] - edges[:-2]) / 2.0 if spec.mel_norm == "slaney" else torch.ones_like(edges[1:-1])
    return from_power(torch.einsum("bmt,m->bt", power, weights) / (level * weights).sum())


def _with_history(values: Tensor, frames: int) -> Tensor:
    """Put what comes first, backwards, before the start [..., frames + n]."""
    return torch.cat([values[..., 1 : frames + 1].flip(-1), values], dim=-1)


def _frames(seconds: float, spec: FeatureSpec) -> int:
    return max(1, round(seconds * spec.sample_rate / spec.hop_length))


def _gamma(shape: Tensor, drawn: Tensor) -> Tensor:
    """Gamma variables of mean 1 from normal ones (Wilson and Hilferty 1931); ``shape`` is the inverse of their variance."""
    spread = 1.0 / (9.0 * shape)
    return (1.0 - spread + spread.sqrt() * drawn).clamp(min=0.0).pow(3)


def _smoothed(values: Tensor, seconds: Tensor, spec: FeatureSpec) -> Tensor:
    """Follow values [b, ..., frames] with a time constant [b], from the first value on."""
    frames = torch.arange(values.shape[-1], device=values.device)
    lag = (frames[None, :] - frames[:, None]).float()  # [from, to]
    rate = (spec.hop_length / spec.sample_rate / seconds)[:, None, None]
    kernel = torch.where(lag >= 0, torch.exp(-rate * lag.clamp(min=0)), 0.0) * (1.0 - torch.exp(-rate))
    kernel[:, 0] = torch.exp(-rate[:, 0] * frames)  # what was there before was like the first
    return torch.bmm(values.reshape(len(values), -1, len(frames)), kernel).reshape(values.shape)


def _wander(shape: tuple[int, int, int], seconds: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Draw processes [b, n, frames] of mean 0 and variance 1 that forget with a time constant [b]."""
    drawn = _smoothed(normal(shape, generator), seconds, spec)
    return drawn / torch.tanh(spec.hop_length / spec.sample_rate / (2.0 * seconds)).sqrt()[:, None, None]


def _over_bands(values: Tensor, n_bins: int) -> Tensor:
    """Draw lines over the bins [b, bins, frames] through knots [b, n, frames] that are spread over them."""
    return torch.nn.functional.interpolate(values.transpose(1, 2), size=n_bins, mode="linear").transpose(1, 2)


def room(
    db: Tensor, direct_db: Tensor, t60_seconds: Tensor, spec: FeatureSpec, generator: Generator, *, evenness: float = 0.5
) -> Tensor:
    """Play each item in a room of its own.

    Unlike `reverberate`, which is what an average over many rooms does, the tail falls faster at high frequencies, and each
    band hears each delay as loud as chance has it: a steady sound is coloured, and one that ends rings on unevenly.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    direct_db : Tensor [b]
        Direct-to-reverberant energy ratio.
    t60_seconds : Tensor [b]
        Time in which the tail falls by 60 dB at 1 kHz.
    spec : FeatureSpec
    generator : torch.Generator
    evenness : float
        Share of a band's width that its sound fills: 1 for noise, less for tones, which hear fewer modes of the room.

    References
    ----------
    Schroeder 1962, Frequency-correlation functions of frequency responses in rooms.
    """
    length = min(_frames(_ROOM_SECONDS, spec), db.shape[2])
    hop_seconds = spec.hop_length / spec.sample_rate
    octaves = band_octaves(spec, db.device).clamp(min=-3.0)
    steeper = uniform(0.03, 0.2, (len(db), 1), generator)  # of T60, lost with each octave
    t60 = t60_seconds[:, None] * torch.exp(-steeper * octaves)  # [b, bins]
    rate = (math.log(1e6) * hop_seconds / t60)[:, :, None]  # nepers of power per frame
    lag = torch.arange(length, device=db.device).float()
    # The energy between two columns is heard in both, in the nearer one more.
    tail = torch.exp(-rate * lag) * (torch.exp(rate) + torch.exp(-rate) - 2.0) / rate
    tail[:, :, 0] = 1.0 - (1.0 - torch.exp(-rate[:, :, 0])) / rate[:, :, 0]
    tail = tail * to_power(-direct_db)[:, None, None]
    edges = band_edges(spec, db.device)
    independent = ((edges[2:] - edges[:-2]) / 2.0 * hop_seconds * evenness).clamp(min=1.0)[:, None]
    tail = tail * _gamma(independent, normal(tuple(tail.shape), generator))
    # Direct sound and early reflections add up as amplitudes: in one band they help each other, in the next they cancel.
    early = tail[:, :, 0]
    cross = 2.0 * early.sqrt() * normal(tuple(early.shape), generator) / (2.0 * independent[:, 0]).sqrt()
    tail[:, :, 0] = torch.maximum(1.0 + early + cross, 0.05 * (1.0 + early))
    power = _with_history(to_power(db), length - 1)
    frames = db.shape[2]
    heard = torch.zeros_like(db)
    for delay in range(length):
        heard.addcmul_(tail[:, :, delay, None], power[:, :, length - 1 - delay : length - 1 - delay + frames])
    # The modes beat against each other, the more of the sound comes from them. Columns that share samples do so together.
    shared = max(1, round(spec.n_fft / spec.hop_length))
    beating = normal((len(db), db.shape[1], frames + shared - 1), generator)
    beating = torch.nn.functional.avg_pool1d(beating, shared, stride=1) * math.sqrt(shared)
    reverberant = 1.0 / (1.0 + to_power(direct_db))
    return from_power(heard * _gamma(_BEATING / reverberant.square()[:, None, None], beating))


def bustle(db: Tensor, snr_db: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Add background noise as power whose spectrum and whose changes over time are drawn at random: voices, traffic, dishes.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    snr_db : Tensor [b]
        Mean power of the item over mean power of the noise.
    spec : FeatureSpec
    generator : torch.Generator
    """
    size, n_bins, n_frames = db.shape
    slope = uniform(-9.0, 0.0, (size, 1, 1), generator) * band_octaves(spec, db.device)[:, None]
    shape = slope + equaliser(size, 12.0, 8, spec, generator)

    def wander(knots: int, seconds: tuple[float, float]) -> Tensor:
        drawn = _wander((size, knots, n_frames), uniform(*seconds, (size,), generator), spec, generator)
        return _over_bands(drawn, n_bins)

    together = wander(1, (0.1, 1.0)) * uniform(0.0, 10.0, (size, 1, 1), generator)
    apart = wander(10, (0.05, 0.4)) * uniform(0.0, 8.0, (size, 1, 1), generator)
    noise = to_power((shape + together + apart + 2.5 * normal(tuple(db.shape), generator)).clamp(-80.0, 80.0))
    power = to_power(db)
    level = mean_power(power, spec) / mean_power(noise, spec) * to_power(-snr_db)
    return from_power(power + noise * level[:, None, None])


def suppress(
    db: Tensor,
    depth_db: Tensor,
    excess_db: Tensor,
    wander_db: Tensor,
    scatter_db: Tensor,
    spec: FeatureSpec,
    generator: Generator,
) -> Tensor:
    """Push down what is steady, as the noise suppression of a browser does to music.

    What lies less than ``excess_db`` over the lower quartile of the last seconds' levels, in its band and the ones beside it,
    is taken for noise, the more the less it does. The threshold wanders up and down as the suppressor changes its mind about
    what is speech, for all bands at once and, faster, for each part of the spectrum.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    depth_db : Tensor [b]
        By how much noise is pushed down; all of it within 2 s of the start for a suppressor that was just switched on.
    excess_db, wander_db : Tensor [b]
        Mean threshold, at which half of the depth is reached, and the standard deviation over time of what it does in all
        bands at once.
    scatter_db : Tensor [b]
        Standard deviation of what it does besides, independently in 32 parts of the mel axis.
    spec : FeatureSpec
    generator : torch.Generator

    References
    ----------
    Loizou 2013, Speech Enhancement: Theory and Practice: noise estimation by quantiles, as in the suppressor of WebRTC. The
    numbers were fitted to takes of 64 tracks through Chromium's microphone; ``python -m tests.suppressor`` compares them.
    """
    size, n_bins, n_frames = db.shape
    seconds = torch.arange(n_frames, device=db.device) * (spec.hop_length / spec.sample_rate)
    level = db * (2.0 / spec.power)
    level = level - level.mean(dim=(1, 2), keepdim=True)
    history = min(_frames(suppressor.HISTORY_SECONDS, spec), n_frames - 1)
    extended = _with_history(level, history)
    mean = torch.nn.functional.avg_pool1d(extended, history + 1, stride=1)
    variance = torch.nn.functional.avg_pool1d(extended.square(), history + 1, stride=1) - mean.square()
    lower_quartile = mean - suppressor.LOWER_QUARTILE * variance.clamp(min=0.0).sqrt()
    mind = _wander((size, 1, n_frames), torch.full((size,), suppressor.WANDER_SECONDS, device=db.device), spec, generator)
    apart = _wander(
        (size, suppressor.SCATTER_KNOTS, n_frames),
        torch.full((size,), suppressor.SCATTER_SECONDS, device=db.device),
        spec,
        generator,
    )
    apart = _over_bands(apart, n_bins) * scatter_db[:, None, None]
    threshold = excess_db[:, None, None] + wander_db[:, None, None] * mind + apart
    excess = _over_neighbours(level - lower_quartile, round(_NEIGHBOURS * n_bins)) - threshold
    running = uniform(0.0, 6.0, (size, 1), generator) - 2.0  # some were switched on with the segment's start
    adapted = 1.0 - torch.exp(-(seconds + running.clamp(min=0.0)) / suppressor.ADAPTED_SECONDS)
    gain_db = -(depth_db[:, None] * adapted)[:, None, :] * torch.sigmoid(-excess / suppressor.SLOPE_DB)
    return db + gain_db * (spec.power / 2.0)


def _over_neighbours(values: Tensor, reach: int) -> Tensor:
    """Average over so many bins [b, bins, frames] on either side, fewer at the ends."""
    width = 2 * reach + 1
    return torch.nn.functional.avg_pool2d(values[:, None], (width, 1), 1, (reach, 0), count_include_pad=False)[:, 0]


def control_gain(db: Tensor, target_dbfs: Tensor, seconds: Tensor, most_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Bring the level slowly to a target, as automatic gain control does: a soft passage grows loud, a loud one softer.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    target_dbfs : Tensor [b]
        RMS re full scale.
    seconds : Tensor [b]
        Time constant with which the gain follows.
    most_db : Tensor [b]
        Largest amplification and attenuation.
    spec : FeatureSpec
    """
    level = level_dbfs(db, spec)  # [b, frames]
    most = most_db[:, None]
    wanted = (target_dbfs[:, None] - level).clamp(min=-most, max=most)
    return db + _smoothed(wanted, seconds, spec)[:, None, :] * (spec.power / 2.0)


def limit(db: Tensor, threshold_db: Tensor, release_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Turn down what is ``threshold_db`` [b] over the item's mean level, at once, and up again by ``release_db`` a second."""
    level = level_dbfs(db, spec)
    mean = from_power(to_power(level).mean(dim=1, keepdim=True))
    over = (level - mean - threshold_db[:, None]).clamp(min=0.0)
    fall = release_db[:, None] * (spec.hop_length / spec.sample_rate) * torch.arange(db.shape[2], device=db.device)
    reduction = (over + fall).cummax(dim=1).values - fall
    return db - reduction[:, None, :] * (spec.power / 2.0)


@lru_cache(maxsize=16)
def _linear_axis(spec: FeatureSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Matrices from mel bands to the density at evenly spaced frequencies [bins, linear], and back [linear, bins]."""
    cpu = torch.device("cpu")
    centres, edges = band_centres(spec, cpu).double(), band_edges(spec, cpu).double()
    frequencies = torch.linspace(0.0, spec.sample_rate / 2.0, _LINEAR_BINS, dtype=torch.float64)
    upper = torch.searchsorted(centres, frequencies).clamp(1, len(centres) - 1)
    share = ((frequencies - centres[upper - 1]) / (centres[upper] - centres[upper - 1])).clamp(0.0, 1.0)
    inside = ((frequencies >= edges[0]) & (frequencies <= edges[-1])).double()
    there = torch.zeros(len(centres), _LINEAR_BINS, dtype=torch.float64)
    columns = torch.arange(_LINEAR_BINS)
    there[upper - 1, columns] = (1.0 - share) * inside
    there[upper, columns] += share * inside
    back = torch.zeros(_LINEAR_BINS, len(centres), dtype=torch.float64)
    spacing = float(frequencies[1])
    below = (centres / spacing).long().clamp(0, _LINEAR_BINS - 2)
    beyond = centres / spacing - below
    rows = torch.arange(len(centres))
    back[below, rows] = 1.0 - beyond
    back[below + 1, rows] += beyond
    if spec.mel_norm != "slaney":  # a band is then the sum over its width, not the mean
        widths = (edges[2:] - edges[:-2]) / 2.0
        there, back = there / widths[:, None], back * widths
    return there.float().to(device), back.float().to(device)


def clip(db: Tensor, headroom_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Do to log-mel columns what cutting off the waveform's peaks does, for a waveform that is distributed normally.

    The more of a column is cut off the softer it becomes, and what is added is spread over the frequencies like the third power
    of the waveform: sums and differences of what sounds.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    headroom_db : Tensor [b]
        Where it is cut off, re the item's RMS: 6 dB cuts off 5 % of the samples of evenly loud music.
    spec : FeatureSpec

    References
    ----------
    Bussgang 1952, Crosscorrelation functions of amplitude-distorted Gaussian signals; Price 1958, A useful theorem.
    """
    power = to_power(db * (2.0 / spec.power))
    there, back = _linear_axis(spec, db.device)
    density = power.transpose(1, 2) @ there  # [b, frames, linear]
    total = density.sum(dim=2).clamp(min=1e-20)
    ceiling = (total.mean(dim=1) * to_power(headroom_db))[:, None]
    crest = (ceiling / total).sqrt().clamp(max=6.0)  # of each column, in standard deviations
    inside = torch.erf(crest / math.sqrt(2.0))
    kept = inside - math.sqrt(2.0 / math.pi) * crest * torch.exp(-crest.square() / 2.0) + crest.square() * (1.0 - inside)
    distortion = (kept - inside.square()).clamp(min=0.0)  # of the column's power; `inside` is the gain of what is kept
    alike = torch.fft.irfft(density, dim=2)
    alike = alike / alike[:, :, :1].clamp(min=1e-30)
    spread = torch.fft.rfft(alike.pow(3), dim=2).real.clamp(min=0.0)
    spread = spread / spread.sum(dim=2, keepdim=True).clamp(min=1e-20) * (total * distortion)[:, :, None]
    clipped = power * inside.square()[:, None, :] + (spread @ back).transpose(1, 2)
    return from_power(clipped) * (spec.power / 2.0)


def code(
    db: Tensor, range_db: Tensor, cutoff_hz: Tensor, scatter_db: Tensor, spec: FeatureSpec, generator: Generator
) -> Tensor:
    """Leave out what a lossy codec has no bits for.

    That is what lies ``range_db`` [b] or more under the loudest band of its column, the deeper the more of it is lost, and
    everything over ``cutoff_hz`` [b]. What is kept is quantised: it strays by ``scatter_db`` [b].
    """
    wide = (band_octaves(spec, db.device)[None, :] - torch.log2(cutoff_hz / 1000.0)[:, None]).clamp(min=0.0)
    short = (db.amax(dim=1, keepdim=True) - range_db[:, None, None] - db).clamp(min=0.0)
    lost = (3.0 * short + 400.0 * wide[:, :, None]).clamp(max=60.0)
    return db - lost + scatter_db[:, None, None] * normal(tuple(db.shape), generator)
