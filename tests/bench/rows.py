"""The rows of tests.bench: what each measures, in which unit, and within which bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.measurements import LENGTHS, Bench


@dataclass(frozen=True)
class Row:
    what: str
    unit: str
    bound: tuple[float, float] | None  # least and most
    measure: Callable[[Bench], list[float]]
    needs: tuple[str, ...] = ()  # of the ways and lengths, each of which are measured by turns


INFINITE = float("inf")
_SONG = "30 s MP3 (44.1 kHz stereo), one thread"
ROWS = {
    "decode": Row(f"{_SONG}: decoded to mono at the model's rate", "ms", None, lambda b: b.ways["decode"], ("decode",)),
    "vote": Row(f"{_SONG}: decode to vote", "ms", (0, 500), lambda b: b.ways["vote"], ("vote",)),
    "vote-fast": Row("the same with the checkpoint `fast`", "ms", None, lambda b: b.ways["fast"], ("fast",)),
    "vote-transfer": Row(
        "the same with the fine-tuned musicnn of `default` alone", "ms", None, lambda b: b.ways["transfer"], ("transfer",)
    ),
    "usual": Row(
        f"{_SONG}: librosa.load, melspectrogram and the network of `fast`, segment by segment",
        "ms",
        None,
        lambda b: b.ways["usual"],
        ("usual",),
    ),
    "vote-decode": Row(
        "`fast`: decode to vote / decoding", "×", (0, 2.5), lambda b: b.ratio("fast", "decode"), ("decode", "fast")
    ),
    "vote-decode-mono": Row(
        "the same for a mono MP3, which is cheaper to decode",
        "×",
        (0, 2.5),
        lambda b: b.ratio("fast-mono", "decode-mono"),
        ("decode-mono", "fast-mono"),
    ),
    "vote-soundfile": Row(
        "`fast`: decode to vote / soundfile.read alone, which neither mixes nor resamples",
        "×",
        None,
        lambda b: b.ratio("fast", "soundfile"),
        ("soundfile", "fast"),
    ),
    "usual-vote": Row(
        "the usual way / `fast`: decode to vote", "×", (3, INFINITE), lambda b: b.ratio("usual", "fast"), ("fast", "usual")
    ),
    **{
        f"memory-{length}": Row(
            f"{length} MP3: peak memory above the idle process",
            "MB",
            (0, 400),
            lambda b, of=length: b.stream(of, "memory"),
            (length,),
        )
        for length in LENGTHS
    },
    **{
        f"rate-{length}": Row(
            f"{length} MP3, one thread: seconds per hour of audio",
            "s",
            None,
            lambda b, of=length: b.stream(of, "rate"),
            (length,),
        )
        for length in LENGTHS
    },
    "linear": Row("time of 3 h / time of 30 min (6 is linear)", "×", (5, 7), Bench.linear, ("30min", "3h")),
    "explain": Row("30 s explained, on all cores", "s", (0, 3), lambda b: b.reasons["explain"]),
    "what-if": Row("30 s classified at nine pitches, on all cores", "s", (0, 10), lambda b: b.reasons["what-if"]),
    "page-vote": Row("Chromium, default checkpoint: dropped 30 s MP3 to the painted vote", "s", (0, 1.2), lambda b: b.page(0)),
    "page-figure": Row("Chromium, default checkpoint: the same to the painted figure", "s", (0, 1.2), lambda b: b.page(1)),
    "page-open": Row("Chromium: the page opened once more, to a player that takes files", "s", (0, 3), lambda b: b.page(2)),
    "page-training": Row(
        "Chromium: dropped 30 s MP3 to the painted vote, while `default` trains", "s", (0, 2), Bench.page_training
    ),
    "prepare": Row(
        "1 000 WAV files of 30 s (22.05 kHz mono) decoded into a mel cache by two processes", "s", (0, 60), Bench.prepare
    ),
    "epoch": Row(
        "an epoch of `default` on two cores, 5 segments of each of the tracks of the next rows",
        "s",
        None,
        lambda b: b.epoch("ours"),
    ),
    "plain-epoch-mp3": Row(
        "the plain way's epoch (file and librosa mel per item, DataLoader of 2 workers) / ours; MP3 files",
        "×",
        (5, INFINITE),
        lambda b: b.epoch("plain-mp3"),
    ),
    "plain-epoch-wav": Row("the same from WAV files at the model's rate", "×", (5, INFINITE), lambda b: b.epoch("plain-wav")),
    "train-transfer": Row(
        "`transfer` on two cores, 5 genres of 20 WAV files of 30 s: command to the first checkpoint (4 epochs)",
        "s",
        (0, 180),
        Bench.train_transfer,
    ),
    "teach": Row("`genre-app teach` on two cores, 5 genres of 10 WAV files of 10 s", "s", (0, 30), Bench.teach),
    "pool": Row("speed with changed waveforms / without", "%", None, Bench.pool),
    "help": Row("genre-app --help", "s", (0, 1), Bench.help),
    "start": Row("python app.py to the first page over HTTP", "s", (0, 8), Bench.start),
}
