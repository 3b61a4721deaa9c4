"""Write clips, and a simulated recording of each, as folders that genre-app evaluate and combine take.

    python -m train.simulate_recordings FOLDER OUT --noises NOISES --rooms RESPONSES

FOLDER holds genre folders. If its files have GTZAN's names, only the tracks of the validation split are written. OUT gets
``files``, ``recordings``, and ``both`` with the files of the two. The recordings are made with the waveform settings of a
recipe, without its changes of pitch and tempo. The name of a track is the seed of its recording.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import typer

from genre_app.audio import load_clip
from genre_app.augment.config import WaveformConfig
from genre_app.augment.waveform import augment_waveform
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import fault_filtered, gtzan_name
from genre_app.data.tracks import AudioTrack
from genre_app.runs.recipes import read_recipe

RATE = 22050


def write(path: Path, samples: np.ndarray) -> None:
    """Write a WAV file, attenuated if it exceeds full scale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples / max(1.0, float(np.abs(samples).max(initial=0.0))), RATE, subtype="FLOAT")


def chain(recipe: str, noises: Path | None, rooms: Path | None) -> WaveformConfig:
    """Return the waveform settings of a recipe, without changes of pitch and tempo, with these noises and impulse responses."""
    settings: dict[str, Any] = {"pitch_probability": 0.0, "stretch_probability": 0.0, "room_folder": rooms}
    if noises:
        settings |= {"background_folder": noises, "background_probability": 0.45}
    return read_recipe(recipe).augment.waveform.model_copy(update=settings)


def simulate(tracks: Sequence[AudioTrack], out: Path, config: WaveformConfig, *, least_seconds: float = 0.0) -> None:
    """Write each track that is long enough, and a simulated recording of it."""
    with typer.progressbar(tracks, label="simulating recordings") as bar:
        for track in bar:
            clip = load_clip(track.path, sample_rate=RATE)
            if clip.duration_seconds < least_seconds:
                continue
            stem = Path(track.track_id).stem
            recording = augment_waveform(clip.samples, RATE, config, zlib.crc32(stem.encode()))
            for folder, samples in (("files", clip.samples), ("recordings", recording)):
                write(out / folder / track.genre / f"{stem}.wav", samples)
                write(out / "both" / track.genre / f"{stem}-{folder}.wav", samples)


def main() -> None:
    """Write the clips and print how many there are."""
    parser = argparse.ArgumentParser(prog="python -m train.simulate_recordings", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="transfer", help="recipe whose waveform settings are used")
    parser.add_argument("--noises", type=Path, help="folder of background noises")
    parser.add_argument("--rooms", type=Path, help="folder of impulse responses, for half of the rooms")
    parser.add_argument("--least-seconds", type=float, default=0.0, help="leave out shorter clips")
    asked = parser.parse_args()
    splits = fault_filtered()
    names = {track: gtzan_name(track.track_id) for track in AudioFolder.open(asked.folder, None).tracks}
    tracks = [track for track, name in names.items() if not name or splits.get(name) == "valid"]
    simulate(tracks, asked.out, chain(asked.recipe, asked.noises, asked.rooms), least_seconds=asked.least_seconds)
    for folder in ("files", "recordings", "both"):
        print(asked.out / folder, sum(1 for _ in (asked.out / folder).glob("*/*.wav")))


if __name__ == "__main__":
    main()
