"""Embeddings of a clip: what the last layers of a checkpoint's networks get for each segment."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_app.audio import Clip
from genre_app.audio.resample import Resamplers
from genre_app.checkpoint import Checkpoint
from genre_app.errors import CheckpointError
from genre_app.features import segment_start_frames
from genre_app.members import SILENT_PEAK, MemberStream
from genre_app.predict import NoSoundError


@dataclass(frozen=True, eq=False)
class MemberEmbedding:
    """Embeddings of a clip by one member of a checkpoint.

    Attributes
    ----------
    of_heads : tuple of numpy.ndarray, each float32 [n, d]
        Inputs of each last layer for the member's own segments.
    probabilities : numpy.ndarray, float32 [n, g]
        The member's own answers for these segments.
    places : numpy.ndarray, int [s, k]
        The member's segments of which each shared segment is the mean.
    """

    of_heads: tuple[NDArray[np.float32], ...]
    probabilities: NDArray[np.float32]
    places: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Embedding:
    """Embeddings of a clip by all members of a checkpoint, and which shared segments sound [s]."""

    members: tuple[MemberEmbedding, ...]
    sounds: NDArray[np.bool_]

    def sounding(self, member: int) -> NDArray[np.intp]:
        """Return the member's own segments that belong to a shared segment that sounds."""
        return np.unique(self.members[member].places[self.sounds])


class Embedder:
    """Compute embeddings with copies of a checkpoint's networks; one thread at a time may use it.

    Raises
    ------
    CheckpointError
        If a network has no last layer that can be replaced.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        # Hooks on the networks themselves would also see the clips that other threads classify.
        members = tuple(replace(member, model=copy.deepcopy(member.model)) for member in checkpoint.members)
        self._checkpoint = replace(checkpoint, members=members)
        self._heads = [list(member.model.heads().values()) for member in members]
        for member, heads in zip(members, self._heads, strict=True):
            if not heads:
                raise CheckpointError(
                    f"checkpoint {checkpoint.name} has a network ({member.model.name}) whose last layer cannot be taught; "
                    "choose another checkpoint"
                )
        self._inputs: dict[nn.Module, list[Tensor]] = {head: [] for heads in self._heads for head in heads}
        for head in self._inputs:
            head.register_forward_pre_hook(lambda layer, given: self._inputs[layer].append(given[0].detach()))

    def embed(self, clip: Clip) -> Embedding:
        """Return the embeddings of a clip's segments, which are those of `genre_app.predict.classify`.

        Parameters
        ----------
        clip : Clip
            At the sample rate of the checkpoint.

        Raises
        ------
        NoSoundError
            If the clip is silent.
        """
        rate, spec = self._checkpoint.sample_rate, self._checkpoint.spec
        if clip.sample_rate != rate:
            raise ValueError(f"{clip.name} has {clip.sample_rate} Hz, the checkpoint needs {rate} Hz")
        for collected in self._inputs.values():
            collected.clear()
        streams = [MemberStream(self._checkpoint, index, spec, clip.name) for index in range(len(self._heads))]
        resamplers = Resamplers(rate, (stream.sample_rate for stream in streams))
        for samples in (resamplers.add(clip.samples), resamplers.finish()):
            for stream in streams:
                stream.add(samples[stream.sample_rate])
        starts = segment_start_frames(streams[0].n_frames, spec)
        answers = [stream.finish_rows(starts) for stream in streams]
        sounds = streams[0].peaks > SILENT_PEAK
        if not sounds.any():
            raise NoSoundError(f"{clip.name}: the whole clip is silent (under -60 dBFS); check the input or its level")
        values = [tuple(torch.cat(self._inputs[head]).float().cpu().numpy() for head in heads) for heads in self._heads]
        members = [MemberEmbedding(of_heads, *of_member) for of_heads, of_member in zip(values, answers, strict=True)]
        return Embedding(tuple(members), sounds)


def networks_digest(checkpoint: Checkpoint) -> str:
    """Return a digest of a checkpoint's networks and features: what an embedding depends on besides the clip."""
    digest = hashlib.sha256()
    for member in checkpoint.members:
        digest.update(member.spec.model_dump_json().encode())
        for name, value in member.model.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
