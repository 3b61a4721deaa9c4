"""Tracks as tensors: training draws segments from them, validation goes through all segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.data.cache.store import Store
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError
from genre_app.features import FeatureSpec, cut_columns, segment_start_frames


@dataclass(frozen=True)
class _Tracks:
    """Some tracks, whose rows follow each other in a tensor; all tensors are on one device.

    Attributes
    ----------
    track_ids : tuple of str
    genres : tuple of str
        Labels index this.
    offsets, lengths : Tensor, int64 [tracks]
        A track is rows ``offsets[i] : offsets[i] + lengths[i]``.
    labels : Tensor, int64 [tracks]
    spec : FeatureSpec
    columns : Tensor, float32 [rows, width]
        All rows.
    """

    track_ids: tuple[str, ...]
    genres: tuple[str, ...]
    offsets: Tensor
    lengths: Tensor
    labels: Tensor
    spec: FeatureSpec
    columns: Tensor

    @classmethod
    def from_cache(
        cls, cache: Store, tracks: Sequence[CachedTrack], genres: Sequence[str], spec: FeatureSpec, device: torch.device
    ) -> Self:
        """Load some tracks of a cache onto a device.

        Raises
        ------
        DataError
            If there is no track, or a track has a genre that is not in ``genres``.
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
            offsets=(lengths.cumsum(0) - lengths).to(device),
            lengths=lengths.to(device),
            labels=torch.tensor([list(genres).index(track.genre) for track in tracks], device=device),
            spec=spec,
            columns=torch.from_numpy(np.concatenate([cache.rows(track) for track in tracks])).to(device),
        )

    def __len__(self) -> int:
        return len(self.track_ids)


@dataclass(frozen=True)
class MelDataset(_Tracks):
    """Log-mel columns of some tracks.

    Attributes
    ----------
    columns : Tensor, float32 [frames, n_mels]
        In dB.
    added : Tensor [added frames, n_mels] or None
        Columns of more tracks. Their row numbers continue those of ``columns``.
    """

    added: Tensor | None = None

    def draw(self, tracks: Tensor, rates: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one segment from a random place of each of the given tracks.

        Parameters
        ----------
        tracks : Tensor, int64 [b]
        rates : Tensor [b]
            Tempo. At 1.1 the segment covers 1.1 times its length and is compressed by linear interpolation.
        generator : torch.Generator

        Returns
        -------
        Tensor [b, n_mels, segment_frames]
            dB.
        """
        room = (self.lengths[tracks] - 1 - (self.spec.segment_frames - 1) * rates).clamp(min=0)
        drawn = torch.rand(len(tracks), generator=generator, device=generator.device)
        whole = torch.minimum((drawn * (room + 1)).floor(), room)  # a whole column: at tempo 1 nothing is interpolated
        return self.cut(tracks, torch.where(rates == 1.0, whole, drawn * room), rates)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Return the track and the first column [s] of each segment that prediction would cut."""
        starts = [segment_start_frames(length, self.spec) for length in self.lengths.tolist()]
        counts = torch.tensor([len(of_track) for of_track in starts])
        tracks = torch.repeat_interleave(torch.arange(len(starts)), counts)
        firsts = torch.tensor([start for of_track in starts for start in of_track])
        return tracks.to(self.labels.device), firsts.to(self.labels.device)

    def cut(self, tracks: Tensor, starts: Tensor, rates: Tensor) -> Tensor:
        """Cut segments [b, n_mels, segment_frames] in dB that begin at the columns ``starts`` [b], at the tempos ``rates`` [b].

        A track that is too short is repeated, as in prediction.
        """
        lengths = self.lengths[tracks][:, None]
        position = starts[:, None] + torch.arange(self.spec.segment_frames, device=rates.device) * rates[:, None]
        position = torch.where(lengths < self.spec.segment_frames, position.floor() % lengths, position)
        position = torch.minimum(position, (lengths - 1).float())
        low = position.floor().long()
        high = torch.minimum(low + 1, lengths - 1)
        base = self.offsets[tracks][:, None]
        return torch.lerp(self._rows(base + low), self._rows(base + high), (position - low)[:, :, None]).transpose(1, 2)

    def beside(self, columns: Sequence[NDArray[np.floating]]) -> MelDataset:
        """Return a data set of twice as many tracks: those of this one, then other columns [frames, n_mels] of each.

        The columns of this data set are shared, not copied.
        """
        device = self.columns.device
        lengths = torch.tensor([len(of_track) for of_track in columns])
        return replace(
            self,
            track_ids=self.track_ids * 2,
            added=torch.from_numpy(np.concatenate(columns)).to(device),
            offsets=torch.cat([self.offsets, (lengths.cumsum(0) - lengths).to(device) + len(self.columns)]),
            lengths=torch.cat([self.lengths, lengths.to(device)]),
            labels=self.labels.repeat(2),
        )

    def takes(self, n_frames: int, record: Callable[[Tensor], Tensor]) -> MelDataset:
        """Return a data set of recordings: up to ``n_frames`` frames from the middle of each track.

        Parameters
        ----------
        n_frames : int
        record : callable
            Turns columns [1, n_mels, frames] in dB into a recording of the same shape.
        """
        lengths = self.lengths.clamp(max=n_frames)
        starts = self.offsets + (self.lengths - lengths) // 2
        pieces = [self._slice(start, n) for start, n in zip(starts.tolist(), lengths.tolist(), strict=True)]
        columns = torch.cat([record(piece.T[None])[0].T for piece in pieces])
        return replace(self, columns=columns, added=None, offsets=lengths.cumsum(0) - lengths, lengths=lengths)

    def segments(self) -> tuple[Tensor, Tensor]:
        """Return all segments that prediction would cut [s, bins, frames], and the track of each [s]."""
        features, owners = [], []
        for index, (offset, length) in enumerate(zip(self.offsets.tolist(), self.lengths.tolist(), strict=True)):
            starts = segment_start_frames(length, self.spec)
            of_track = cut_columns(self._slice(offset, length).cpu().numpy(), starts, self.spec)
            features.append(of_track)
            owners += [index] * len(of_track)
        device = self.columns.device
        return torch.cat(features).to(device), torch.tensor(owners, device=device)

    def _slice(self, start: int, n: int) -> Tensor:
        """Return ``n`` columns [n, n_mels] of one track, from row ``start`` on."""
        n_own = len(self.columns)
        if self.added is None or start < n_own:
            return self.columns[start : start + n]
        return self.added[start - n_own :][:n].float()

    def _rows(self, rows: Tensor) -> Tensor:
        """Return the columns [b, frames, n_mels] with these row numbers [b, frames]."""
        if self.added is None:
            return self.columns[rows]
        n_own = len(self.columns)
        own, added = self.columns[rows.clamp(max=n_own - 1)], self.added[(rows - n_own).clamp(min=0)].float()
        return torch.where((rows < n_own)[:, :, None], own, added)


@dataclass(frozen=True)
class TableDataset(_Tracks):
    """Summary features of the pieces of some tracks; a piece is a segment of one frame.

    ``columns`` is float32 [pieces, bins].
    """

    def draw(self, tracks: Tensor, rates: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one piece [b, bins, 1] of each of the given tracks [b]; pieces have no tempo, so ``rates`` is ignored."""
        lengths = self.lengths[tracks]
        drawn = torch.rand(len(tracks), generator=generator, device=generator.device)
        return self.cut(tracks, torch.minimum((drawn * lengths).floor(), lengths - 1), rates)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Return the track of each piece and its number within the track [s]."""
        tracks = torch.repeat_interleave(torch.arange(len(self), device=self.labels.device), self.lengths)
        return tracks, torch.arange(len(tracks), device=tracks.device) - self.offsets[tracks]

    def cut(self, tracks: Tensor, starts: Tensor, rates: Tensor) -> Tensor:
        """Return the pieces [b, bins, 1] with the numbers ``starts`` [b] within their tracks."""
        return self.columns[self.offsets[tracks] + starts.long()][:, :, None]

    def segments(self) -> tuple[Tensor, Tensor]:
        """Return all pieces [s, bins, 1] and the track of each [s]."""
        return self.columns[:, :, None], self.grid()[0]


Dataset = MelDataset | TableDataset
"""Both draw random segments, cut given ones, and return all segments that prediction would cut."""
