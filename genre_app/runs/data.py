"""The data of a run: opened as its request asks, with the settings that follow from them."""

from __future__ import annotations

from genre_app.data import labelled
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.labelled import Data
from genre_app.data.sources import open_source
from genre_app.progress import QUIET, Monitor
from genre_app.runs.request import Request
from genre_app.runs.run import work_folder
from genre_app.training.config import TrainConfig
from genre_app.training.datasets import with_columns_of


def open_data(
    request: Request, config: TrainConfig, *, processes: int | None = None, retry: bool = True, monitor: Monitor = QUIET
) -> tuple[Data, TrainConfig]:
    """Open the data of a request.

    Parameters
    ----------
    request : Request
    config : TrainConfig
        Its settings.
    processes : int, optional
        Number of decoding processes; by default one per core.
    retry : bool
        Whether to retry files that failed before. Must be False if the tracks must not change.
    monitor : Monitor

    Returns
    -------
    (Data, TrainConfig)
        The data, and the settings; with ``columns="data"`` they have the sample rate, hop and mel bands of the mel cache.

    Raises
    ------
    DataError
        If the data cannot be used.
    StoppedError
        If ``monitor`` says so.
    """
    if request.columns == "data" and config.spec.kind != "summary":
        found = open_source(request.data, work_folder(), monitor)  # the cache may be in a zip
        if isinstance(found, MelCache):
            config = with_columns_of(found, config)
    data = labelled.open_data(
        request.data,
        config.spec,
        config.split,
        seed=config.seed,
        work=work_folder(),
        processes=processes,
        retry=retry,
        monitor=monitor,
    )
    return data, config
