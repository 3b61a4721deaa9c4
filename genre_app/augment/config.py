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

_OLD_SETTINGS = {"most_db": "max_db", "amplitude": "sigma"}


class RecordingConfig(BaseModel):
    """Settings of the path from an instrument to a recording, the same for spectrograms and waveforms.

    ``X_probability`` is the share of the items (segments of a batch, or tracks) to which ``X`` is applied. For each item, a
    value is drawn uniformly from each pair ``(low, high)``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pitch_probability: Probability = Field(0.0, description="share whose pitch is shifted at the same tempo")
    pitch_semitones: Semitones = Field(2.0, description="largest shift, up or down")
    codec_probability: Probability = Field(0.0, description="share that goes through a lossy codec, before or after the room")
    clip_probability: Probability = Field(0.0, description="share whose peaks are clipped, by the loudspeaker or the recorder")
    room_probability: Probability = Field(0.0, description="share that is played in a room, a different one for each")
    room_direct_db: tuple[Decibel, Decibel] = Field((-12.0, 6.0), description="direct-to-reverberant energy ratio")
    room_t60_seconds: tuple[Seconds, Seconds] = Field((0.25, 1.1), description="reverberation time at 1 kHz; shorter above")
    response_probability: Probability = Field(0.0, description="share that a small device plays or records")
    response_low_hz: tuple[Hertz, Hertz] = Field((40.0, 350.0), description="lower edge of the device's frequency band")
    response_high_hz: tuple[Hertz, Hertz] = Field((4000.0, 11000.0), description="upper edge of the device's frequency band")
    response_slope_db: tuple[Decibel, Decibel] = Field((6.0, 36.0), description="attenuation per octave outside the band")
    coloured_noise_probability: Probability = Field(0.0, description="share to which steady coloured noise is added")
    coloured_noise_snr_db: tuple[Decibel, Decibel] = Field((5.0, 40.0), description="power of the music over the noise")
    coloured_noise_slope_db: tuple[Decibel, Decibel] = Field(
        (-6.0, 0.0), description="slope of the noise per octave: 0 white, -3 pink, -6 brown"
    )
    background_probability: Probability = Field(
        0.0, description="share to which background noise is added that changes in time"
    )
    background_snr_db: tuple[Decibel, Decibel] = Field((3.0, 30.0), description="power of the music over the background noise")
    white_noise_probability: Probability = Field(0.0, description="share to which white noise of a given level is added")
    white_noise_sigma: tuple[FullScales, FullScales] = Field(
        (0.001, 0.015), description="standard deviation of the samples of the noise; 1 is full scale"
    )
    gain_probability: Probability = Field(0.0, description="share whose level is changed")
    gain_db: tuple[Decibel, Decibel] = Field((-30.0, 6.0), description="change of level")
    gain_control_probability: Probability = Field(0.0, description="share that goes through automatic gain control")
    gain_control_target_dbfs: tuple[Decibel, Decibel] = Field((-26.0, -12.0), description="level that gain control aims at")
    gain_control_seconds: tuple[Seconds, Seconds] = Field((0.5, 4.0), description="time constant of the gain")
    gain_control_max_db: tuple[Decibel, Decibel] = Field((5.0, 30.0), description="largest amplification or attenuation")
    suppress_probability: Probability = Field(0.0, description="share that goes through noise suppression")
    suppress_depth_db: tuple[Decibel, Decibel] = Field((12.0, 21.0), description="attenuation of steady sound")
    suppress_excess_db: tuple[Decibel, Decibel] = Field(
        (-2.0, 11.0), description="threshold: sound is steady if it exceeds the lower quartile of its band by less"
    )
    suppress_wander_db: tuple[Decibel, Decibel] = Field((1.0, 4.0), description="standard deviation of the threshold in time")
    suppress_scatter_db: tuple[Decibel, Decibel] = Field(
        (1.0, 5.0), description="standard deviation of the threshold between bands"
    )
    limit_probability: Probability = Field(0.0, description="share that goes through a limiter")
    limit_threshold_db: tuple[Decibel, Decibel] = Field((-8.0, 3.0), description="threshold over the mean level")
    limit_release_db: tuple[Decibel, Decibel] = Field((3.0, 60.0), description="decibels that the limiter gives back a second")

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

    equaliser_probability: Probability = Field(0.0, description="share with a smooth random frequency response")
    equaliser_db: float = Field(6.0, ge=0, le=40, description="largest boost or cut")
    equaliser_knots: int = Field(6, ge=2, le=32, description="number of points that the response goes through")
    coloration_probability: Probability = Field(0.0, description="share with a rough random frequency response, as of a room")
    coloration_db: float = Field(3.0, ge=0, le=20, description="largest standard deviation between bands")
    reverb_probability: Probability = Field(0.0, description="share that is smeared in time, as in the average of many rooms")
    reverb_direct_db: tuple[Decibel, Decibel] = Field((-10.0, 10.0), description="direct-to-reverberant energy ratio")
    reverb_t60_seconds: tuple[Seconds, Seconds] = Field((0.2, 1.2), description="reverberation time")
    clip_headroom_db: tuple[Decibel, Decibel] = Field((0.0, 12.0), description="level over the RMS at which peaks are clipped")
    codec_range_db: tuple[Decibel, Decibel] = Field(
        (25.0, 60.0), description="level under the maximum of a frame below which the codec keeps nothing"
    )
    codec_cutoff_hz: tuple[Hertz, Hertz] = Field((4500.0, 16000.0), description="frequency above which the codec keeps nothing")
    codec_scatter_db: tuple[Decibel, Decibel] = Field((0.3, 3.0), description="standard deviation of the quantised bands")
    floor_probability: Probability = Field(0.0, description="share whose dynamic range is reduced")
    floor_db: tuple[Decibel, Decibel] = Field((50.0, 80.0), description="dynamic range that is kept under the maximum")


class WaveformConfig(RecordingConfig):
    """Settings of a recording path for waveforms: the shared ones, and those that log-mel spectrograms do not have."""

    OLD_PARTS: ClassVar[dict[str, str]] = {"colour": "coloured_noise", "noise": "white_noise", "control": "gain_control"}

    # Old recipes rely on these two defaults, which differ from those for spectrograms.
    pitch_semitones: Semitones = Field(4.0, description="largest shift, up or down")
    gain_db: tuple[Decibel, Decibel] = Field((-12.0, 6.0), description="change of level")

    stretch_probability: Probability = Field(0.0, description="share whose tempo is changed at the same pitch")
    stretch: float = Field(0.1, ge=0, le=0.5, description="largest change of tempo; 0.1 is ten per cent")
    codec_kilobits: tuple[Kilobits, Kilobits] = Field((14.0, 60.0), description="bit rate of MP3 or Opus in kbit/s, mono")
    clip_share: tuple[Share, Share] = Field((0.002, 0.1), description="share of the samples that are clipped")
    room_folder: Path | None = Field(None, description="folder of impulse responses, used for half of the rooms")
    response_db: tuple[Decibel, Decibel] = Field((0.0, 10.0), description="largest boost or cut within the device's band")
    background_folder: Path | None = Field(None, description="folder of noises: WAV, FLAC, AIFF, Ogg, Opus or MP3 at any depth")
    snr_probability: Probability = Field(0.0, description="share to which white noise of a given ratio is added")
    snr_db: tuple[Decibel, Decibel] = Field((5.0, 40.0), description="power of the music over the white noise")
    refresh_epochs: int = Field(
        10, ge=1, le=1000, description="epochs for which a changed track is used; some tracks are changed anew in each epoch"
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
    ``recorded``; the rest keeps its spectrograms. Tempo, masks and mixup are applied to the whole batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mild_share: Probability = Field(0.0, description="share of each batch that goes through the mild chain")
    mild: LogMelConfig = LogMelConfig()
    recorded_share: Probability = Field(0.0, description="share of each batch that goes through the recording chain")
    recorded: LogMelConfig = LogMelConfig()
    stretch_probability: Probability = Field(0.0, description="share of the segments whose tempo is changed")
    stretch: float = Field(0.1, ge=0, le=0.5, description="largest change of tempo; 0.1 is ten per cent")
    mask_probability: Probability = Field(0.0, description="share of the segments that get masks")
    mask_bins: int = Field(16, ge=0, le=512, description="largest height of a mask in bands")
    mask_frames: int = Field(10, ge=0, le=512, description="largest width of a mask in frames of the spectrogram")
    mask_count: int = Field(2, ge=1, le=10, description="masks of bands, and as many of frames")
    mixup_probability: Probability = Field(0.0, description="share of the segments that are mixed with another one")
    mixup_alpha: float = Field(0.3, gt=0, le=10, description="parameter of the beta distribution of the mixing share")
    waveform: WaveformConfig = Field(
        WaveformConfig(), description="changes of the audio itself, made by worker processes during training"
    )
    spare_rest: bool = Field(False, description="apply tempo, masks and mixup only to the items that go through a chain")

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        if self.mild_share + self.recorded_share > 1 + 1e-9:
            raise ValueError(f"mild_share + recorded_share must not exceed 1, got {self.mild_share} + {self.recorded_share}")
        return self
