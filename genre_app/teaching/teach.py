"""Teach a checkpoint new genres from labelled clips, and test the result on clips that were left out."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.checkpoint import Checkpoint
from genre_app.data.sources.folder import genre_key
from genre_app.errors import CheckpointError, DataError, some
from genre_app.evaluation.calibration import choose_sure_limits
from genre_app.evaluation.combination import choose_mix, with_mix
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.files import valid_text
from genre_app.models import GenreModel, create_model
from genre_app.progress import QUIET, Monitor, Progress, usable_cores
from genre_app.teaching.cached import Embeddings
from genre_app.teaching.embedding import Embedding
from genre_app.teaching.examples import MIN_GENRES, Example, check_examples, parts_left_out
from genre_app.teaching.head import HeadFit, Layer, head_rows, member_rows
from genre_app.teaching.memory import recalled, remember
from genre_app.teaching.taught import Taught

_Rows = list[NDArray[np.float32]]  # of each member, [s, genres]
_Versions = list[_Rows]  # of the clip itself, then of its recordings


def teach(
    examples: Sequence[Example],
    checkpoint: Checkpoint,
    *,
    extend: bool = False,
    none_of_these: Collection[str] = (),
    n_recordings: int = 2,
    seed: int = 0,
    cache: Path | None = None,
    prune: bool = False,
    threads: int | None = None,
    monitor: Monitor = QUIET,
) -> Taught:
    """Fit new last layers of a checkpoint to clips of any genres.

    The networks stay as they are. Each clip is also used in simulated recordings, so that recorded music is classified too.

    Parameters
    ----------
    examples : sequence of Example
    checkpoint : Checkpoint
        Its networks compute the embeddings.
    extend : bool
        Keep the genres of the checkpoint, which must remember them, and add those of the clips. A genre of the same name is one
        genre. By default, the new genres replace the old ones.
    none_of_these : collection of str
        Genres whose clips are to get no genre.
    n_recordings : int
        Simulated recordings of each clip, at least one.
    seed : int
        Of the simulated recordings.
    cache : pathlib.Path, optional
        Folder in which embeddings are kept, so that teaching again takes seconds.
    prune : bool
        Delete the embeddings of other clips from ``cache``.
    threads : int, optional
        By default one per core.
    monitor : Monitor

    Returns
    -------
    Taught

    Raises
    ------
    DataError
        If there are fewer than two genres with two clips each; to extend a checkpoint, one genre is enough.
    CheckpointError
        If a network of the checkpoint has no last layer that can be replaced, or if the checkpoint is to be extended and
        does not remember its genres.
    StoppedError
        If ``monitor`` says so. Embeddings in ``cache`` are kept.

    References
    ----------
    Alain and Bengio 2017, Understanding intermediate layers using linear classifier probes.
    """
    began = time.monotonic()
    min_genres = 1 if extend else MIN_GENRES
    if extend and checkpoint.memory is None:
        raise CheckpointError(
            f"checkpoint {checkpoint.name} does not remember its genres, so they cannot be kept; replace them instead"
        )
    check_examples(examples, min_genres=min_genres)
    store = Embeddings(checkpoint, n_recordings=n_recordings, seed=seed, folder=cache, threads=threads or usable_cores())
    found, failed = store.of_files([example.path for example in examples], monitor)
    if prune:
        store.prune()
    kept = [example for example, versions in zip(examples, found, strict=True) if versions is not None]
    embeddings = [versions for versions in found if versions is not None]
    check_examples(kept, failed, min_genres=min_genres)
    old, old_others = (checkpoint.genres, checkpoint.none_of_these) if extend else ((), ())
    genres, kept, new_others = _named(kept, none_of_these, old)
    others = _others(genres, new_others.union(old_others))
    labels = np.array([genres.index(example.genre) for example in kept])
    remembered = [genres.index(genre) for genre in checkpoint.genres] if extend else []
    fits = _fits(checkpoint, embeddings, labels, len(genres), remembered, seed)
    layers = [[fit.without(np.zeros(len(kept), bool)) for fit in of_member] for of_member in fits]
    answers = _left_out(kept, labels, embeddings, fits, remembered, monitor)
    new = _calibrated(_with_layers(checkpoint, genres, layers), answers, labels)
    tracks = [(kept[place].name, int(labels[place])) for place in answers]
    clean, recorded = (_report(new, [versions[which] for versions in answers.values()], tracks) for which in (0, -1))
    new.none_of_these = others
    if not extend:
        new.memory = remember(embeddings, labels, checkpoint, len(genres))
    new.sure = choose_sure_limits(clean.probabilities, np.array([label for _, label in tracks]))
    new.provenance = {
        "taught_from": checkpoint.name,
        "extended": extend,
        "initial": checkpoint.provenance,
        "clips": {genre: int((labels == label).sum()) for label, genre in enumerate(genres)},
        "recordings": n_recordings,
        "seed": seed,
    }
    before = tuple(_answer(checkpoint, embeddings[place][0]) for place in answers)
    reasons = tuple((valid_text(path.name), reason) for path, reason in failed)
    seen = tuple(versions[0] for versions in embeddings)
    taught = Taught(new, clean, recorded, before, reasons, time.monotonic() - began, tuple(kept), seen)
    new.metrics = {"taught": {key: value for key, value in taught.to_dict().items() if key != "seconds"}}
    return taught


def _named(
    examples: Sequence[Example], none_of_these: Collection[str], old: tuple[str, ...]
) -> tuple[tuple[str, ...], list[Example], set[str]]:
    """Return all genres in order, the examples, and what is none of these; a genre that has an old name keeps it."""
    known = {genre_key(genre): genre for genre in old}
    named = [replace(example, genre=known.get(genre_key(example.genre), example.genre)) for example in examples]
    genres = tuple(sorted({*old, *(example.genre for example in named)}, key=str.casefold))
    return genres, named, {known.get(genre_key(genre), genre) for genre in none_of_these}


def _fits(
    checkpoint: Checkpoint,
    embeddings: Sequence[Sequence[Embedding]],
    labels: NDArray[np.intp],
    n_genres: int,
    remembered: Sequence[int],
    seed: int,
) -> list[list[HeadFit]]:
    """Prepare the fit of each member's last layers, with samples of the remembered genres."""
    memory = checkpoint.memory if remembered else None

    def fit(index: int, head: int) -> HeadFit:
        samples = recalled(memory[index][head], seed) if memory else None
        return HeadFit(head_rows(embeddings, index, head), labels, n_genres, samples, remembered)

    return [[fit(index, head) for head in range(len(member.model.heads()))] for index, member in enumerate(checkpoint.members)]


def _others(genres: tuple[str, ...], none_of_these: set[str]) -> tuple[str, ...]:
    unknown = sorted(none_of_these.difference(genres))
    if unknown:
        raise DataError(f"There are no clips of {some(unknown)}, so they cannot mean none of these.")
    if len(none_of_these) == len(genres):
        raise DataError("All genres mean none of these; leave at least one that does not.")
    return tuple(genre for genre in genres if genre in none_of_these)


def _left_out(
    examples: Sequence[Example],
    labels: NDArray[np.intp],
    embeddings: Sequence[Sequence[Embedding]],
    fits: Sequence[Sequence[HeadFit]],
    remembered: Collection[int],
    monitor: Monitor,
) -> dict[int, _Versions]:
    """Return for each clip that can be tested what layers answer that were fitted without its source."""
    answers: dict[int, _Versions] = {}
    for left_out in parts_left_out(examples, labels, remembered):
        monitor.check("the result was tested")
        monitor.on_progress(Progress("testing on clips left out", len(answers), len(examples), None))
        layers = [[fit.without(left_out) for fit in of_member] for of_member in fits]
        for place in np.flatnonzero(left_out).tolist():
            answers[place] = [member_rows(version, layers) for version in embeddings[place]]
    if not answers:
        raise DataError("No clip can be tested, because each genre has clips of one file only; add clips of other files.")
    return dict(sorted(answers.items()))


def _calibrated(checkpoint: Checkpoint, answers: dict[int, _Versions], labels: NDArray[np.intp]) -> Checkpoint:
    """Return the checkpoint with the temperatures that fit the answers for clips left out and for a recording of each."""
    rows = [versions[version] for version in (0, -1) for versions in answers.values()]
    truth = np.tile(labels[list(answers)], 2)
    weights, temperatures = choose_mix(rows, truth, [member.weight for member in checkpoint.members])
    return with_mix(checkpoint, weights, temperatures)


def _with_layers(checkpoint: Checkpoint, genres: tuple[str, ...], layers: Sequence[Sequence[Layer]]) -> Checkpoint:
    """Return a checkpoint with the same networks and these last layers."""
    pairs = zip(checkpoint.members, layers, strict=True)
    members = (replace(member, model=_renewed(member.model, len(genres), of_heads)) for member, of_heads in pairs)
    return Checkpoint(tuple(members), genres, name="taught")


def _renewed(model: GenreModel, n_genres: int, layers: Sequence[Layer]) -> GenreModel:
    sizes = {"n_bins": model.n_bins, "n_frames": model.n_frames, "n_genres": n_genres}
    with torch.random.fork_rng(devices=[]):  # the random initial values are overwritten
        new = create_model(model.name, settings=model.settings.model_dump(mode="json"), **sizes)
    heads = model.heads()
    state = {name: value for name, value in model.state_dict().items() if name.rpartition(".")[0] not in heads}
    for name in state:
        if name.split(".")[-1] == "temperature":
            state[name] = torch.ones(())
    for name, layer in zip(heads, layers, strict=True):
        state[f"{name}.weight"] = torch.from_numpy(layer.weight).float()
        state[f"{name}.bias"] = torch.from_numpy(layer.bias).float()
    new.load_state_dict(state)
    return new.requires_grad_(False).eval()


def _report(checkpoint: Checkpoint, answers: Sequence[_Rows], tracks: Sequence[tuple[str, int]]) -> Report:
    """Report the answers for clips left out; ``tracks`` has the name and the label of each."""
    rows = (checkpoint.joined(of_members).mean(axis=0, keepdims=True) for of_members in answers)
    results = (TrackResult(*track, row) for track, row in zip(tracks, rows, strict=True))
    return Report(checkpoint.genres, tuple(results))


def _answer(checkpoint: Checkpoint, embedding: Embedding) -> str:
    """Return the genre that the checkpoint itself answers."""
    of_members = [member.probabilities[member.places].mean(axis=1) for member in embedding.members]
    rows = checkpoint.joined(of_members)[embedding.sounds]
    return checkpoint.genres[int(rows.mean(axis=0).argmax())]
