"""Settings of all augmentations: which are applied, to what share, and how strongly.

`RecordingConfig` holds the settings that mean the same for a log-mel spectrogram and for a waveform. `LogMelConfig` and
`WaveformConfig` add the settings of one domain. `AugmentConfig` puts them together for a training run.

Each augmentation is a group of fields with a common prefix: ``room_probability``, ``room_direct_db``, ``room_t60_seconds``. A
group with the fields ``X_probability`` and others needs a function in `genre_app.augment.logmel` (for a batch of spectrograms),
one in `genre_app.augment.waveform` (for samples), or both, and a line in the ``STEPS`` there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0, le=1)]
Semitones = Annotated[float, Field(ge=0, le=12)]
Decibel = Annotated[float, Field(ge=-80, le=80)]
Hertz = Annotated[float, Field(ge=20, le=24000)]
Seconds = Annotated[float, Field(ge=0.05, le=10)]
FullScales = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=0.5)]
Kilobits = Annotated[float, Field(ge=8, le=320)]

Decibels = tuple[Decibel, Decibel]
Frequencies = tuple[Hertz, Hertz]
Times = tuple[Seconds, Seconds]

_OLD_SETTINGS = {"most_db": "max_db", "amplitude": "sigma"}


def setting(text: str, default: Any, **bounds: Any) -> Any:
    """Return a field with its help text, its default, and bounds as those of `pydantic.Field`."""
    return Field(default, description=text, **bounds)


def _share(which: str) -> Any:
    """Return a probability field, 0 by default; on the page, its help is "share of the music" and ``which``."""
    return setting(f"share of the music {which}", 0.0)


class RecordingConfig(BaseModel):
    """Settings of the path from an instrument to a recording, the same for spectrograms and waveforms.

    ``X_probability`` is the share of the items (segments of a batch, or tracks) to which ``X`` is applied. For each item, a
    value is drawn uniformly from each pair ``(low, high)``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pitch_probability: Probability = _share("whose pitch is shifted at the same tempo")
    pitch_semitones: Semitones = setting("largest shift, up or down", 2.0)
    codec_probability: Probability = _share("sent through a lossy codec, before or after the room")
    clip_probability: Probability = _share("whose peaks are clipped, by the loudspeaker or the recorder")
    room_probability: Probability = _share("that is played in a room, a different one for each")
    room_direct_db: Decibels = setting("direct-to-reverberant energy ratio", (-12.0, 6.0))
    room_t60_seconds: Times = setting("reverberation time at 1 kHz; shorter above", (0.25, 1.1))
    response_probability: Probability = _share("that a small device plays or records")
    response_low_hz: Frequencies = setting("lower edge of the device's frequency band", (40.0, 350.0))
    response_high_hz: Frequencies = setting("upper edge of the device's frequency band", (4000.0, 11000.0))
    response_slope_db: Decibels = setting("attenuation per octave outside the band", (6.0, 36.0))
    coloured_noise_probability: Probability = _share("with steady coloured noise")
    coloured_noise_snr_db: Decibels = setting("power of the music over the noise", (5.0, 40.0))
    coloured_noise_slope_db: Decibels = setting("slope of the noise per octave: 0 white, -3 pink, -6 brown", (-6.0, 0.0))
    background_probability: Probability = _share("with background noise that changes over time")
    background_snr_db: Decibels = setting("power of the music over the background noise", (3.0, 30.0))
    white_noise_probability: Probability = _share("with white noise of a given level")
    white_noise_sigma: tuple[FullScales, FullScales] = setting(
        "standard deviation of the samples of the noise; 1 is full scale", (0.001, 0.015)
    )
    gain_probability: Probability = _share("whose level is changed")
    gain_db: Decibels = setting("change of level", (-30.0, 6.0))
    gain_control_probability: Probability = _share("sent through automatic gain control")
    gain_control_target_dbfs: Decibels = setting("level that gain control aims at", (-26.0, -12.0))
    gain_control_seconds: Times = setting("time constant of the gain", (0.5, 4.0))
    gain_control_max_db: Decibels = setting("largest amplification or attenuation", (5.0, 30.0))
    suppress_probability: Probability = _share("sent through noise suppression")
    suppress_depth_db: Decibels = setting("attenuation of steady sound", (12.0, 21.0))
    suppress_excess_db: Decibels = setting(
        "threshold: sound is steady if it exceeds the lower quartile of its band by less", (-2.0, 11.0)
    )
    suppress_wander_db: Decibels = setting("standard deviation of the threshold in time", (1.0, 4.0))
    suppress_scatter_db: Decibels = setting("standard deviation of the threshold between bands", (1.0, 5.0))
    limit_probability: Probability = _share("sent through a limiter")
    limit_threshold_db: Decibels = setting("threshold over the mean level", (-8.0, 3.0))
    limit_release_db: Decibels = setting("decibels that the limiter gives back a second", (3.0, 60.0))

    OLD_PARTS: ClassVar[dict[str, str]] = {}
    """First word of a field's former name -> prefix of its present name."""

    @model_validator(mode="before")
    @classmethod
    def _rename_old_fields(cls, given: Any) -> Any:
        """Accept the names that recipes, runs and checkpoints had before both domains shared theirs."""
        return {cls._present_name(name): value for name, value in given.items()} if isinstance(given, dict) else given

    @classmethod
    def _present_name(cls, name: str) -> str:
        part, _, setting = name.partition("_")
        present = f"{cls.OLD_PARTS.get(part, part)}_{_OLD_SETTINGS.get(setting, setting)}"
        return present if present in cls.model_fields else name

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name, value in self:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} must go from the lower to the higher, got {value[0]} and {value[1]}")
        return self


class LogMelConfig(RecordingConfig):
    """Settings of a recording path for log-mel spectrograms: the shared ones, and those that waveforms do not have."""

    OLD_PARTS: ClassVar[dict[str, str]] = {
        "colour": "coloration",
        "band": "response",
        "noise": "coloured_noise",
        "gaussian": "white_noise",
        "bustle": "background",
        "control": "gain_control",
        "code": "codec",
    }

    equaliser_probability: Probability = _share("with a smooth random frequency response")
    equaliser_db: float = setting("largest boost or cut", 6.0, ge=0, le=40)
    equaliser_knots: int = setting("number of points that the response goes through", 6, ge=2, le=32)
    coloration_probability: Probability = _share("with a rough random frequency response, as of a room")
    coloration_db: float = setting("largest standard deviation between bands", 3.0, ge=0, le=20)
    reverb_probability: Probability = _share("that is smeared in time, as in the average of many rooms")
    reverb_direct_db: Decibels = setting("direct-to-reverberant energy ratio", (-10.0, 10.0))
    reverb_t60_seconds: Times = setting("reverberation time", (0.2, 1.2))
    clip_headroom_db: Decibels = setting("level over the RMS at which peaks are clipped", (0.0, 12.0))
    codec_range_db: Decibels = setting("level under the maximum of a frame below which the codec keeps nothing", (25.0, 60.0))
    codec_cutoff_hz: Frequencies = setting("frequency above which the codec keeps nothing", (4500.0, 16000.0))
    codec_scatter_db: Decibels = setting("standard deviation of the quantised bands", (0.3, 3.0))
    floor_probability: Probability = _share("whose dynamic range is reduced")
    floor_db: Decibels = setting("dynamic range that is kept under the maximum", (50.0, 80.0))


class WaveformConfig(RecordingConfig):
    """Settings of a recording path for waveforms: the shared ones, and those that log-mel spectrograms do not have."""

    OLD_PARTS: ClassVar[dict[str, str]] = {"colour": "coloured_noise", "noise": "white_noise", "control": "gain_control"}

    # Old recipes rely on these two defaults, which differ from those for spectrograms.
    pitch_semitones: Semitones = setting("largest shift, up or down", 4.0)
    gain_db: Decibels = setting("change of level", (-12.0, 6.0))

    stretch_probability: Probability = _share("whose tempo is changed at the same pitch")
    stretch: float = setting("largest change of tempo; 0.1 is ten per cent", 0.1, ge=0, le=0.5)
    codec_kilobits: tuple[Kilobits, Kilobits] = setting("bit rate of MP3 or Opus in kbit/s, mono", (14.0, 60.0))
    clip_share: tuple[Share, Share] = setting("share of the samples that are clipped", (0.002, 0.1))
    room_folder: Path | None = setting("folder of impulse responses, used for half of the rooms", None)
    response_db: Decibels = setting("largest boost or cut within the device's band", (0.0, 10.0))
    background_folder: Path | None = setting("folder of noises: WAV, FLAC, AIFF, Ogg, Opus or MP3 at any depth", None)
    snr_probability: Probability = _share("with white noise of a given ratio")
    snr_db: Decibels = setting("power of the music over the white noise", (5.0, 40.0))
    refresh_epochs: int = setting(
        "epochs for which a changed track is used; some tracks are changed anew in each epoch", 10, ge=1, le=1000
    )

    @model_validator(mode="after")
    def _consistent(self) -> WaveformConfig:
        if self.background_probability > 0 and self.background_folder is None:
            raise ValueError("background_probability needs a background_folder to take sounds from")
        return self

    @property
    def changes(self) -> bool:
        """Whether any probability is above 0."""
        return any(value > 0 for name, value in self if name.endswith("_probability"))


class AugmentConfig(BaseModel):
    """Settings of augmentation in a training run.

    The first ``mild_share`` of each batch goes through the chain ``mild``, the next ``recorded_share`` through the chain
    ``recorded``, and the rest through neither. Tempo, MixStyle, masks and mixup are applied to the whole batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mild_share: Probability = setting("share of each batch that goes through the mild chain", 0.0)
    mild: LogMelConfig = LogMelConfig()
    recorded_share: Probability = setting("share of each batch that goes through the recording chain", 0.0)
    recorded: LogMelConfig = LogMelConfig()
    stretch_probability: Probability = setting("share of the segments whose tempo is changed", 0.0)
    stretch: float = setting("largest change of tempo; 0.1 is ten per cent", 0.1, ge=0, le=0.5)
    mask_probability: Probability = setting("share of the segments that get masks", 0.0)
    mask_bins: int = setting("largest height of a mask in bands", 16, ge=0, le=512)
    mask_frames: int = setting("largest width of a mask in frames of the spectrogram", 10, ge=0, le=512)
    mask_count: int = setting("masks of bands, and as many of frames", 2, ge=1, le=10)
    mix_style_probability: Probability = setting(
        "share of the segments whose bands take over part of the mean and deviation of another segment", 0.0
    )
    mix_style_alpha: float = setting("parameter of the beta distribution of the part that MixStyle takes", 0.4, gt=0, le=10)
    mixup_probability: Probability = setting("share of the segments that are mixed with another one", 0.0)
    mixup_alpha: float = setting("parameter of the beta distribution of the mixing share", 0.3, gt=0, le=10)
    waveform: WaveformConfig = setting(
        "changes of the audio itself, made by worker processes during training", WaveformConfig()
    )
    spare_rest: bool = setting("apply tempo, MixStyle, masks and mixup only to the items that go through a chain", False)

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        if self.mild_share + self.recorded_share > 1 + 1e-9:
            raise ValueError(f"mild_share + recorded_share must not exceed 1, got {self.mild_share} + {self.recorded_share}")
        return self
