"""Files that a program sends: damaged ones, and all formats."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
import soundfile
from gradio_client import handle_file

from genre_app import classify, load_clip

RATE = 22050


def encoded(clip, suffix: str) -> bytes:
    """The clip as a small file of some format."""
    file = io.BytesIO()
    if suffix in ("wav", "flac", "ogg", "mp3", "aiff"):
        soundfile.write(file, clip.samples, RATE, format=suffix.upper())
        return file.getvalue()
    codec, container, rate = {"m4a": ("aac", "mp4", 44100), "webm": ("libopus", "webm", 48000)}[suffix]
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(clip.samples[None], format="fltp", layout="mono")
        frame.rate = RATE
        resampler = av.AudioResampler("fltp" if codec == "aac" else "flt", "mono", rate, frame_size=stream.frame_size or 960)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Damage a file: bits, stretches, header fields, its end, or another one's middle."""
    changed = bytearray(data)
    kind = random.integers(5)
    if kind == 0:  # scattered bytes
        for place in random.integers(0, len(changed), random.integers(1, 60)):
            changed[place] = random.integers(256)
    elif kind == 1:  # the header
        for place in random.integers(0, min(128, len(changed)), random.integers(1, 8)):
            changed[place] = random.choice([0, 0xFF, 0x7F, 0x80, int(random.integers(256))])
    elif kind == 2:  # cut short
        del changed[random.integers(0, len(changed)) :]
    elif kind == 3:  # a stretch missing
        start = random.integers(0, len(changed))
        del changed[start : start + random.integers(1, len(changed))]
    else:  # a stretch repeated elsewhere
        start, end = sorted(random.integers(0, len(changed), 2))
        place = random.integers(0, len(changed))
        changed[place:place] = changed[start:end]
    return bytes(changed)


def test_damaged_files_end_in_an_answer_or_a_sentence(client, make_clip, songs, tmp_path):
    clip = make_clip(4.0, 1)
    formats = ("wav", "flac", "ogg", "mp3", "aiff", "m4a", "webm")
    originals = {suffix: encoded(clip, suffix) for suffix in formats}
    random = np.random.default_rng(20)
    paths = []
    for number in range(70):
        suffix = formats[number % len(formats)]
        path = tmp_path / f"damaged{number:03d}.{suffix}"
        path.write_bytes(mutated(originals[suffix], random))
        paths.append(path)
    answers, refusals = 0, 0
    for start in (0, 35):
        group = paths[start : start + 35]
        found = client.predict([handle_file(str(path)) for path in group], api_name="/classify_batch")
        for path, entry in zip(group, found, strict=True):
            assert entry["file"] == path.name
            if "error" in entry:
                refusals += 1
                assert entry["error"].startswith(f"{path.name}: ")
                assert 20 < len(entry["error"]) < 250
                assert "Traceback" not in entry["error"]
            else:
                answers += 1
                assert sum(entry["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert answers > 14, "the damage should be mild enough for some files to be heard"
    assert refusals > 7, "and hard enough for some to be refused"
    assert client.predict(handle_file(songs[0]), api_name="/classify")["file"] == "song00.wav"


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a", "webm"])
def test_one_clip_in_every_format_gets_the_same_answer(client, make_clip, tmp_path, checkpoint, suffix):
    clip = make_clip(8.0, 5)
    path = tmp_path / f"clip.{suffix}"
    path.write_bytes(encoded(clip, suffix))
    found = client.predict(handle_file(str(path)), api_name="/classify")
    here = classify(load_clip(path), checkpoint)
    assert list(found["probabilities"].values()) == list(here.probabilities)
    # What the codec costs; a network of random weights forgives less than a trained one.
    expected = classify(clip, checkpoint)
    assert here.genre == expected.genre
    np.testing.assert_allclose(here.probabilities, expected.probabilities, atol=2e-3 if suffix in ("wav", "flac") else 0.3)
