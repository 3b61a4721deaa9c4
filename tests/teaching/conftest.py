"""A base checkpoint of two networks, a folder of clips, and the model that was taught from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_app.checkpoint import Checkpoint
from genre_app.combine import combine
from genre_app.features import FeatureSpec
from genre_app.teaching.examples import folder_examples
from genre_app.teaching.teach import teach
from tests.teaching.music import fill


@pytest.fixture(scope="package")
def base(make_checkpoint) -> Checkpoint:
    """Two networks with other features, rates and segments."""
    other = FeatureSpec(sample_rate=16000, fmax=8000, n_mels=40, segment_seconds=1.5, segment_hop_seconds=1.5)
    return combine([make_checkpoint(), make_checkpoint(other, seed=1)], [3, 1])


@pytest.fixture(scope="package")
def folder(tmp_path_factory) -> Path:
    return fill(tmp_path_factory.mktemp("music"))


@pytest.fixture(scope="package")
def embeddings(tmp_path_factory) -> Path:
    """Where the embeddings of the folder's clips are kept: to compute them takes longer than all else here."""
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture(scope="package")
def taught(base, folder, embeddings):
    return teach(folder_examples(folder)[0], base, cache=embeddings, threads=2)
