"""Files that are cut short, have holes or lie about their length."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from genre_app.audio import load_clip
from tests.audio.files import FORMATS, RATE, clip_from_array, cut, encode, error_db, film, message, write

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
    assert "damaged" in text or "cut short" in text or "too short" in text or "no audio" in text


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


def holes(data: bytes, share: float, n: int = 20) -> bytes:
    """Replace a share of the bytes by noise, in ``n`` holes after the first frames."""
    damaged, random = bytearray(data), np.random.default_rng(0)
    size = round(share * len(data) / n)
    for start in np.linspace(len(data) // 20, len(data) - len(data) // 20 - size, n).astype(int):
        damaged[start : start + size] = random.bytes(size)
    return bytes(damaged)


@pytest.mark.parametrize("states_its_length", [True, False])
def test_packets_of_an_mp3_that_cannot_be_decoded_are_counted(states_its_length: bool, stereo: np.ndarray) -> None:
    mp3 = write(np.tile(stereo, (4, 1)), RATE, "MP3", "MPEG_LAYER_III")
    if not states_its_length:
        mp3 = mp3.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4))
    assert load_clip(mp3).warnings == ()
    clip = load_clip(holes(mp3, 0.05, 3))
    (warning,) = clip.warnings
    seconds, claimed = map(float, re.findall(r"[\d.]+(?= s)", warning))
    assert warning.startswith("decoded only in part")
    assert seconds == pytest.approx(clip.duration_seconds, abs=0.05)
    assert claimed == pytest.approx(12.0, abs=0.3)
    text = message(holes(mp3, 0.4), name="take.mp3")
    assert text.startswith("take.mp3: ")
    assert "% of the sound cannot be decoded" in text


def test_tags_between_joined_mp3_are_no_damage(stereo: np.ndarray) -> None:
    clip = load_clip(tagged_mp3(stereo) * 2)
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(6.0, abs=0.1)


def test_the_length_of_an_mp3_is_counted_and_not_estimated(stereo: np.ndarray) -> None:
    # Quiet first: an estimate from the first frames of a variable bit rate is far off; libsndfile stops at 6.5 s.
    quiet_first = np.concatenate([1e-4 * stereo, stereo, stereo])
    mp3 = write(quiet_first, RATE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.2)
    mp3 = mp3.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4))  # the first frame then does not state the length
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
