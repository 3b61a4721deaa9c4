"""Settings of augmentation around a measured room."""

from __future__ import annotations

from typing import Any

import numpy as np

from genre_app.augment.room_check.check import RoomCheck

_SHARES = {"augment.mild_share": 0.3, "augment.recorded_share": 0.6}  # of each batch, those of the recipe `default`

# Probabilities near those of the preset `recorded`. No measurement stands behind them, nor behind the widths below: they leave
# room for other places of the microphone in the same room.
_ROOM, _RESPONSE, _NOISE, _SUPPRESS, _CLIP = 0.7, 0.7, 0.6, 0.6, 0.2
_T60_FACTOR, _DIRECT_DB, _EDGE_FACTOR, _SNR_DB = 1.4, 4.0, 2**0.5, 6.0
_NO_ROOM_SECONDS = 0.1  # a shorter reverberation is that of a cable or of the filters
_T60_BOUNDS, _HZ_BOUNDS, _DB_BOUNDS = (0.05, 10.0), (20.0, 24000.0), (-80.0, 80.0)


def room_settings(check: RoomCheck) -> dict[str, Any]:
    """Return fields of `genre_app.augment.config.RecordingConfig` whose ranges lie around the measured values.

    The fields are valid for spectrograms and for waveforms. Where the noise hid the reverberation, its range is the
    default.
    """
    settings: dict[str, Any] = {"room_probability": _ROOM}
    if check.t60_seconds is not None and check.t60_seconds < _NO_ROOM_SECONDS:
        settings["room_probability"] = 0.0
    elif check.t60_seconds is not None:
        seconds = (check.t60_seconds / _T60_FACTOR, check.t60_seconds * _T60_FACTOR)
        settings["room_t60_seconds"] = _within(seconds, _T60_BOUNDS, 3)
        settings["room_direct_db"] = _within((check.direct_db - _DIRECT_DB, check.direct_db + _DIRECT_DB), _DB_BOUNDS, 1)
    settings["response_probability"] = _RESPONSE
    for name, hertz in (("response_low_hz", check.low_hz), ("response_high_hz", check.high_hz)):
        settings[name] = _within((hertz / _EDGE_FACTOR, hertz * _EDGE_FACTOR), _HZ_BOUNDS, 0)
    settings["coloured_noise_probability"] = _NOISE
    settings["coloured_noise_snr_db"] = _within((check.snr_db - _SNR_DB, check.snr_db + _SNR_DB), _DB_BOUNDS, 1)
    settings["suppress_probability"] = _SUPPRESS if check.is_suppressed else 0.0
    settings["clip_probability"] = _CLIP if check.is_clipped else 0.0
    return settings


def preset_settings(check: RoomCheck) -> dict[str, Any]:
    """Return the fields of a recipe that the room changes, by dotted path; the recipe's other augmentations stay."""
    return _SHARES | {f"augment.recorded.{name}": value for name, value in room_settings(check).items()}


def _within(pair: tuple[float, float], bounds: tuple[float, float], digits: int) -> list[float]:
    return [round(float(value), digits) for value in np.clip(pair, *bounds)]
