"""Noise added to log-mel spectrograms as power."""

from __future__ import annotations

import math

from torch import Generator, Tensor

from genre_app.augment.logmel_ops import scale
from genre_app.augment.logmel_ops.spectrum import equaliser
from genre_app.features import FeatureSpec

_EXPONENTIAL_DB = 5.57  # standard deviation in dB of an exponential variable: 10 / ln(10) * pi / sqrt(6)

# Ranges of background noise, chosen to cover voices, traffic and dishes. No measurement stands behind them.
_TILT_DB = (-9.0, 0.0)  # slope of the spectrum per octave
_SHAPE_DB, _SHAPE_KNOTS = 12.0, 8  # random response on top of the slope
_COMMON_SECONDS, _COMMON_DB = (0.1, 1.0), (0.0, 10.0)  # correlation time and deviation of the level of all bands at once
_BAND_SECONDS, _BAND_DB, _BAND_KNOTS = (0.05, 0.4), (0.0, 8.0), 10  # the same for parts of the mel axis
_FLUTTER_DB = 2.5  # standard deviation of each value by itself
_MOST_DB = 80.0  # keeps the power of one value finite in float32


def add_coloured_noise(db: Tensor, snr_db: Tensor, slope_db: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Add steady coloured noise.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    snr_db : Tensor [b]
        Mean power of the item over mean power of the noise.
    slope_db : Tensor [b]
        Slope of the noise's spectrum in dB per octave: 0 white, -3 pink, -6 brown.
    spec : FeatureSpec
    generator : torch.Generator
    """
    octaves = scale.band_octaves(spec, db.device)
    # The power of a band of k FFT bins fluctuates like the mean of k exponential variables: in dB, with a deviation of about
    # 5.57 / sqrt(k). The second term of `flutter` keeps the mean power unchanged by the fluctuation.
    independent = (scale.band_widths(spec, db.device) * spec.n_fft / spec.sample_rate).clamp(min=1.0)
    spread_db = (_EXPONENTIAL_DB / independent.sqrt())[:, None]
    flutter = scale.normal(tuple(db.shape), generator) * spread_db - spread_db.square() * (math.log(10.0) / 20.0)
    return _add_at_ratio(db, scale.to_power(slope_db[:, None, None] * octaves[:, None] + flutter), snr_db, spec)


def add_background(db: Tensor, snr_db: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Add background noise, such as voices or traffic, whose random spectrum changes over time.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    snr_db : Tensor [b]
        Mean power of the item over mean power of the noise.
    spec : FeatureSpec
    generator : torch.Generator
    """
    size, n_bins, n_frames = db.shape
    slope = scale.uniform(*_TILT_DB, (size, 1, 1), generator) * scale.band_octaves(spec, db.device)[:, None]
    shape = slope + equaliser(size, _SHAPE_DB, _SHAPE_KNOTS, spec, generator)

    def changes(knots: int, seconds: tuple[float, float], spread_db: tuple[float, float]) -> Tensor:
        drawn = scale.random_walk((size, knots, n_frames), scale.uniform(*seconds, (size,), generator), spec, generator)
        return scale.over_bands(drawn, n_bins) * scale.uniform(*spread_db, (size, 1, 1), generator)

    common = changes(1, _COMMON_SECONDS, _COMMON_DB)
    of_bands = changes(_BAND_KNOTS, _BAND_SECONDS, _BAND_DB)
    flutter = _FLUTTER_DB * scale.normal(tuple(db.shape), generator)
    return _add_at_ratio(db, scale.to_power((shape + common + of_bands + flutter).clamp(-_MOST_DB, _MOST_DB)), snr_db, spec)


def _add_at_ratio(db: Tensor, density: Tensor, snr_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Add noise of a density [b, bins, frames], scaled so that the mean power of each item is ``snr_db`` [b] higher."""
    power = scale.to_power(db * (2.0 / spec.power))
    noise = density * (scale.band_widths(spec, db.device) / scale.band_weights(spec, db.device))[:, None]
    level = scale.mean_power(power, spec) / scale.mean_power(noise, spec) * scale.to_power(-snr_db)
    return scale.from_power(power + noise * level[:, None, None]) * (spec.power / 2.0)


def add_white_noise(db: Tensor, sigma: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Change log-mel spectrograms as adding Gaussian white noise to the waveform does.

    Mean and variance are exact where the signal fills the band evenly. Frames that share samples fluctuate independently here,
    which is an approximation. With ``spec.power`` 1 the expected level is approximate too.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
        dB re 1.0 for samples at full scale 1.0.
    sigma : Tensor [b]
        Standard deviation of the noise; 1 is full scale.
    spec : FeatureSpec
    generator : torch.Generator
    """
    level, independent = scale.white_bands(spec, db.device)
    noise = (sigma.square()[:, None] * level)[:, :, None]  # mean power [b, bins, 1]
    signal = scale.to_power(db * (2.0 / spec.power))
    # Signal and noise add up as complex amplitudes. The power is then a noncentral chi-square variable with two degrees of
    # freedom per FFT bin: the square of one normal variable shifted by the signal, plus a chi-square of the other degrees.
    one = noise / (2.0 * independent[:, None])  # power of one degree of freedom
    others = 2.0 * independent[:, None] - 1.0
    shifted = (signal.sqrt() + one.sqrt() * scale.normal(tuple(db.shape), generator)).square()
    rest = others * scale.gamma(others / 2.0, scale.normal(tuple(db.shape), generator))
    return scale.from_power(shifted + one * rest) * (spec.power / 2.0)
