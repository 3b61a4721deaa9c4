"""Cross-validate the shipped networks together: ``python -m train.out_of_fold --mel MEL_CACHE --audio PIECES --init-from MSD``.

For each fold, the recipes ``default`` (on the mel cache) and ``transfer`` (on the audio) are trained without the fold's tracks
of GTZAN. Both networks then classify the audio of these tracks and a simulated recording of it. The predictions of all folds
choose the weights, temperatures and limits of a sure answer for the checkpoint ``default``. Those of the committee for the rows
of the cache choose the temperature and limits of ``fast``. ``--write`` puts them into the checkpoints of a folder.

With ``--mix``, the weights and temperatures of the networks in a checkpoint are kept. Only the temperature of their mean and
the limits are chosen; for the results of a fold they come from the other folds. ``--write`` then changes ``default`` alone.

Ten neighbouring numbers of GTZAN are in one fold, because neighbours are often by the same artist. An artist with more tracks
is still in several folds, so the results are too good for music by new artists. A finished run in the output folder is not
trained again, and an interrupted one is resumed.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from genre_app.augment.config import WaveformConfig
from genre_app.checkpoint import Checkpoint, Member, load_checkpoint, save_checkpoint
from genre_app.combine import combine
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import gtzan_name
from genre_app.data.tracks import AudioTrack
from genre_app.evaluation.combination import Combination, calibrated, combine_by
from genre_app.evaluation.evaluate import MemberTrack, evaluate_members
from genre_app.evaluation.metrics import Report
from genre_app.predict import classify_columns
from genre_app.runs.request import Request
from genre_app.runs.settings import Value
from genre_app.vote import References
from train.results import finished_run
from train.simulate_recordings import chain, simulate

_MIDDLE_SECONDS = 12.0
_NEIGHBOURS = 10
KEEP_LAST: dict[str, Value] = {"keep": "last", "fit_temperature": False}  # a held-out track chooses nothing of its own network

_Clips = dict[str, list[MemberTrack]]  # kind of clips: files, recordings, and 12 s of both

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    mel: Annotated[Path, typer.Option(help="Mel cache of GTZAN; its track ids are GTZAN's names.")],
    audio: Annotated[Path, typer.Option(help="Folder of genre folders with pieces of the same tracks.")],
    init_from: Annotated[Path, typer.Option(help="Checkpoint with the pre-trained musicnn.")],
    noises: Annotated[Path, typer.Option(help="Folder of background noises.")],
    rooms: Annotated[Path, typer.Option(help="Folder of impulse responses.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs, clips and results.")] = Path("runs/out-of-fold"),
    folds: Annotated[int, typer.Option(min=2, max=10)] = 3,
    only: Annotated[list[int] | None, typer.Option(help="Folds to train and to choose by, from 0; by default all.")] = None,
    mix: Annotated[
        Path | None, typer.Option(help="Checkpoint whose weights and temperatures of the networks are kept.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Folder of default.safetensors and fast.safetensors to change.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=256)] = 1,
) -> None:
    """Train the missing runs, choose by the held-out tracks and print the results."""
    torch.set_num_threads(threads)
    recipe = {
        "augment.waveform.background_folder": str(noises),
        "augment.waveform.background_probability": 0.45,
        "augment.waveform.room_folder": str(rooms),
    }
    of_mel: list[MemberTrack] = []
    of_folds: list[_Clips] = []
    pair: list[Checkpoint] = []
    pieces = AudioFolder.open(audio, None).tracks
    names = [track.track_id for track in MelCache.open(mel).tracks]
    if unknown := set(only or ()) - set(range(folds)):
        raise typer.BadParameter(f"there is no fold {min(unknown)}; the folds are 0 to {folds - 1}", param_hint="--only")
    for number in only or range(folds):
        held_out = blocks(names, folds)[number]
        file = out / f"fold-{number}.csv"
        write_split(file, {name: _split(name in held_out) for name in names})
        request = Request(recipe="default", data=str(mel), settings=KEEP_LAST | {"split.file": str(file)}, threads=threads)
        committee = load_checkpoint(finished_run(out / f"default-{number}", request).best)
        of_mel += _of_mel(mel, committee, held_out)
        file = out / f"pieces-{number}.csv"
        write_split(file, {piece.track_id: _split(gtzan_name(piece.track_id) in held_out) for piece in pieces})
        settings = KEEP_LAST | recipe | {"split.file": str(file)}
        request = Request(recipe="transfer", data=str(audio), settings=settings, init_from=str(init_from), threads=threads)
        pair = [committee, load_checkpoint(finished_run(out / f"transfer-{number}", request).best)]
        held = [piece for piece in pieces if gtzan_name(piece.track_id) in held_out]
        place = _written(out / f"clips-{number}", held, chain("transfer", noises, rooms))
        of_folds.append(dict(_of_clips(place, combine(pair))))
    clips = {kind: [track for of_fold in of_folds for track in of_fold[kind]] for kind in of_folds[0]}
    alone, of_transfer, joined = _choose(pair, of_mel, clips)
    print(joined.to_table(), end="\n\n")
    kept = None if mix is None else _with_mix(joined.checkpoint, load_checkpoint(mix))
    reported = [joined.checkpoint if kept is None else _by_others(kept, of_folds, place) for place in range(len(of_folds))]
    for title, line in _lines(alone, of_transfer, reported, of_mel, of_folds):
        print(f"{title}: {line}")
    if write is not None and kept is None:
        own = [_whole(found.checkpoint.members[0]) for found in (alone, of_transfer)]
        _give(write / "fast.safetensors", alone.checkpoint, own[:1])
        _give(write / "default.safetensors", joined.checkpoint, own)
    elif write is not None and kept is not None:
        report, _ = _answers([(of_fold, _of_both(clips)) for of_fold, clips in zip(reported, of_folds, strict=True)])
        _give(write / "default.safetensors", replace(_by_all(kept, clips), metrics={"valid": report.to_dict()}))


def blocks(names: Iterable[str], folds: int) -> list[set[str]]:
    """Return the held-out tracks of each fold: of GTZAN's numbers, such as ``blues.00023``, every ``folds``-th ten."""
    held_out: list[set[str]] = [set() for _ in range(folds)]
    for name in names:
        held_out[int(name.split(".")[1]) // _NEIGHBOURS % folds].add(name)
    return held_out


def _split(is_held_out: bool) -> str:
    return "valid" if is_held_out else "train"


def write_split(path: Path, splits: Mapping[str, str]) -> None:
    """Write a split file; ``splits`` has the split of each track by the track's id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("track_id", "split"), *splits.items()])


def _written(place: Path, tracks: Sequence[AudioTrack], config: WaveformConfig) -> Path:
    """Return a folder with the tracks and their simulated recordings; write it whole if it is missing."""
    if not place.exists():
        part = place.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        simulate(tracks, part, config)
        part.rename(place)
    return place


def _of_mel(mel: Path, committee: Checkpoint, held_out: set[str]) -> Iterator[MemberTrack]:
    """Classify the held-out rows of the cache with the committee."""
    cache = MelCache.open(mel)
    for track in cache.tracks:
        if track.track_id in held_out:
            rows = classify_columns(cache.rows(track), committee, committee.spec)
            yield MemberTrack(track.track_id, committee.genres.index(track.genre), rows)


def _of_clips(place: Path, joined: Checkpoint) -> Iterator[tuple[str, list[MemberTrack]]]:
    """Classify the clips of a fold as they are and as recordings, and the middle of both."""
    for kind in ("files", "recordings"):
        yield kind, list(evaluate_members(place / kind, joined).tracks)
        yield f"{_MIDDLE_SECONDS:g} s of {kind}", list(evaluate_members(place / kind, joined, seconds=_MIDDLE_SECONDS).tracks)


def _of_both(clips: _Clips) -> list[MemberTrack]:
    """Return the files and the recordings, which choose together."""
    return [*clips["files"], *clips["recordings"]]


def _choose(
    pair: Sequence[Checkpoint], of_mel: Sequence[MemberTrack], clips: _Clips
) -> tuple[Combination, Combination, Combination]:
    """Choose for the committee by the rows of the cache, and for musicnn and both networks by files and recordings.

    The networks of one fold stand for all: their temperatures are those of the recipes.
    """
    committee, transfer = (replace(part, name=name) for part, name in zip(pair, ("committee", "musicnn"), strict=True))
    of_both = _of_both(clips)
    second = [replace(track, of_members=track.of_members[1:]) for track in of_both]
    return combine_by(of_mel, [committee]), combine_by(second, [transfer]), combine_by(of_both, [committee, transfer])


def _with_mix(joined: Checkpoint, shipped: Checkpoint) -> Checkpoint:
    """Return the networks of a fold with the weights, temperatures and limits of the shipped ones."""
    members = [
        replace(ours, weight=theirs.weight, temperature=_whole(theirs) / _own(ours))
        for ours, theirs in zip(joined.members, shipped.members, strict=True)
    ]
    return replace(joined, members=tuple(members), sure=shipped.sure, temperature=shipped.temperature)


def _by_all(kept: Checkpoint, clips: _Clips) -> Checkpoint:
    """Return the checkpoint with the temperature, limits and references that the clips of all folds choose."""
    chosen, _ = calibrated(kept, _of_both(clips))
    files, _ = _answers([(chosen, clips["files"])])
    # A recording of a file beside it would stand for the same track twice.
    return replace(chosen, references=References.of_tracks(files.probabilities, files.labels))


def _own(member: Member) -> float:
    """Return the temperature that is part of the network's weights."""
    return float(member.model.temperature)


def _whole(member: Member) -> float:
    """Return the temperature of a member with that of its network."""
    return member.temperature * _own(member)


def _by_others(kept: Checkpoint, of_folds: Sequence[_Clips], place: int) -> Checkpoint:
    """Return the checkpoint with the temperature and limits that all folds but one choose; a single fold changes nothing."""
    others = [track for other, clips in enumerate(of_folds) if other != place for track in _of_both(clips)]
    return calibrated(kept, others)[0] if others else kept


def _lines(
    alone: Combination,
    of_transfer: Combination,
    joined: Sequence[Checkpoint],
    of_mel: Sequence[MemberTrack],
    of_folds: Sequence[_Clips],
) -> Iterator[tuple[str, str]]:
    """Yield a title and the metrics of each network for each kind of clips; ``joined`` has a checkpoint for each fold."""
    yield "committee, spectrograms", _line([(alone.checkpoint, of_mel)])
    for kind in of_folds[0]:
        for place, (name, single) in enumerate((("committee", alone), ("musicnn", of_transfer))):
            of_single = [
                replace(track, of_members=[track.of_members[place]]) for of_fold in of_folds for track in of_fold[kind]
            ]
            yield f"{name}, {kind}", _line([(single.checkpoint, of_single)])
        yield f"joined, {kind}", _line([(of_fold, clips[kind]) for of_fold, clips in zip(joined, of_folds, strict=True)])
    pairs = [(of_fold, _of_both(clips)) for of_fold, clips in zip(joined, of_folds, strict=True)]
    yield "joined, files and recordings", _line(pairs)
    plain = [(replace(of_fold, temperature=1.0), tracks) for of_fold, tracks in pairs]
    yield "joined, without the temperature of the mean, files and recordings", _line(plain)


def _answers(pairs: Sequence[tuple[Checkpoint, Sequence[MemberTrack]]]) -> tuple[Report, list[bool]]:
    """Return the answers for tracks, each by its checkpoint, and which of them are sure by that checkpoint's limits."""
    results, is_sure = [], []
    for checkpoint, tracks in pairs:
        for track in tracks:
            result = track.joined_by(checkpoint)
            second, first = np.sort(result.probabilities.mean(axis=0))[-2:]
            results.append(result)
            is_sure.append(bool(first >= checkpoint.sure.probability and first - second >= checkpoint.sure.margin))
    return Report(pairs[0][0].genres, tuple(results)), is_sure


def _line(pairs: Sequence[tuple[Checkpoint, Sequence[MemberTrack]]]) -> str:
    """Return the metrics of the answers, and how many of them are sure."""
    report, is_sure = _answers(pairs)
    low, high = report.accuracy_interval
    right = report.probabilities.argmax(axis=1) == report.labels
    return (
        f"n = {len(report.tracks)}, {report.accuracy:.1%} ({low:.1%} to {high:.1%}), log-loss {report.log_loss:.3f}, macro F1 "
        f"{report.macro_f1:.3f}, calibration error {report.ece:.3f} (up to {report.chance_ece:.3f} by chance), "
        f"{sum(is_sure)} sure, {sum(right[is_sure])} of these right"
    )


def _give(path: Path, chosen: Checkpoint, own: Sequence[float] | None = None) -> None:
    """Give a checkpoint what was chosen; ``own`` are new temperatures of its networks for use without the others."""
    shipped, members = load_checkpoint(path), []
    own = own or [_own(member) for member in shipped.members]
    for member, of_fold, alone in zip(shipped.members, chosen.members, own, strict=True):
        member.model.temperature.fill_(alone)
        members.append(replace(member, weight=of_fold.weight, temperature=_whole(of_fold) / alone))
    changed = replace(
        shipped,
        members=tuple(members),
        sure=chosen.sure,
        temperature=chosen.temperature,
        references=chosen.references,
        metrics={"out_of_fold": chosen.metrics["valid"]},
    )
    save_checkpoint(changed, path)


if __name__ == "__main__":
    app()
