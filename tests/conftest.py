"""What several test files share: synthesised clips, and a tiny network with random weights and known behaviour."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

from genre_app.audio import Clip
from genre_app.checkpoint import Checkpoint, save_checkpoint
from genre_app.features import FeatureSpec, extract
from genre_app.models import create_model
from genre_app.runs.host import NICE
from genre_app.vote import References

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

# The files that take longest go first: a worker that got one of them last would keep the others waiting for it. Where
# a file stands for a group of `TOGETHER`, the whole group goes there.
LONGEST_FIRST = (
    "browser",
    "runs/test_processes.py",
    "training/test_learning.py",
    "ui/test_api.py",
    "ui/test_api_files.py",
    "training/test_training.py",
    "training/test_state.py",
    "reference/test_reference.py",
    "models/test_models.py",
    "cli/test_classify.py",
    "runs/test_zerogpu.py",
    "test_project.py",
    "test_predict.py",
)

# Tests that share something costly, which each worker would start for itself: a Chromium and the page; the server of
# tests/forked.py. The first group that names a test has it. Two groups of browser tests wait for the browser side by side.
TOGETHER = {
    "browser: answers": (
        "browser/test_accessibility",
        "browser/test_classify",
        "browser/test_explaining",
        "browser/test_live",
        "browser/test_microphone",
        "browser/test_phone",
        "browser/test_first_scripts",
    ),
    "browser: collections and runs": ("browser/",),
    "forked": (
        "contributor/",
        "runs/test_processes.py",
        "runs/test_kills.py",
        "runs/test_queue.py",
        "runs/search/test_search.py",
        "bench/test_gpu.py",
        "data/cache/prepare/test_interruptions.py",
        "data/test_pool.py",
        "library/test_kills.py",
    ),
}

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def pytest_configure() -> None:
    """Keep the priority of runs: else they would wait for the tests beside them."""
    os.environ[NICE] = "0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; each keeps the order of its tests."""
    folder = Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: min(places.get(place, len(places)) for place in (item.path, item.path.parent)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the tests of a file to one worker, and those of a folder in `TOGETHER` to the same one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = nodeid.split("::")[0].removeprefix("tests/")
            return next((group for group, places in TOGETHER.items() if name.startswith(places)), name)

    return ByFile(config, log)


def synthesise(seconds: float, seed: int = 0, sample_rate: int = 22050) -> np.ndarray:
    """Chords that change every two seconds, with a beat: float32 [n], other music for each seed."""
    return _synthesised(seconds, seed, sample_rate).copy()


@lru_cache(maxsize=200)  # at most 300 MB: most clips last a few seconds
def _synthesised(seconds: float, seed: int, sample_rate: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    samples = random.normal(0, 0.01, len(time))
    for start in range(0, len(time), 2 * sample_rate):
        bar = time[start : start + 2 * sample_rate]
        for pitch in random.uniform(60, 3000, size=4):
            samples[start : start + len(bar)] += 0.1 * np.sin(2 * np.pi * pitch * bar)
        period = random.uniform(0.2, 0.8)
        samples[start : start + len(bar)] *= np.exp(-random.uniform(0, 8) * (bar % period))
    return samples.astype(np.float32)


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Clip]:
    """Make a synthesised clip: seconds, seed, sample_rate."""

    def make(seconds: float = 12.0, seed: int = 0, sample_rate: int = 22050) -> Clip:
        return Clip(synthesise(seconds, seed, sample_rate), sample_rate, name=f"synthesised {seed}")

    return make


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., Checkpoint]:
    """Make a tiny random checkpoint whose segments disagree with each other, as those of a trained one do: spec, seed."""

    def make(spec: FeatureSpec | None = None, seed: int = 0, *, references: bool = True) -> Checkpoint:
        spec = spec or FeatureSpec(segment_seconds=3.0, segment_hop_seconds=1.5)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = create_model(
                "cnn",
                n_bins=spec.n_bins,
                n_frames=spec.segment_frames,
                n_genres=len(GENRES),
                settings={"channels": [8, 16], "pools": [[4, 2], [4, 4]]},
            ).eval()
        n_samples = spec.segment_samples
        audio = np.stack(
            [synthesise(1 + n_samples / spec.sample_rate, seed, spec.sample_rate)[:n_samples] for seed in range(8)]
        )
        features = extract(torch.from_numpy(audio), spec)
        model.fit_standardisation(features)
        with torch.no_grad():  # centre and spread the logits, so that no genre wins everywhere
            logits = model(features)
            head = model.members[0].head
            scale = 1.5 / logits.std(dim=0).mean()
            head.weight *= scale
            head.bias.copy_((head.bias - logits.mean(dim=0)) * scale)
        random = np.random.default_rng(seed)
        known = References(random.dirichlet(np.ones(10), 40).astype(np.float32), random.integers(0, 10, 40), 7)
        return Checkpoint.single(
            model,
            spec,
            GENRES,
            metrics={"accuracy": 0.1, "n": 40},
            provenance={"data": "random"},
            references=known if references else None,
            name="tiny",
        )

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: Callable[..., Checkpoint]) -> Checkpoint:
    """A tiny random checkpoint with references for the knn vote."""
    return make_checkpoint()


@pytest.fixture(scope="session")
def checkpoint_path(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("checkpoints") / "tiny.safetensors"
    save_checkpoint(checkpoint, path)
    return path


@pytest.fixture(scope="module")
def bundled(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of bundled checkpoints, for the page, with the tiny network as the default one."""
    with bundle(checkpoint, tmp_path_factory.mktemp("bundled")) as folder:
        yield folder


@pytest.fixture(scope="session")
def _built(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page, built once: this takes almost a second."""
    from genre_app.ui.page import build_app

    with bundle(checkpoint, tmp_path_factory.mktemp("bundled")):
        return build_app()


@pytest.fixture(scope="module")
def app(bundled: Path, _built: Any) -> Any:
    """The page, whose handlers find the tiny network."""
    return _built


@contextmanager
def bundle(checkpoint: Checkpoint, folder: Path) -> Iterator[Path]:
    """Make a folder the one of the bundled checkpoints, with this checkpoint as the default one."""
    from genre_app.ui import service

    save_checkpoint(checkpoint, folder / "default.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genre_app.checkpoint.checkpoint_folder", lambda: folder)
        service._load.cache_clear()
        yield folder
    service._load.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def _runs_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the runs of whoever works here out of the tests, and those of the tests out of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRE_APP_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("GENRE_APP_LOCKS", str(tmp_path_factory.mktemp("locks")))
        patch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path_factory.mktemp("collections")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _threads_stay() -> Iterator[None]:
    """Let a command or a run in the process of the tests leave its threads and its memory as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genre_app.cli._shared.usable_cores", lambda: 1)
        for module in ("executor", "folds"):
            patch.setattr(f"genre_app.runs.{module}.prepare_process", lambda threads: None)
        torch.set_num_threads(1)
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute with one thread in each test, whatever a command has set.

    Several threads wait for one another: after a test that left two, the tests of the networks took 96 s of CPU instead of 8.
    """
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def address(bundled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served, with the tiny network, from this process."""
    with serve_page(tmp_path_factory.mktemp("uploads")) as url:
        yield url


@contextmanager
def serve_page(uploads: Path) -> Iterator[str]:
    """Serve the page from this process."""
    from genre_app.ui.page import build_app, launch_options

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        # gradio gives up if its own page takes more than a few seconds; a busy machine is slow, not wrong.
        patch.setattr("gradio.networking.url_ok", lambda _: True)
        app = build_app()
        _, url, _ = app.launch(
            **launch_options(), server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True
        )
        try:
            yield url.rstrip("/")
        finally:
            app.close()
