"""Tracks as tensors: what training draws segments from and what validation walks through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genre_app.data.mel_cache import CachedTrack, DataError, MelCache
from genre_app.features import FeatureSpec, split_columns


@dataclass(frozen=True)
class MelDataset:
    """Log-mel columns of some tracks, all resident on one device.

    Attributes
    ----------
    track_ids : tuple of str
    genres : tuple of str
        Labels index this.
    columns : Tensor, float32 [frames, n_mels]
        dB; a track is rows ``offsets[i] : offsets[i] + lengths[i]``.
    offsets, lengths, labels : Tensor, int64 [tracks]
    spec : FeatureSpec
    """

    track_ids: tuple[str, ...]
    genres: tuple[str, ...]
    columns: Tensor
    offsets: Tensor
    lengths: Tensor
    labels: Tensor
    spec: FeatureSpec

    @classmethod
    def from_cache(
        cls, cache: MelCache, tracks: Sequence[CachedTrack], genres: Sequence[str], spec: FeatureSpec, device: torch.device
    ) -> MelDataset:
        """Load some tracks of a mel cache onto a device.

        Raises
        ------
        DataError
            If there is no track, or one has a genre that is not in ``genres``.
        """
        if not tracks:
            raise DataError(f"{cache.path} has no track for this split; check the split column of index.csv.")
        unknown = sorted({track.genre for track in tracks} - set(genres))
        if unknown:
            raise DataError(f"{cache.path} has tracks of {', '.join(unknown)}, which is not among {', '.join(genres)}.")
        lengths = torch.tensor([track.n_frames for track in tracks])
        return cls(
            track_ids=tuple(track.track_id for track in tracks),
            genres=tuple(genres),
            columns=torch.from_numpy(np.concatenate([cache.columns(track) for track in tracks])).to(device),
            offsets=(lengths.cumsum(0) - lengths).to(device),
            lengths=lengths.to(device),
            labels=torch.tensor([list(genres).index(track.genre) for track in tracks], device=device),
            spec=spec,
        )

    def __len__(self) -> int:
        return len(self.track_ids)

    def draw(self, tracks: Tensor, rates: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one segment from each of the given tracks, from anywhere in it.

        Parameters
        ----------
        tracks : Tensor, int64 [b]
        rates : Tensor [b]
            Tempo: at 1.1 the segment takes in 1.1 times its length and is squeezed by linear interpolation.
        generator : torch.Generator

        Returns
        -------
        Tensor [b, n_mels, segment_frames]
            dB.
        """
        frames = self.spec.segment_frames
        lengths = self.lengths[tracks]
        room = (lengths - 1 - (frames - 1) * rates).clamp(min=0)
        drawn = torch.rand(len(tracks), generator=generator, device=generator.device)
        whole = torch.minimum((drawn * (room + 1)).floor(), room)  # at the track's own tempo nothing is interpolated
        start = torch.where(rates == 1.0, whole, drawn * room)
        position = start[:, None] + torch.arange(frames, device=rates.device) * rates[:, None]
        position = torch.minimum(position, (lengths - 1)[:, None].float())
        low = position.floor().long()
        high = torch.minimum(low + 1, (lengths - 1)[:, None])
        base = self.offsets[tracks][:, None]
        return torch.lerp(self.columns[base + low], self.columns[base + high], (position - low)[:, :, None]).transpose(1, 2)

    def segments(self) -> tuple[Tensor, Tensor]:
        """All segments that cover the tracks, as prediction cuts them: features [s, bins, frames] and the track of each [s]."""
        features, owners = [], []
        for index, (offset, length) in enumerate(zip(self.offsets.tolist(), self.lengths.tolist(), strict=True)):
            of_track = split_columns(self.columns[offset : offset + length].cpu().numpy(), self.spec)[1]
            features.append(of_track)
            owners += [index] * len(of_track)
        device = self.columns.device
        return torch.cat(features).to(device), torch.tensor(owners, device=device)
