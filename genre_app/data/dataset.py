"""Tracks as tensors: what training draws segments from and what validation walks through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError
from genre_app.features import FeatureSpec, segment_start_frames, split_columns


class Dataset(Protocol):
    """Some tracks, and how segments are cut from them; all of it on one device.

    Attributes
    ----------
    track_ids : tuple of str
    genres : tuple of str
        Labels index this.
    labels : Tensor, int64 [tracks]
    spec : FeatureSpec
    """

    @property
    def track_ids(self) -> tuple[str, ...]: ...  # noqa: D102 - told above
    @property
    def genres(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def labels(self) -> Tensor: ...  # noqa: D102
    @property
    def spec(self) -> FeatureSpec: ...  # noqa: D102
    def __len__(self) -> int: ...

    def draw(self, tracks: Tensor, rates: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one segment [b, bins, frames] from anywhere in each of the given tracks [b], at these tempos [b]."""
        ...

    def grid(self) -> tuple[Tensor, Tensor]:
        """Track and start [s] of each segment that prediction would cut."""
        ...

    def cut(self, tracks: Tensor, starts: Tensor, rates: Tensor) -> Tensor:
        """Cut segments [b, bins, frames] at these starts [b], at these tempos [b]."""
        ...

    def segments(self) -> tuple[Tensor, Tensor]:
        """All segments that cover the tracks, as prediction cuts them: features [s, bins, frames] and the track of each [s]."""
        ...


class _Common(TypedDict):
    track_ids: tuple[str, ...]
    genres: tuple[str, ...]
    offsets: Tensor
    lengths: Tensor
    labels: Tensor


def _common(tracks: Sequence[CachedTrack], genres: Sequence[str], device: torch.device) -> _Common:
    """Return what both data sets keep of their tracks, whose rows follow each other."""
    lengths = torch.tensor([track.n_frames for track in tracks])
    return {
        "track_ids": tuple(track.track_id for track in tracks),
        "genres": tuple(genres),
        "offsets": (lengths.cumsum(0) - lengths).to(device),
        "lengths": lengths.to(device),
        "labels": torch.tensor([list(genres).index(track.genre) for track in tracks], device=device),
    }


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
        columns = torch.from_numpy(np.concatenate([cache.rows(track) for track in tracks])).to(device)
        return cls(columns=columns, spec=spec, **_common(tracks, genres, device))

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
        room = (self.lengths[tracks] - 1 - (self.spec.segment_frames - 1) * rates).clamp(min=0)
        drawn = torch.rand(len(tracks), generator=generator, device=generator.device)
        whole = torch.minimum((drawn * (room + 1)).floor(), room)  # at the track's own tempo nothing is interpolated
        return self.cut(tracks, torch.where(rates == 1.0, whole, drawn * room), rates)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Track and first column [s] of each segment that prediction would cut."""
        starts = [segment_start_frames(length, self.spec) for length in self.lengths.tolist()]
        counts = torch.tensor([len(of_track) for of_track in starts])
        tracks = torch.repeat_interleave(torch.arange(len(starts)), counts)
        firsts = torch.tensor([start for of_track in starts for start in of_track])
        return tracks.to(self.labels.device), firsts.to(self.labels.device)

    def cut(self, tracks: Tensor, starts: Tensor, rates: Tensor) -> Tensor:
        """Cut segments [b, n_mels, segment_frames] in dB that begin at these columns [b], at these tempos [b].

        A track that is too short is repeated, as it is for prediction.
        """
        lengths = self.lengths[tracks][:, None]
        position = starts[:, None] + torch.arange(self.spec.segment_frames, device=rates.device) * rates[:, None]
        position = torch.where(lengths < self.spec.segment_frames, position.floor() % lengths, position)
        position = torch.minimum(position, (lengths - 1).float())
        low = position.floor().long()
        high = torch.minimum(low + 1, lengths - 1)
        base = self.offsets[tracks][:, None]
        return torch.lerp(self.columns[base + low], self.columns[base + high], (position - low)[:, :, None]).transpose(1, 2)

    def beside(self, columns: Sequence[NDArray[np.floating]]) -> MelDataset:
        """Return a data set of twice as many tracks: after those here, other columns [frames, n_mels] of each."""
        device = self.columns.device
        lengths = torch.tensor([len(of_track) for of_track in columns])
        added = torch.from_numpy(np.concatenate(columns).astype(np.float32)).to(device)
        return replace(
            self,
            track_ids=self.track_ids * 2,
            columns=torch.cat([self.columns, added]),
            offsets=torch.cat([self.offsets, (lengths.cumsum(0) - lengths).to(device) + len(self.columns)]),
            lengths=torch.cat([self.lengths, lengths.to(device)]),
            labels=self.labels.repeat(2),
        )

    def takes(self, n_frames: int, record: Callable[[Tensor], Tensor]) -> MelDataset:
        """Return a data set of recordings: at most so many frames from the middle of each track.

        Parameters
        ----------
        n_frames : int
        record : callable
            Makes a recording [1, n_mels, frames] in dB of such a piece of the same shape.
        """
        lengths = self.lengths.clamp(max=n_frames)
        starts = self.offsets + (self.lengths - lengths) // 2
        pieces = [self.columns[start : start + n] for start, n in zip(starts.tolist(), lengths.tolist(), strict=True)]
        columns = torch.cat([record(piece.T[None])[0].T for piece in pieces])
        return replace(self, columns=columns, offsets=lengths.cumsum(0) - lengths, lengths=lengths)

    def segments(self) -> tuple[Tensor, Tensor]:
        """All segments that cover the tracks, as prediction cuts them: features [s, bins, frames] and the track of each [s]."""
        features, owners = [], []
        for index, (offset, length) in enumerate(zip(self.offsets.tolist(), self.lengths.tolist(), strict=True)):
            of_track = split_columns(self.columns[offset : offset + length].cpu().numpy(), self.spec)[1]
            features.append(of_track)
            owners += [index] * len(of_track)
        device = self.columns.device
        return torch.cat(features).to(device), torch.tensor(owners, device=device)


@dataclass(frozen=True)
class TableDataset:
    """Summary features of the pieces of some tracks, all resident on one device; a piece is a segment of one frame.

    Attributes
    ----------
    track_ids : tuple of str
    genres : tuple of str
        Labels index this.
    values : Tensor, float32 [pieces, bins]
        A track is rows ``offsets[i] : offsets[i] + lengths[i]``.
    offsets, lengths, labels : Tensor, int64 [tracks]
    spec : FeatureSpec
    """

    track_ids: tuple[str, ...]
    genres: tuple[str, ...]
    values: Tensor
    offsets: Tensor
    lengths: Tensor
    labels: Tensor
    spec: FeatureSpec

    @classmethod
    def from_table(
        cls, table: FeatureTable, tracks: Sequence[CachedTrack], genres: Sequence[str], spec: FeatureSpec, device: torch.device
    ) -> TableDataset:
        """Load some tracks of a feature table onto a device."""
        values = torch.from_numpy(np.concatenate([table.rows(track) for track in tracks])).to(device)
        return cls(values=values, spec=spec, **_common(tracks, genres, device))

    def __len__(self) -> int:
        return len(self.track_ids)

    def draw(self, tracks: Tensor, rates: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one piece [b, bins, 1] of each of the given tracks [b]; a tempo means nothing here."""
        lengths = self.lengths[tracks]
        drawn = torch.rand(len(tracks), generator=generator, device=generator.device)
        return self.cut(tracks, torch.minimum((drawn * lengths).floor(), lengths - 1), rates)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Track and number within it [s] of each piece."""
        tracks = torch.repeat_interleave(torch.arange(len(self), device=self.labels.device), self.lengths)
        return tracks, torch.arange(len(tracks), device=tracks.device) - (self.offsets - self.offsets[0])[tracks]

    def cut(self, tracks: Tensor, starts: Tensor, rates: Tensor) -> Tensor:
        """Return these pieces [b, bins, 1]."""
        return self.values[self.offsets[tracks] + starts.long()][:, :, None]

    def segments(self) -> tuple[Tensor, Tensor]:
        """All pieces [s, bins, 1] and the track of each [s]."""
        tracks, starts = self.grid()
        return self.cut(tracks, starts, torch.ones(len(tracks), device=tracks.device)), tracks
