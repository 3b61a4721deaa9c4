"""Augmentations by name.

Each preset but ``none`` changes half of every batch and leaves the other half as it is. A new preset is an entry in `PRESETS`
and a sentence in `DESCRIPTIONS`; the command line and the page find it there.
"""

from __future__ import annotations

from typing import Any

from genre_app.augment.config import AugmentConfig, LogMelConfig

_NOISE = {"white_noise_probability": 1.0, "white_noise_sigma": (0.001, 0.015)}
_PITCH = {"pitch_probability": 1.0, "pitch_semitones": 4.0}


def _half(mild: dict[str, Any], **others: float) -> AugmentConfig:
    return AugmentConfig(mild_share=0.5, mild=LogMelConfig(**mild), spare_rest=True, **others)


def _applied(probability: float, *names: str) -> dict[str, Any]:
    return {f"{name}_probability": probability for name in names}


_ALL = _applied(0.8, "pitch", "equaliser", "white_noise", "gain")
_ALL |= {"pitch_semitones": 4.0, "equaliser_db": 8.0, "white_noise_sigma": (0.001, 0.015), "gain_db": (-12.0, 6.0)}
_RECORDED = (
    {"equaliser_db": 10.0, "response_slope_db": (6.0, 48.0)}
    | _applied(0.7, "room", "equaliser", "response")
    | _applied(0.5, "coloured_noise", "gain")
    | _applied(0.4, "background", "gain_control", "suppress")
    | _applied(0.3, "codec")
    | _applied(0.2, "limit", "clip")
)
PRESETS: dict[str, AugmentConfig] = {
    "none": AugmentConfig(),
    "noise": _half(_NOISE),
    "pitch": _half(_PITCH),
    "noise+pitch": _half(_NOISE | _PITCH),
    "mixup": _half({}, mixup_probability=1.0),
    "all": _half(_ALL, **_applied(0.8, "stretch", "mask", "mixup"), stretch=0.1),
    "recorded": AugmentConfig(recorded_share=0.5, recorded=LogMelConfig(**_RECORDED), spare_rest=True),
}

DESCRIPTIONS: dict[str, str] = {
    "none": "The music stays as it is.",
    "noise": "Half of each batch gets Gaussian noise with a standard deviation of 0.001 to 0.015 of full scale.",
    "pitch": "Half of each batch is shifted by up to four semitones up or down, at the same tempo.",
    "noise+pitch": "Half of each batch is shifted by up to four semitones and gets Gaussian noise on top.",
    "mixup": "Half of each batch is mixed with other tracks, and its genres in the same proportion.",
    "all": "Half of each batch goes through most of these at once: pitch shift, change of tempo, equaliser, noise, gain, masks "
    "and mixup.",
    "recorded": "Half of each batch is played in a room and recorded: small devices, background noise, speech processing, "
    "clipping, codecs.",
}
"""One sentence for each preset."""


def named_preset(settings: Any) -> Any:
    """Return the preset whose name is given; settings that are no name are returned as they are.

    Raises
    ------
    ValueError
        If there is no preset of this name.
    """
    if not isinstance(settings, str):
        return settings
    if settings not in PRESETS:
        raise ValueError(f"there is no augmentation {settings!r}; choose one of: {', '.join(PRESETS)}")
    return PRESETS[settings]
