"""From opened data to what the training loop reads: data sets on a device, and the pool of changed waveforms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import torch
from pydantic import ValidationError

from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.dataset import Dataset, MelDataset, TableDataset
from genre_app.data.labelled import Data
from genre_app.data.pool import WavePool
from genre_app.errors import DataError, first_line
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from genre_app.training.config import TrainConfig


def with_columns_of(cache: MelCache, config: TrainConfig) -> TrainConfig:
    """Return the settings with the sample rate, hop and mel bands of a mel cache; raises `DataError` if they do not fit."""
    columns = {name: getattr(cache.spec, name) for name in COLUMN_FIELDS}
    try:
        spec = FeatureSpec.model_validate(config.spec.model_dump() | columns)
    except ValidationError as error:
        reason = first_line(error)
        raise DataError(f"{cache.path} does not fit the settings: {reason}; change them, or give the audio itself.") from error
    return config.model_copy(update={"spec": spec})


def load_split(data: Data, split: str, config: TrainConfig, device: torch.device) -> Dataset:
    """Load the tracks of a split onto a device."""
    kind = MelDataset if isinstance(data.store, MelCache) else TableDataset
    return kind.from_cache(data.store, data.of(split), data.genres, config.spec, device)


@contextmanager
def wave_pool(data: Data, train: Dataset, config: TrainConfig, source: str, epoch: int = 1) -> Iterator[WavePool | None]:
    """Hold the pool that changes the waveforms of the training tracks; None if the settings change no waveform.

    The pool begins with the tracks of ``epoch``.

    Raises
    ------
    DataError
        If a track has no audio; ``source`` is the name of the data in the message.
    """
    if not config.augment.waveform.changes:
        yield None
        return
    missing = [name for name in train.track_ids if name not in data.audio]
    if missing:
        raise DataError(
            f"{source} has no audio for {missing[0]}, which augment.waveform needs; "
            "train on a folder of audio, or leave augment.waveform out."
        )
    paths = [data.audio[name] for name in train.track_ids]
    with closing(WavePool(paths, config.spec, config.augment.waveform, seed=config.seed)) as pool:
        pool.begin(epoch)
        yield pool
