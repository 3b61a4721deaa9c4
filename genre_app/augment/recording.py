"""The recording chain on waveforms: which of its parts a track goes through, in which order, and how hard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field

from genre_app.audio import sound_files
from genre_app.augment import recorder, rooms
from genre_app.augment.codec import Codec, round_trip
from genre_app.augment.ranges import Decibel, Hertz, Kilobits, Probability, RangesModel, Seconds, Share

Samples = NDArray[np.float32]
Step = Callable[[Samples, int], Samples]

_CURVE_KNOTS = 10


class RecordingConfig(RangesModel):
    """What makes a recording of a file. Each part has its own ``*_probability``; a range is drawn from uniformly."""

    codec_probability: Probability = Field(
        0.0, description="share of the tracks that go through MP3 or Opus: the file that is played, or what is sent"
    )
    codec_kilobits: tuple[Kilobits, Kilobits] = Field((14.0, 60.0), description="per second, of one channel")
    clip_probability: Probability = Field(
        0.0, description="share of the tracks whose peaks are cut off: by the loudspeaker, or by the recorder"
    )
    clip_share: tuple[Share, Share] = Field((0.002, 0.1), description="of the samples that are cut off")
    room_probability: Probability = Field(0.0, description="share of the tracks that are played in a room")
    room_folder: Path | None = Field(None, description="folder of impulse responses; half of the rooms are then from there")
    room_direct_db: tuple[Decibel, Decibel] = Field((-12.0, 6.0), description="direct-to-reverberant ratio of drawn rooms")
    room_t60_seconds: tuple[Seconds, Seconds] = Field((0.25, 1.1), description="their reverberation time at 1 kHz")
    response_probability: Probability = Field(0.0, description="share of the tracks that a small device plays or records")
    response_low_hz: tuple[Hertz, Hertz] = Field((40.0, 350.0), description="under which it falls")
    response_high_hz: tuple[Hertz, Hertz] = Field((4000.0, 11000.0), description="over which it falls")
    response_slope_db: tuple[Decibel, Decibel] = Field((6.0, 36.0), description="by how much, per octave")
    response_db: tuple[Decibel, Decibel] = Field((0.0, 10.0), description="largest boost or cut between")
    colour_probability: Probability = Field(0.0, description="share of the tracks to which coloured noise is added")
    colour_snr_db: tuple[Decibel, Decibel] = Field((5.0, 40.0), description="mean power of the track over the noise's")
    colour_slope_db: tuple[Decibel, Decibel] = Field((-6.0, 0.0), description="per octave: 0 white, -3 pink, -6 brown")
    suppress_probability: Probability = Field(0.0, description="share of the tracks that noise suppression is applied to")
    suppress_depth_db: tuple[Decibel, Decibel] = Field((12.0, 21.0), description="by how much steady bands are pushed down")
    suppress_excess_db: tuple[Decibel, Decibel] = Field(
        (-2.0, 11.0), description="over the lower quartile of a band's last levels, what counts as steady"
    )
    suppress_wander_db: tuple[Decibel, Decibel] = Field((1.0, 4.0), description="standard deviation of that over time")
    suppress_scatter_db: tuple[Decibel, Decibel] = Field((1.0, 5.0), description="standard deviation of that between bands")
    control_probability: Probability = Field(0.0, description="share of the tracks whose level a gain control follows")
    control_target_dbfs: tuple[Decibel, Decibel] = Field((-26.0, -12.0), description="level that it aims at")
    control_seconds: tuple[Seconds, Seconds] = Field((0.5, 4.0), description="time constant of the gain")
    control_most_db: tuple[Decibel, Decibel] = Field((5.0, 30.0), description="most that it turns up or down")
    limit_probability: Probability = Field(0.0, description="share of the tracks whose loud passages are turned down")
    limit_threshold_db: tuple[Decibel, Decibel] = Field((-8.0, 3.0), description="over the mean level, what is turned down")
    limit_release_db: tuple[Decibel, Decibel] = Field((3.0, 60.0), description="a second, by which it is turned up again")


@lru_cache(maxsize=8)
def room_files(folder: Path) -> tuple[Path, ...]:
    """Impulse responses of a folder, as `sound_files` finds them."""
    return sound_files(folder, "room_folder", "impulse responses")


class Recording:
    """A recording chain, drawn for one track: what comes before its background noise, and what comes after.

    The order is that of things: file, loudspeaker, room, device, noise, recorder, what is sent. Where two places make sense
    for a part, one of them is drawn.

    Parameters
    ----------
    config : RecordingConfig
    seed : int
        Each part draws from a generator of its own, so that none depends on whether another takes part.
    """

    def __init__(self, config: RecordingConfig, seed: int) -> None:
        self.config = config
        self._seed = seed
        self._early = {name: bool(self._rng(name, 1).random() < 0.5) for name in ("codec", "clip", "response", "control")}

    def before_noise(self) -> Iterator[Step]:
        """Yield what happens to the music before background noise is added."""
        yield from self._either("codec", self._codec, early=True)
        yield from self._either("clip", self._clip, early=True)
        yield from self._maybe("room", self._room)
        yield from self._either("response", self._response, early=True)

    def noise(self) -> Iterator[Step]:
        """Yield noise that needs no folder."""
        yield from self._maybe("colour", self._colour)

    def device(self) -> Iterator[Step]:
        """Yield what the microphone does to music and noise alike."""
        yield from self._either("response", self._response, early=False)

    def recorder(self) -> Iterator[Step]:
        """Yield what happens from the microphone on."""
        yield from self._either("control", self._control, early=True)
        yield from self._maybe("suppress", self._suppress)
        yield from self._either("control", self._control, early=False)
        yield from self._maybe("limit", self._limit)
        yield from self._either("clip", self._clip, early=False)
        yield from self._either("codec", self._codec, early=False)

    def _rng(self, part: str, purpose: int) -> Generator:
        return np.random.default_rng((self._seed, purpose, *part.encode()))

    def _maybe(self, part: str, step: Callable[[Samples, int, Generator], Samples]) -> Iterator[Step]:
        rng = self._rng(part, 0)
        if rng.random() < getattr(self.config, f"{part}_probability"):
            yield lambda samples, rate: step(samples, rate, rng)

    def _either(self, part: str, step: Callable[[Samples, int, Generator], Samples], *, early: bool) -> Iterator[Step]:
        if self._early[part] == early:
            yield from self._maybe(part, step)

    def _drawn(self, rng: Generator, *names: str) -> list[float]:
        return [float(rng.uniform(*getattr(self.config, name))) for name in names]

    def _codec(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        codec: Codec = "mp3" if rng.random() < 0.5 else "opus"
        (kilobits,) = self._drawn(rng, "codec_kilobits")
        peak = max(1.0, float(np.abs(samples).max(initial=0.0)))  # it is not the codec that clips
        return round_trip(samples / np.float32(peak), rate, codec, kilobits) * np.float32(peak)

    def _clip(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        return recorder.clip(samples, *self._drawn(rng, "clip_share"))

    def _room(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        if self.config.room_folder is not None and rng.random() < 0.5:
            files = room_files(self.config.room_folder)
            return rooms.play_in(samples, rooms.read_response(files[int(rng.integers(len(files)))], rate))
        direct_db, t60_seconds = self._drawn(rng, "room_direct_db", "room_t60_seconds")
        return rooms.play_in(samples, rooms.drawn_response(rate, direct_db, t60_seconds, rng))

    def _response(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        low_hz, high_hz, slope_db = self._drawn(rng, "response_low_hz", "response_high_hz", "response_slope_db")
        (range_db,) = self._drawn(rng, "response_db")
        return recorder.respond(samples, rate, low_hz, high_hz, slope_db, range_db * rng.uniform(-1.0, 1.0, _CURVE_KNOTS))

    def _colour(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        snr_db, slope_db = self._drawn(rng, "colour_snr_db", "colour_slope_db")
        return recorder.add_coloured(samples, rate, snr_db, slope_db, rng)

    def _suppress(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        names = ("suppress_depth_db", "suppress_excess_db", "suppress_wander_db", "suppress_scatter_db")
        depth_db, excess_db, wander_db, scatter_db = self._drawn(rng, *names)
        return recorder.suppress(samples, rate, depth_db, excess_db, wander_db, scatter_db, rng)

    def _control(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        names = ("control_target_dbfs", "control_seconds", "control_most_db")
        return recorder.control_gain(samples, rate, *self._drawn(rng, *names))

    def _limit(self, samples: Samples, rate: int, rng: Generator) -> Samples:
        return recorder.limit(samples, rate, *self._drawn(rng, "limit_threshold_db", "limit_release_db"))
