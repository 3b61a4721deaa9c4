"""Decoding: every format and shape of file against the samples it was made from, damage, hostile files, and streaming."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from genre_app.audio import AudioError, Clip, clip_from_array, load_clip, open_audio
from genre_app.audio import base as audio_base
from genre_app.synth import music

RATE = 44100
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 6: "5.1", 8: "7.1"}


@pytest.fixture(scope="module")
def stereo() -> np.ndarray:
    """Three seconds of music, float32 [n, 2], with two different channels."""
    left = music("disco", 3.0, RATE, seed=1)
    return np.stack([left, 0.7 * np.roll(left, 11)], axis=1)


def write(samples: np.ndarray, rate: int, container: str, subtype: str, **options: object) -> bytes:
    """Encode samples [n, channels] with soundfile."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype, format=container, **options) as out:
        out.write(samples)
    return file.getvalue()


def encode(
    samples: np.ndarray,
    rate: int,
    container: str,
    codec: str,
    options: dict[str, str] | None = None,
    bit_rate: int = 0,
    file: Path | io.BytesIO | None = None,
) -> bytes:
    """Encode samples [n, channels] with PyAV."""
    file = file or io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, layout=LAYOUTS[samples.shape[1]])
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1).astype(np.float32), "flt", LAYOUTS[samples.shape[1]])
        frame.sample_rate, frame.pts = rate, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.read_bytes() if isinstance(file, Path) else file.getvalue()


def film(seconds: float, sound: np.ndarray | None = None) -> bytes:
    """Encode an MP4 of grey pictures, with sound [n, 2] at 44.1 kHz if there is any."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="stereo") if sound is not None else None
        for k in range(round(10 * seconds)):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * k % 255, np.uint8))
            picture.pts = k
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if audio is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1).astype(np.float32), "flt", "stereo")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return file.getvalue()


def error_db(clip: Clip, expected: np.ndarray) -> float:
    """Error of a clip relative to the samples expected, in dB, over what both have."""
    n = min(len(clip.samples), len(expected))
    assert n > 0.97 * len(expected)
    return float(10 * np.log10(np.mean((clip.samples[:n] - expected[:n]) ** 2) / np.mean(expected[:n] ** 2) + 1e-30))


def message(source: object, **options: object) -> str:
    """Return the message with which a source is refused: one sentence, no path, no line break."""
    with pytest.raises(AudioError) as caught:
        load_clip(source, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    assert "/" not in text.replace("and/or", "")
    assert 10 < len(text) < 250
    return text


# Format, how to make it, and the error allowed in dB: what the codec costs.
FORMATS: dict[str, tuple[Callable[[np.ndarray], bytes], float]] = {
    "wav u8": (lambda x: write(x, RATE, "WAV", "PCM_U8"), -28),
    "wav 16": (lambda x: write(x, RATE, "WAV", "PCM_16"), -75),
    "wav 24": (lambda x: write(x, RATE, "WAV", "PCM_24"), -110),
    "wav 32": (lambda x: write(x, RATE, "WAV", "PCM_32"), -110),
    "wav float": (lambda x: write(x, RATE, "WAV", "FLOAT"), -110),
    "wav double": (lambda x: write(x, RATE, "WAV", "DOUBLE"), -110),
    "wav mu-law": (lambda x: write(x, RATE, "WAV", "ULAW"), -25),
    "wav adpcm": (lambda x: write(x, RATE, "WAV", "IMA_ADPCM"), -15),
    "wav64": (lambda x: write(x, RATE, "RF64", "PCM_16"), -75),
    "wav of mp3": (lambda x: encode(x, RATE, "wav", "libmp3lame"), 99),  # without what tells how much is padding
    "flac 16": (lambda x: write(x, RATE, "FLAC", "PCM_16"), -75),
    "flac 24": (lambda x: write(x, RATE, "FLAC", "PCM_24"), -110),
    "aiff": (lambda x: write(x, RATE, "AIFF", "PCM_16"), -75),
    "au": (lambda x: write(x, RATE, "AU", "PCM_16"), -75),
    "caf": (lambda x: write(x, RATE, "CAF", "PCM_16"), -75),
    "vorbis": (lambda x: write(x, RATE, "OGG", "VORBIS"), -8),
    "opus": (lambda x: encode(x, 48000, "ogg", "libopus"), -5),
    "mp3": (lambda x: write(x, RATE, "MP3", "MPEG_LAYER_III"), -10),
    "mp3 vbr": (lambda x: write(x, RATE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.4), -10),
    "m4a": (lambda x: encode(x, RATE, "ipod", "aac"), -8),
    "m4a alac": (lambda x: encode(x, RATE, "ipod", "alac"), -75),
    "mp4 in pieces": (lambda x: encode(x, RATE, "mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}), 99),  # idem
    "aac": (lambda x: encode(x, RATE, "adts", "aac"), 99),  # idem
    "webm": (lambda x: encode(x, 48000, "webm", "libopus"), -5),
    "webm live": (lambda x: encode(x, 48000, "webm", "libopus", {"live": "1"}), -5),  # as browsers record: without a length
    "wma": (lambda x: encode(x, RATE, "asf", "wmav2", bit_rate=128000), 99),  # idem
    "mov": (lambda x: encode(x, RATE, "mov", "pcm_s24le"), -110),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_healthy_file_of_each_format_gives_the_samples_it_was_made_from(name: str, stereo: np.ndarray) -> None:
    make, allowed_db = FORMATS[name]
    rate = 48000 if "opus" in name or "webm" in name else RATE
    samples = stereo if rate == RATE else np.stack([music("disco", 3.0, rate, seed=1)] * 2, axis=1)
    expected = clip_from_array(samples, rate).samples
    clip = load_clip(make(samples), name=name)
    assert clip.warnings == ()
    assert clip.samples.dtype == np.float32
    assert clip.sample_rate == 22050
    assert clip.duration_seconds == pytest.approx(3.0, abs=0.1)
    if allowed_db < 0:
        assert error_db(clip, expected) < allowed_db  # which also says that nothing is shifted
    else:
        level = np.sqrt(np.mean(clip.samples**2)) / np.sqrt(np.mean(expected**2))
        assert level == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 5, 8])
def test_a_sine_is_resampled_and_mixed_to_its_closed_form(rate: int, channels: int) -> None:
    gains = np.linspace(1.0, 0.2, channels)
    time = np.arange(round(0.7 * rate)) / rate
    samples = 0.5 * np.sin(2 * np.pi * 997.0 * time)[:, None] * gains
    clip = load_clip(write(samples, rate, "WAV", "DOUBLE"))
    assert len(clip.samples) == pytest.approx(0.7 * 22050, abs=1)
    expected = 0.5 * gains.mean() * np.sin(2 * np.pi * 997.0 * np.arange(len(clip.samples)) / 22050)
    inner = slice(1100, -1100)  # the ends ring, as the sine begins and stops there
    assert 10 * np.log10(np.mean((clip.samples - expected)[inner] ** 2) / np.mean(expected[inner] ** 2)) < -125


def test_what_the_target_rate_cannot_hold_is_taken_away_and_the_rest_kept() -> None:
    time = np.arange(RATE) / RATE
    for frequency, low_db, high_db in ((50, -0.1, 0.1), (9900, -0.1, 0.1), (11300, -300, -120), (15000, -300, -120)):
        clip = clip_from_array(np.sin(2 * np.pi * frequency * time), RATE)
        level_db = 20 * np.log10(np.sqrt(2) * np.std(clip.samples[1100:-1100]) + 1e-15)
        assert low_db < level_db < high_db, f"{frequency} Hz"


@pytest.mark.parametrize(
    ("container", "codec", "channels"), [("ipod", "aac", 8), ("ipod", "aac", 6), ("flac", "flac", 3), ("webm", "libopus", 6)]
)
def test_compressed_files_of_many_channels_are_mixed_by_their_mean(container: str, codec: str, channels: int) -> None:
    time = np.arange(48000) / 48000
    samples = np.tile(0.2 * np.sin(2 * np.pi * 440 * time)[:, None], channels).astype(np.float32)
    samples[:, channels // 2] *= -1.0  # a mean of absolute values, or one channel alone, would be larger
    clip = load_clip(encode(samples, 48000, container, codec, {}))
    expected = (channels - 2) / channels * 0.2 / np.sqrt(2)
    # A low-frequency channel loses what lies above its range.
    assert np.std(clip.samples[2000:20000]) == pytest.approx(expected, rel=0.06 if codec == "flac" else 0.35)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 48000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_of_every_rate_has_its_length_and_no_warning(rate: int, mode: str) -> None:
    samples = music("blues", 1.5, rate)[:, None]
    clip = load_clip(write(samples, rate, "MP3", "MPEG_LAYER_III", bitrate_mode=mode))
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(1.5, abs=0.01)
    assert error_db(clip, clip_from_array(samples, rate).samples) < -8


def test_the_mean_of_the_channels_is_exact() -> None:
    samples = np.array([[0.5, -0.25], [1.0, 0.5], [-1.0, 0.0]] * 10000, np.float32)
    clip = clip_from_array(samples, 22050)
    np.testing.assert_array_equal(clip.samples, np.array([0.125, 0.75, -0.5] * 10000, np.float32))


@pytest.mark.parametrize("name", ["wav 16", "mp3", "webm", "flac 24"])
def test_samples_and_warnings_do_not_depend_on_the_block_size(
    name: str, stereo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FORMATS[name][0](np.clip(8.0 * stereo, -1, 1))
    clips = []
    for size in (1 << 17, 4099, 3001):
        monkeypatch.setattr(audio_base, "BLOCK_VALUES", size)
        clips.append(load_clip(data))
    for clip in clips[1:]:
        np.testing.assert_array_equal(clip.samples, clips[0].samples)
        assert clip.warnings == clips[0].warnings
        assert any(warning.startswith("clipped") for warning in clip.warnings)


def test_a_run_at_full_scale_is_seen_across_blocks(stereo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(np.clip(8.0 * stereo[60_000:90_000], -1, 1), RATE, "WAV", "PCM_16")
    whole = load_clip(data)
    monkeypatch.setattr(audio_base, "BLOCK_VALUES", 4)
    assert load_clip(data).warnings == whole.warnings != ()


def cut(data: bytes, share: float) -> bytes:
    return data[: round(len(data) * share)]


TRUNCATED = [
    "wav 16",
    "wav float",
    "wav adpcm",
    "wav64",
    "flac 16",
    "aiff",
    "au",
    "vorbis",
    "opus",
    "mp3",
    "mp3 vbr",
    "aac",
    "webm",
    "wma",
]


@pytest.mark.parametrize("name", TRUNCATED)
@pytest.mark.parametrize("share", [0.5, 0.83])
def test_a_truncated_file_is_decoded_as_far_as_it_goes_with_a_warning(name: str, share: float, stereo: np.ndarray) -> None:
    clip = load_clip(cut(FORMATS[name][0](stereo), share))
    assert len(clip.warnings) == 1
    assert clip.warnings[0].startswith("decoded only in part")
    # Codecs gather up to a second before they write it.
    assert 3.0 * share - 1.1 < clip.duration_seconds < 3.0 * share + 0.4
    assert np.std(clip.samples) > 0.05


def test_a_truncated_m4a_with_its_index_in_front_is_decoded_as_far_as_it_goes(stereo: np.ndarray, tmp_path: Path) -> None:
    data = encode(stereo, RATE, "ipod", "aac", {"movflags": "+faststart"}, file=tmp_path / "song.m4a")
    assert load_clip(data).warnings == ()
    clip = load_clip(cut(data, 0.6))
    assert clip.warnings == (
        f"decoded only in part ({clip.duration_seconds:.1f} s of 3.0 s): the file is damaged or was cut short",
    )


@pytest.mark.parametrize("name", ["m4a", "m4a alac", "mov", "vorbis", "flac 16", "mp3", "webm"])
def test_a_file_cut_before_anything_can_be_decoded_is_refused(name: str, stereo: np.ndarray) -> None:
    data = FORMATS[name][0](stereo)
    share = 0.9 if name in ("m4a", "m4a alac", "mov") else 0.004  # these have their index at the end
    text = message(cut(data, share), name="take.bin")
    assert "damaged" in text or "cut short" in text or "too few" in text or "no audio" in text


@pytest.mark.parametrize("name", ["flac 16", "vorbis", "mp3", "webm", "aac"])
def test_a_hole_in_a_file_is_bridged_with_a_warning(name: str, stereo: np.ndarray) -> None:
    data = bytearray(FORMATS[name][0](np.tile(stereo, (3, 1))))
    middle = slice(len(data) // 2, len(data) // 2 + len(data) // 12)
    data[middle] = np.random.default_rng(0).bytes(middle.stop - middle.start)
    clip = load_clip(bytes(data))
    assert clip.warnings
    assert clip.warnings[0].startswith("decoded only in part")
    assert clip.duration_seconds > 4.0


@pytest.mark.parametrize(
    ("riff", "size"),
    [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (8, 0), (36, 0), (0xFFFFFFFF, 0), (0x7FFFFFFF, 0x7FFFFFFF), (0x7FFFF024, 0x7FFFF000)],
)
def test_a_wav_whose_writer_could_not_fill_in_its_length_is_whole(riff: int, size: int, stereo: np.ndarray) -> None:
    data = bytearray(write(stereo, RATE, "WAV", "PCM_16"))
    at = data.find(b"data")
    data[4:8], data[at + 4 : at + 8] = struct.pack("<I", riff), struct.pack("<I", size)
    clip = load_clip(bytes(data))
    assert clip.warnings == ()
    assert error_db(clip, clip_from_array(stereo, RATE).samples) < -75


def tagged_mp3(samples: np.ndarray) -> bytes:
    """Make an MP3 with title, ID3 tag and a cover picture of 300 kB, as shops sell them."""
    picture = b"\x89PNG\r\n\x1a\n" + np.random.default_rng(0).bytes(300_000)
    content = b"\0image/png\0\x03\0" + picture
    frames = b"TIT2" + struct.pack(">IH", 5, 0) + b"\0Song" + b"APIC" + struct.pack(">IH", len(content), 0) + content
    size = bytes((len(frames) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frames + write(samples, RATE, "MP3", "MPEG_LAYER_III") + b"TAG" + bytes(125)


def test_tags_and_cover_pictures_are_no_damage(stereo: np.ndarray) -> None:
    plain = load_clip(write(stereo, RATE, "MP3", "MPEG_LAYER_III"))
    tagged = load_clip(tagged_mp3(stereo))
    assert tagged.warnings == ()
    np.testing.assert_allclose(tagged.samples, plain.samples, atol=1e-6)
    ape = write(stereo, RATE, "MP3", "MPEG_LAYER_III") + b"APETAGEX" + np.random.default_rng(0).bytes(50_000)
    clip = load_clip(ape)
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(3.0, abs=0.1)
    assert load_clip(cut(tagged_mp3(stereo), 0.95)).warnings  # the tag does not hide what is missing


def test_the_length_of_an_mp3_is_counted_and_not_estimated(stereo: np.ndarray) -> None:
    # Quiet first: whoever estimates from the first frames of a variable bit rate is far off; libsndfile stops at 6.5 s.
    quiet_first = np.concatenate([1e-4 * stereo, stereo, stereo])
    mp3 = write(quiet_first, RATE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.2)
    mp3 = mp3.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4))  # the first frame then tells nothing
    layout = struct.pack("<HHIIHHHHIHHH", 0x55, 2, RATE, 16000, 1, 0, 12, 1, 2, 417, 1, 1393)
    content = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(mp3)) + mp3
    for data in (mp3, b"RIFF" + struct.pack("<I", len(content)) + content):
        clip = load_clip(data)
        assert clip.warnings == ()
        assert clip.duration_seconds == pytest.approx(9.0, abs=0.1)
    joined = write(stereo, RATE, "MP3", "MPEG_LAYER_III") + write(stereo[:, :1], 32000, "MP3", "MPEG_LAYER_III")
    clip = load_clip(joined)
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(3.0 + 3.0 * RATE / 32000, abs=0.15)


def test_a_chain_of_ogg_streams_is_played_to_its_end(stereo: np.ndarray) -> None:
    clip = load_clip(write(stereo, RATE, "OGG", "VORBIS") + write(stereo, RATE, "OGG", "VORBIS"))
    assert clip.duration_seconds == pytest.approx(6.0, abs=0.1)


def test_the_sound_of_a_video_is_used_and_may_be_shorter_than_it(stereo: np.ndarray) -> None:
    clip = load_clip(film(6.0, stereo), name="film.mp4")
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(3.0, abs=0.1)
    assert error_db(clip, clip_from_array(stereo, RATE).samples) < -8
    assert message(film(2.0), name="film.mp4").startswith("film.mp4: the video has no sound")


def custom_layout(samples: np.ndarray) -> bytes:
    """Make a MOV whose two channels are listed right before left: a layout that FFmpeg has no name for."""
    data = bytearray(encode(samples, RATE, "mov", "pcm_s16le"))
    chan = data.find(b"chan") - 4
    (old,) = struct.unpack(">I", data[chan : chan + 4])
    box = b"chan" + bytes(4) + struct.pack(">III", 0, 0, 2) + struct.pack(">II12xII12x", 2, 0, 1, 0)
    data[chan : chan + old] = struct.pack(">I", len(box) + 4) + box
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"sowt"):
        at = data.rfind(kind, 0, chan) - 4
        (size,) = struct.unpack(">I", data[at : at + 4])
        data[at : at + 4] = struct.pack(">I", size + len(box) + 4 - old)
    return bytes(data)


def test_an_odd_channel_layout_does_not_end_the_process(stereo: np.ndarray) -> None:
    data = custom_layout(stereo)
    for _ in range(3):
        assert error_db(load_clip(data), clip_from_array(stereo, RATE).samples) < -75


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "the file is empty"),
        (b"x", "not an audio file"),
        (b"This is a shopping list.\n" * 300, "not an audio file"),
        (bytes(50_000), "not an audio file"),
        (b"<!doctype html><html></html>" * 200, "not an audio file"),
        (b"%PDF-1.4\n" * 200, "not an audio file"),
        (b"PK\x03\x04" + bytes(2000), "not an audio file"),
        (b"ID3 is how this text begins. " * 200, "damaged"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "damaged"),
    ],
)
def test_what_is_no_audio_is_refused_in_one_sentence(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    for source in (path, str(path), content, io.BytesIO(content)):
        text = message(source, name="song.mp3")
        assert text.startswith("song.mp3: ")
        assert part in text
    assert str(tmp_path) not in message(path)


def test_playlists_open_nothing(tmp_path: Path, stereo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("private.mp3").write_bytes(write(stereo, RATE, "MP3", "MPEG_LAYER_III"))
    for playlist in (
        "ffconcat version 1.0\nfile private.mp3\n",
        f"ffconcat version 1.0\nfile '{tmp_path / 'private.mp3'}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nprivate.mp3\n#EXT-X-ENDLIST\n",
    ):
        Path("list.mp3").write_text(playlist)
        assert "not an audio file" in message("list.mp3")
        assert "not an audio file" in message(playlist.encode())


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    assert message(tmp_path / "album").startswith("album: this is a folder")
    assert message(tmp_path / "gone.mp3").startswith("gone.mp3: there is no such file")
    assert "no such file" in message("")
    assert "cannot be opened" in message("a\0b.mp3")
    assert "cannot be opened" in message("x" * 5000)
    assert "not a regular file" in message("/dev/null")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(b"RIFF")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # as root, a test may read everything
    assert message(path).startswith("secret.wav: the file may not be read")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_not_finite_are_refused(value: float, channels: int, stereo: np.ndarray) -> None:
    samples = stereo[:, :channels].copy()
    samples[60_000, channels - 1] = value
    assert "not numbers" in message(write(samples, RATE, "WAV", "FLOAT"), name="broken.wav")
    with pytest.raises(AudioError, match="not numbers"):
        clip_from_array(samples, RATE)
    samples[60_000] = [math.inf, -math.inf][:channels]
    assert "not numbers" in message(write(samples, RATE, "AIFF", "FLOAT"))


def test_samples_far_beyond_full_scale_are_refused(stereo: np.ndarray) -> None:
    assert "scale them" in message(write(1e9 * stereo, RATE, "WAV", "FLOAT"))
    assert "scale them" in message(write(1e38 * stereo, RATE, "WAV", "DOUBLE"))
    assert load_clip(write(3e4 * stereo, RATE, "WAV", "FLOAT")).samples.max() > 1000  # integers stored as floats


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "AU"])
def test_files_without_samples_or_with_too_few_are_refused(container: str) -> None:
    text = message(write(np.zeros((0, 1)), RATE, container, "PCM_16"), name="take")
    assert "no audio" in text or "is empty" in text  # soundfile writes no FLAC header without samples
    assert "0.45 s of audio are too few; give at least 0.5 s" in message(write(np.zeros((19845, 2)), RATE, container, "PCM_16"))
    assert load_clip(write(np.zeros((22050, 2)), RATE, container, "PCM_16")).duration_seconds == 0.5


@pytest.mark.parametrize("rate", [1, 100, 3999, 384001, 2_000_000])
def test_sample_rates_out_of_all_bounds_are_refused(rate: int) -> None:
    assert f"sample rate of {rate} Hz is not supported" in message(write(np.zeros((1000, 1)), rate, "WAV", "PCM_16"))


def test_a_codec_that_is_not_there_is_named_as_the_reason(stereo: np.ndarray) -> None:
    wav = bytearray(write(stereo, RATE, "WAV", "PCM_16"))
    wav[20:22] = b"\xcd\xab"
    assert "codec is not supported" in message(bytes(wav))
    webm = encode(stereo, 48000, "webm", "libopus").replace(b"A_OPUS", b"A_NONE")
    assert "codec is not supported" in message(webm)


def limited(samples: np.ndarray, gain: float) -> np.ndarray:
    """Make it as loud as masters are: a limiter that looks 2 ms ahead, peaks at full scale."""
    loud, ahead = gain * samples / np.abs(samples).max(), 88
    peaks = np.maximum(maximum_filter1d(np.abs(loud), 2 * ahead + 1, axis=0), 1.0)
    return np.clip(loud * uniform_filter1d(1.0 / peaks, ahead, axis=0), -1, 1)


@pytest.mark.parametrize("style", ["blues", "classical", "disco", "metal", "reggae"])
def test_cut_off_tops_are_told_from_loud_masters(style: str) -> None:
    samples = music(style, 4.0, RATE)
    samples = (samples / np.abs(samples).max())[:, None]

    def clipped(data: bytes) -> bool:
        return any(warning.startswith("clipped") for warning in load_clip(data).warnings)

    for container, subtype in (
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_24"),
        ("MP3", "MPEG_LAYER_III"),
        ("OGG", "VORBIS"),
    ):
        assert not clipped(write(samples, RATE, container, subtype))
        assert not clipped(write(limited(samples, 2.0), RATE, container, subtype))
        assert clipped(write(np.clip(4.0 * samples, -1, 1), RATE, container, subtype))
    assert clipped(write(np.clip(2.0 * samples, -1, 1), RATE, "WAV", "PCM_16"))
    assert not clipped(write(limited(samples, 8.0), RATE, "WAV", "PCM_16"))
    assert not clipped(write(1.3 * samples, RATE, "WAV", "FLOAT"))  # a mix that goes beyond full scale is all there


def test_clipping_of_one_channel_counts_and_is_measured_before_resampling() -> None:
    samples = np.zeros((RATE, 2), np.float32)
    samples[:, 0] = np.clip(1.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE), -1, 1)
    clip = clip_from_array(samples, RATE)
    assert np.abs(clip.samples).max() < 0.6
    at_full_scale = np.mean(np.abs(samples) == 1.0)
    (warning,) = clip.warnings
    assert float(warning.split("clipped: ")[1].split("%")[0]) / 100 == pytest.approx(at_full_scale, abs=0.02)


class LongWav(io.RawIOBase):
    """A stereo WAV file of any length that is computed where it is read."""

    def __init__(self, seconds: int, rate: int = 16000) -> None:
        block = (8000 * np.sin(np.arange(rate) * 0.1)).astype("<i2")
        self.second = np.stack([block, block], 1).tobytes()
        size = seconds * len(self.second)
        self.head = (
            b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, rate, 4 * rate, 4, 16)
        )
        self.head += b"data" + struct.pack("<I", size)
        self.length, self.position, self.n_read = len(self.head) + size, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.length)[whence]
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self.length - self.position)
        if count <= 0:
            return 0
        start = self.position - len(self.head)
        if start < 0:
            data = self.head[self.position : self.position + count]
        else:
            shift = start % len(self.second)
            repeats = (shift + count) // len(self.second) + 1
            data = (self.second * repeats)[shift : shift + count]
        buffer[: len(data)] = data
        self.position += len(data)
        self.n_read += len(data)
        return len(data)


def peak_of_streaming(source: object) -> tuple[int, float]:
    """Return the memory allocated at the peak, bytes, and how many seconds came out."""
    tracemalloc.start()
    try:
        with open_audio(source) as stream:  # type: ignore[arg-type]
            n_samples = sum(len(block) for block in stream.blocks())
            assert n_samples == stream.n_samples
        return tracemalloc.get_traced_memory()[1], n_samples / 22050
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_length() -> None:
    short, seconds = peak_of_streaming(LongWav(60))
    assert seconds == pytest.approx(60)
    long, seconds = peak_of_streaming(LongWav(1800))
    assert seconds == pytest.approx(1800)
    assert long < 1.1 * short < 8e6


def test_memory_does_not_grow_with_the_length_of_compressed_audio(stereo: np.ndarray) -> None:
    data = write(stereo[:, :1], RATE, "MP3", "MPEG_LAYER_III")
    short, _ = peak_of_streaming(io.BytesIO(data * 10))
    long, seconds = peak_of_streaming(io.BytesIO(data * 60))
    assert seconds == pytest.approx(180, abs=5)
    assert long < 1.1 * short < 8e6


def test_longer_audio_than_wanted_is_refused_before_it_is_read() -> None:
    source = LongWav(3600)
    text = message(source, name="set.wav", max_seconds=20)
    assert text == "set.wav: the audio is longer than 20 s; cut it into shorter pieces"
    assert source.n_read < 0.02 * source.length
    assert "longer than 2 min;" in message(LongWav(180), max_seconds=120)
    assert load_clip(LongWav(20), max_seconds=20).duration_seconds == 20


def test_a_stream_is_consumed_once_and_ends_when_it_is_closed(tmp_path: Path, stereo: np.ndarray) -> None:
    path = tmp_path / "Über uns.mp3"
    path.write_bytes(write(np.tile(stereo, (4, 1)), RATE, "MP3", "MPEG_LAYER_III"))
    whole = load_clip(path, sample_rate=16000)
    assert whole.name == "Über uns.mp3"
    with open_audio(path, sample_rate=16000) as stream:
        blocks = list(stream.blocks())
        assert stream.sample_rate == 16000
        assert stream.n_samples == len(whole.samples)
        np.testing.assert_array_equal(np.concatenate(blocks), whole.samples)
        assert list(stream.blocks()) == []
    stream = open_audio(path)
    blocks_of_closed: Iterator[np.ndarray] = stream.blocks()
    next(blocks_of_closed)
    stream.close()
    assert list(blocks_of_closed) == []


@pytest.mark.parametrize("name", ["wav 16", "mp3"])
def test_a_file_object_is_read_from_its_start_and_left_open(name: str, stereo: np.ndarray) -> None:
    data = FORMATS[name][0](stereo)
    file = io.BytesIO(data)
    file.seek(1000)
    np.testing.assert_array_equal(load_clip(file).samples, load_clip(data).samples)
    assert not file.closed

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    class Lost(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    assert "cannot go back" in message(Pipe(data), name="pipe")
    assert "cannot be read" in message(Lost(data), name="lost")


def test_names_in_messages_have_no_folder_and_no_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m.mp3"
    path.write_bytes(b"")
    assert message(path).startswith("a?b?[31m.mp3: ")
    assert message(b"", name="C/D/e.wav").startswith("e.wav: ")
    assert message(b"").startswith("clip: ")
    assert len(message(b"", name="n" * 1000)) < 250


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_arrays_of_every_type_have_the_same_scale(dtype: str) -> None:
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    values = sine.astype(dtype)
    if not dtype.startswith("float"):
        half = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
        values = np.round(sine * (half - 1) + (half if dtype == "uint8" else 0)).astype(dtype)
    for shape in ((-1,), (-1, 1)):
        clip = clip_from_array(values.reshape(shape), 22050, name="take")
        np.testing.assert_allclose(clip.samples, sine, atol=0.01 if "8" in dtype else 5e-4)
        assert clip.name == "take"


@pytest.mark.parametrize(
    "values", [np.zeros((0,)), np.zeros((100, 0)), np.zeros((5, 5, 5)), np.array(["a"]), np.zeros(4, bool), 1.0]
)
def test_arrays_that_are_no_audio_are_refused(values: object) -> None:
    with pytest.raises(AudioError, match="take: "):
        clip_from_array(values, 22050, name="take")  # type: ignore[arg-type]


def test_decoders_write_nothing_to_the_terminal(stereo: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("mp3", "aac", "webm", "m4a", "wma", "vorbis", "flac 16"):
        data = bytearray(FORMATS[name][0](stereo))
        for damaged in (cut(data, 0.6), cut(data, 0.01), data[:3000] + b"junk" * 200 + data[3500:]):
            with contextlib.suppress(AudioError):
                load_clip(bytes(damaged))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_mutated_files_end_in_a_clip_or_a_clear_error(stereo: np.ndarray) -> None:
    random = np.random.default_rng(2)
    originals = [
        FORMATS[name][0](stereo[:50_000]) for name in ("wav 16", "flac 16", "vorbis", "mp3", "m4a", "webm", "wma", "aiff")
    ]
    originals.append(custom_layout(stereo[:50_000]))
    n_clips = 0
    errors: list[str] = []
    for k in range(180):
        data = bytearray(originals[k % len(originals)])
        for _ in range(random.integers(1, 30)):
            at = random.integers(min(len(data), (300, len(data))[k % 2]))
            data[at] = random.integers(256)
        try:
            clip = load_clip(bytes(data), name="mutated", max_seconds=60)
        except AudioError as error:
            errors.append(str(error))
        else:
            n_clips += 1
            assert np.isfinite(clip.samples).all()
    assert n_clips > 40
    assert len(errors) > 20
    assert all(error.startswith("mutated: ") for error in errors)
