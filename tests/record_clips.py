"""Record a folder of genre folders through Chromium's microphone, so that the real path is measured and not its imitation.

python -m tests.record_clips FOLDER OUT [--mode music|speech|default] [--seconds 12] [--limit N] [--parallel 3] [--room]
genre-app evaluate OUT

A page of its own takes raw samples, so that no codec and nothing of genre-app's page is in the way: what is heard is the
browser's microphone alone. ``default`` is what a page gets that asks for ``{audio: true}``, ``music`` switches the browser's
processing for speech off, ``speech`` asks for it. ``--room`` plays the clips across a room into a phone (the condition
``phone-in-room``). A take is of what ``genre-app evaluate FOLDER --seconds 12`` hears of the files, to within a few hundredths
of a second. It is real time. Takes that are there already are kept, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
import soundfile
from playwright.sync_api import Error, sync_playwright

from genre_app.audio import load_clip
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.tracks import AudioTrack
from genre_app.errors import AudioError, DataError
from genre_app.evaluation.conditions import STANDARD
from tests import chromium

RATE = 48000  # of the file that is played
SPARE_SECONDS = 1.0  # played more than is recorded: some pass before the first sample is taken
TRIES = 3
MAX_SHIFT_SECONDS = 0.005  # between start and end of a take without a gap

CONSTRAINTS = {
    "default": True,
    "music": {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False},
    "speech": {"echoCancellation": True, "noiseSuppression": True, "autoGainControl": True},
}
ADDRESS = "https://recorder.invalid/"  # answered by the test's own route; a microphone needs https
PAGE = """<!doctype html><script>
const tap = `registerProcessor("tap", class extends AudioWorkletProcessor {
    process([input]) {
        if (input.length) this.port.postMessage(input.map((channel) => channel.slice()));
        return true;
    }
})`;
async function record(constraints, rate, seconds) {
    const context = new AudioContext({ sampleRate: rate });
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([tap], { type: "text/javascript" })));
    await context.resume();
    const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
    const node = new AudioWorkletNode(context, "tap");
    const take = new Float32Array(Math.round(seconds * rate));
    let filled = 0;
    await new Promise((full) => {
        node.port.onmessage = ({ data }) => {
            for (let i = 0; i < data[0].length && filled < take.length; i++)
                take[filled++] = data.reduce((sum, channel) => sum + channel[i], 0) / data.length;
            if (filled === take.length) full();
        };
        context.createMediaStreamSource(stream).connect(node).connect(context.destination);
    });
    const settings = stream.getAudioTracks()[0].getSettings();
    stream.getTracks().forEach((track) => track.stop());
    const reader = new FileReader();
    await new Promise((read) => { reader.onload = read; reader.readAsDataURL(new Blob([take])); });
    return { base64: reader.result.split(",")[1], settings };
}
</script>"""


@dataclass(frozen=True, eq=False)
class Take:
    """What the page got: mono samples at `RATE`, and the settings of the microphone's track."""

    samples: np.ndarray
    settings: dict


class FaultyTakeError(RuntimeError):
    """A take that cannot be used; ``take`` and ``shifts`` are of one that came but seems to have a gap."""

    def __init__(self, message: str, take: Take | None = None, shifts: np.ndarray | None = None) -> None:
        super().__init__(message)
        self.take, self.shifts = take, shifts


def play_and_record(samples: np.ndarray, mode: str, seconds: float) -> Take:
    """Start Chromium with samples at `RATE` as its microphone, and record."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        played = Path(folder) / "played.wav"
        soundfile.write(played, samples / max(1.0, np.abs(samples).max() / 0.99), RATE, subtype="PCM_16")
        browser = chromium.launch(
            playwright,
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={played}%noloop",
            "--use-fake-ui-for-media-stream",
            "--autoplay-policy=no-user-gesture-required",
        )
        try:
            page = browser.new_page()
            page.route("**/*", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
            page.goto(ADDRESS)
            page.evaluate(
                """([...given]) => { record(...given).then((take) => { window.take = take; },
                                                           (error) => { window.take = { error: String(error) }; }); }""",
                [CONSTRAINTS[mode], RATE, seconds],
            )
            page.wait_for_function("window.take", timeout=1000 * (seconds + 30))
            take = page.evaluate("window.take")
        finally:
            browser.close()
    if "error" in take:
        raise FaultyTakeError(take["error"])
    return Take(np.frombuffer(base64.b64decode(take["base64"]), np.float32), take["settings"])


def lags(played: np.ndarray, heard: np.ndarray, n_pieces: int = 4) -> np.ndarray:
    """Seconds at which pieces of what was heard were played, less those at which they were heard [n]: equal without a gap."""
    padded = np.pad(played.astype(np.float64), RATE // 2)  # a take may begin before the sound does
    energy = np.concatenate([[0.0], np.cumsum(padded**2)])
    found, start = [], 0
    for piece in np.array_split(heard, n_pieces):
        alike = np.abs(scipy.signal.correlate(padded, piece, "valid", "fft"))
        under = energy[len(piece) :] - energy[: len(alike)]  # loud places are like anything
        found.append(int((alike / np.sqrt(under + 1e-3 * energy[-1])).argmax()) - start)
        start += len(piece)
    return np.array(found) / RATE


def check(played: np.ndarray, take: Take) -> None:
    """Raise FaultyTakeError for a take that is silent or seems to have a gap, as happens where the machine is too busy."""
    if np.abs(take.samples).max() < 1e-4:
        raise FaultyTakeError("nothing arrived")
    shifts = lags(played, take.samples)
    shifts -= shifts[0]
    if np.ptp(shifts) > MAX_SHIFT_SECONDS:
        raise FaultyTakeError(f"a gap: {np.round(1000 * shifts)} ms are missing before each quarter", take, shifts)


def attempts(samples: np.ndarray, mode: str, seconds: float) -> tuple[Take, list[str]]:
    """Record until a take is whole, and tell what was wrong before; a gap is put up with in the end."""
    notes: list[str] = []
    before: np.ndarray | None = None
    for left in reversed(range(TRIES)):
        try:
            take = play_and_record(samples, mode, seconds)
            check(samples, take)
            return take, notes
        except FaultyTakeError as fault:
            if fault.take is not None and before is not None and np.abs(fault.shifts - before).max() < 0.001:
                return (
                    fault.take,
                    [],
                )  # the same again is no accident: the browser's processing moves sounds by some milliseconds
            notes.append(str(fault))
            before = fault.shifts
            if not left and fault.take is not None:
                return fault.take, notes
        except Error as error:  # Playwright's: the browser did not start, or not answer in time
            notes.append(str(error).splitlines()[0])
    raise FaultyTakeError("; ".join(notes))


def record_track(track: AudioTrack, out: Path, mode: str, seconds: float, *, room: bool) -> str:
    """Record the middle of a track to a WAV file, and say how it went."""
    whole = load_clip(track.path, sample_rate=RATE, name=track.track_id).samples
    start = max(0, len(whole) - round(seconds * RATE)) // 2
    samples = whole[start : start + round((seconds + SPARE_SECONDS) * RATE)]
    if room:
        samples = STANDARD["phone-in-room"].apply(samples, RATE, track.track_id)
    take, notes = attempts(samples, mode, min(seconds, max(0.5, len(samples) / RATE - 0.1)))
    target = out / Path(track.track_id).with_suffix(".wav")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    soundfile.write(unfinished, take.samples, RATE, format="WAV", subtype="PCM_16")
    unfinished.replace(target)
    wanted = {name: take.settings.get(name) for name in CONSTRAINTS["music"]}
    return "; ".join([f"{track.track_id}: {mode} {list(wanted.values())}", *notes])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.record_clips", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="of genre folders with audio")
    parser.add_argument("out", type=Path, help="made if missing")
    parser.add_argument("--mode", choices=CONSTRAINTS, default="default")
    parser.add_argument("--seconds", type=float, default=12.0, help="from the middle of each track")
    parser.add_argument("--limit", type=int, help="no more than so many tracks, from all over the folder")
    parser.add_argument("--parallel", type=int, default=3, help="browsers at once")
    parser.add_argument("--room", action="store_true", help="play across a room into a phone")
    given = parser.parse_args(arguments)
    if chromium.executable() is None:
        parser.error("neither chromium nor google-chrome is installed")
    try:
        tracks = AudioFolder.open(given.folder).tracks
    except DataError as error:
        parser.error(str(error))
    if given.limit is not None and given.limit < len(tracks):
        tracks = tuple(tracks[index] for index in np.linspace(0, len(tracks) - 1, given.limit).round().astype(int))
    waiting = [track for track in tracks if not (given.out / Path(track.track_id).with_suffix(".wav")).exists()]
    n_failed = 0
    with ThreadPoolExecutor(given.parallel) as pool:
        jobs = {
            pool.submit(record_track, track, given.out, given.mode, given.seconds, room=given.room): track for track in waiting
        }
        for done, job in enumerate(as_completed(jobs), 1):
            try:
                said = job.result()
            except (AudioError, FaultyTakeError) as error:
                n_failed += 1
                said = f"{jobs[job].track_id} FAILED: {error}"
            print(f"{done}/{len(waiting)} {said}", file=sys.stderr, flush=True)
    print(f"{len(tracks) - n_failed} of {len(tracks)} takes in {given.out}, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
