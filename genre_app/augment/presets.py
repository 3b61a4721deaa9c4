"""Augmentations by name.

Each preset adds new samples: half of every batch stays as it is, the other half is changed.
"""

from __future__ import annotations

from genre_app.augment.chain import AugmentConfig, ChainConfig

_NOISE = {"gaussian_probability": 1.0, "gaussian_sigma": (0.001, 0.015)}
_PITCH = {"pitch_probability": 1.0, "pitch_semitones": 4.0}

_RECORDED = {
    "room_probability": 0.7,
    "equaliser_probability": 0.7,
    "equaliser_db": 10.0,
    "band_probability": 0.7,
    "band_slope_db": (6.0, 48.0),
    "noise_probability": 0.5,
    "bustle_probability": 0.4,
    "gain_probability": 0.5,
    "control_probability": 0.4,
    "suppress_probability": 0.4,
    "limit_probability": 0.2,
    "clip_probability": 0.2,
    "code_probability": 0.3,
}


def _half(mild: ChainConfig, **others: float) -> AugmentConfig:
    return AugmentConfig(mild_share=0.5, mild=mild, spare_rest=True, **others)


PRESETS: dict[str, AugmentConfig] = {
    "none": AugmentConfig(),
    "noise": _half(ChainConfig(**_NOISE)),
    "pitch": _half(ChainConfig(**_PITCH)),
    "noise+pitch": _half(ChainConfig(**_NOISE, **_PITCH)),
    "mixup": _half(ChainConfig(), mixup_probability=1.0),
    "all": _half(
        ChainConfig(
            pitch_probability=0.8,
            pitch_semitones=4.0,
            equaliser_probability=0.8,
            equaliser_db=8.0,
            gaussian_probability=0.8,
            gaussian_sigma=(0.001, 0.015),
            gain_probability=0.8,
            gain_db=(-12.0, 6.0),
        ),
        stretch_probability=0.8,
        stretch=0.1,
        mask_probability=0.8,
        mixup_probability=0.8,
    ),
    "recorded": AugmentConfig(recorded_share=0.5, recorded=ChainConfig(**_RECORDED), spare_rest=True),
}

DESCRIPTIONS: dict[str, str] = {
    "none": "The music as it is.",
    "noise": "Half of each batch gets Gaussian noise with a standard deviation of 0.001 to 0.015 of full scale.",
    "pitch": "Half of each batch is shifted by up to four semitones up or down, at the same tempo.",
    "noise+pitch": "Half of each batch is shifted by up to four semitones and gets Gaussian noise on top.",
    "mixup": "Half of each batch is blended with other tracks, and its genres alike.",
    "all": "Half of each batch goes through most of these at once: pitch shift, change of tempo, equaliser, noise, gain, masks "
    "and mixup.",
    "recorded": "Half of each batch is played in a room and recorded: small devices, background noise, speech processing, "
    "clipping, codecs.",
}
"""A sentence for each preset."""
