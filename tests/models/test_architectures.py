"""Every published system as its recipe builds it: sizes by hand, dropouts, one batch learnt, a checkpoint's round trip."""

from __future__ import annotations

from operator import attrgetter

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genre_app.augment.config import AugmentConfig
from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.features import segment_start_frames
from genre_app.models import create_model, model_names
from genre_app.runs.recipes import describe_recipe, read_recipe, recipe_names

G = 10  # genres


def conv(n_in: int, n_out: int, kernel: int = 9) -> int:
    """Weights and biases of a convolution whose kernel has this many values a channel."""
    return n_in * n_out * kernel + n_out


def norm(n: int) -> int:
    """Scales and shifts of a batch norm."""
    return 2 * n


def dense(n_in: int, n_out: int) -> int:
    return n_in * n_out + n_out


def lstm(n_in: int, n: int) -> int:
    """Four gates, each from input and state, with a bias for either."""
    return 4 * n * (n_in + n + 2)


def gru(n_in: int, n: int) -> int:
    return 3 * n * (n_in + n + 2)


def stage(n_in: int, n: int) -> int:
    """Two residual blocks of two convolutions 3 x 3 without biases; a change of size needs one of 1 x 1 beside the first."""
    beside = n_in * n + norm(n) if n_in != n else 0
    return (9 * n_in * n + norm(n) + 9 * n * n + norm(n) + beside) + 2 * (9 * n * n + norm(n))


KTH_CONVS = conv(1, 32) + conv(32, 64) + conv(64, 128)
KTH_HIDDEN = 3 * dense(256, 256) + dense(256, G)
KTH_LSTM = lstm(128, 32) + dense(32, G)
# 128 x 130 goes to 64 x 65, 32 x 32, 16 x 16, 8 x 8, 4 x 4.
CHENG = conv(1, 128) + conv(128, 64) + conv(64, 32) + conv(32, 16) + conv(16, 8) + dense(8 * 4 * 4, G)

# Input, parameters, and the dropouts in the order in which they come.
BUILT: dict[str, tuple[tuple[int, int], int, list[float]]] = {
    "kth-mlp": ((60, 129), dense(60 * 129, 256) + KTH_HIDDEN, [0.0] * 4),
    "kth-mlp-mfcc": ((20, 129), dense(20 * 129, 256) + KTH_HIDDEN, [0.0] * 4),
    "kth-mlp-song": ((60, 1290), dense(77400, 256) + KTH_HIDDEN, [0.0] * 4),
    "kth-mlp-song-mfcc": ((20, 1290), dense(25800, 256) + KTH_HIDDEN, [0.0] * 4),
    # 60 x 129 goes to 30 x 64, 15 x 32, 7 x 16; 20 bins to 10, 5, 2; 1290 frames to 645, 322, 161.
    "kth-cnn": ((60, 129), KTH_CONVS + dense(128 * 7 * 16, G), [0.25] * 3),
    "kth-cnn-mfcc": ((20, 129), KTH_CONVS + dense(128 * 2 * 16, G), [0.25] * 3),
    "kth-cnn-song": ((60, 1290), KTH_CONVS + dense(128 * 7 * 161, G), [0.25] * 3),
    "kth-cnn-song-mfcc": ((20, 1290), KTH_CONVS + dense(128 * 2 * 161, G), [0.25] * 3),
    "kth-lstm": ((60, 129), lstm(60, 128) + KTH_LSTM, [0.0]),
    "kth-lstm-mfcc": ((20, 129), lstm(20, 128) + KTH_LSTM, [0.0]),
    "kth-lstm-song": ((60, 1290), lstm(60, 128) + KTH_LSTM, [0.0]),
    "kth-lstm-song-mfcc": ((20, 1290), lstm(20, 128) + KTH_LSTM, [0.0]),
    # 128 x 1249 goes to 64 x 416, 21 x 104, 10 x 20, 3 x 6, 1 x 1.
    "umass-arbitrary": (
        (128, 1249),
        conv(1, 16) + conv(16, 16) + conv(16, 32) + conv(32, 32) + conv(32, 64)
        + norm(16) + norm(16) + norm(32) + norm(32) + norm(64)
        + dense(64, 64) + norm(64) + dense(64, G),
        [0.1] * 5 + [0.5],
    ),
    "cheng-cnn": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-noise": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-pitch": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-mixup": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-stacked": ((128, 130), CHENG, [0.5] * 5),
    "umass-resnet18": (
        (128, 130),
        1 * 64 * 7 * 7 + norm(64) + stage(64, 64) + stage(64, 128) + stage(128, 256) + stage(256, 512) + dense(512, G),
        [],
    ),
    "groningen-ffnn": (
        (58, 1),
        dense(58, 512) + dense(512, 256) + dense(256, 128) + dense(128, 64) + dense(64, 32) + dense(32, G),
        [0.4] * 5,
    ),
    # 58 goes to 56 and 28, then to 26 and 13.
    "groningen-cnn1d": (
        (58, 1),
        conv(1, 32, 3) + norm(32) + conv(32, 64, 3) + norm(64) + dense(64 * 13, 128) + dense(128, G),
        [0.3, 0.3, 0.2],
    ),
    # 64 x 173 goes to 62 x 171 and 31 x 85, to 29 x 83 and 14 x 41, to 12 x 39 and 6 x 19.
    "glenn-cnn": (
        (64, 173),
        conv(1, 64) + norm(64) + conv(64, 32) + norm(32) + conv(32, 32) + norm(32)
        + dense(32 * 6 * 19, 64) + dense(64, 32) + dense(32, 16) + dense(16, G),
        [0.5] * 3,
    ),
    # 96 x (37 + 1366 + 37) goes to 48 x 720, 16 x 240, 4 x 60, 1 x 15.
    "upc-crnn": (
        (96, 1366),
        conv(1, 64) + norm(64) + conv(64, 128) + norm(128) + 2 * (conv(128, 128) + norm(128))
        + gru(128, 32) + gru(32, 32) + dense(32, G),
        [0.1] * 4 + [0.3],
    ),
}  # fmt: skip

KTH = {
    "optimiser": "adam",
    "spec.sample_rate": 22050,
    "spec.n_fft": 2048,
    "spec.hop_length": 512,
    "spec.n_mfcc": 20,
    "split.method": "stratified",
    "split.train": 0.6,
    "split.valid": 0.2,
}
KTH_CLIPS = KTH | {"epochs": 5, "vote": "majority", "spec.segment_hop_frames": 65}
UMASS = {
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "epochs": 10,
    "vote": "majority",
    "spec.n_mels": 128,
    "split.train": 0.7,
    "split.valid": 0.3,
}
GRONINGEN = {
    "optimiser": "adam",
    "epochs": 300,
    "scaler": "apart",
    "spec.kind": "summary",
    "spec.segment_seconds": 3.0,
    "spec.segment_hop_seconds": 3.0,
    "split.method": "pieces",
    "split.train": 0.7,
    "split.valid": 0.3,
}
# What the sources state of training, features, split and vote.
STATED: dict[str, dict[str, object]] = {
    "kth-mlp": KTH_CLIPS,
    "kth-mlp-mfcc": KTH_CLIPS,
    "kth-mlp-song": KTH,
    "kth-mlp-song-mfcc": KTH,
    "kth-cnn": KTH_CLIPS | {"weight_decay": 1e-4},
    "kth-cnn-mfcc": KTH_CLIPS | {"weight_decay": 1e-4},
    "kth-cnn-song": KTH | {"weight_decay": 1e-4},
    "kth-cnn-song-mfcc": KTH | {"weight_decay": 1e-4},
    "kth-lstm": KTH_CLIPS,
    "kth-lstm-mfcc": KTH_CLIPS,
    "kth-lstm-song": KTH,
    "kth-lstm-song-mfcc": KTH,
    "umass-arbitrary": UMASS,
    "umass-baseline": UMASS,
    "umass-baseline-noise": UMASS | {"augment.mild.white_noise_sigma": (0.001, 0.001)},
    "umass-baseline-pitch": UMASS | {"augment.mild.pitch_semitones": 4.0},
    "umass-baseline-mixup": UMASS | {"augment.mixup_probability": 1.0},
    "umass-baseline-stacked": UMASS | {"epochs": 100},
    "cheng-cnn": UMASS | {"epochs": 100},
    "umass-resnet18": UMASS,
    "groningen-ffnn": GRONINGEN | {"batch_size": 256},
    "groningen-cnn1d": GRONINGEN | {"batch_size": 64, "patience": 5, "keep": "best"},
    "glenn-cnn": {
        "epochs": 150,
        "learning_rate": 5e-5,
        "batch_size": 32,
        "spec.n_mels": 64,
        "spec.db_reference": "max",
        "spec.segment_seconds": 4.0,
        "split.train": 0.8,
        "split.valid": 0.2,
    },
    "upc-crnn": {
        "vote": "mean",
        "spec.sample_rate": 12000,
        "spec.n_fft": 512,
        "spec.hop_length": 256,
        "spec.n_mels": 96,
        "spec.segment_seconds": 29.12,
        "spec.segment_hop_seconds": 29.12,
    },
}
# What none of them has, and the default recipe does.
PLAIN = {"sampling": "grid", "schedule": "constant", "label_smoothing": 0.0, "average_decay": 0.0, "temperature": 1.0}

# One recipe for each network that differs, with the learning rate and the most steps in which it learns a few items by heart.
LEARNT = {
    "kth-mlp": (1e-3, 10),
    "kth-cnn": (3e-3, 20),
    "kth-cnn-song-mfcc": (3e-3, 20),
    "kth-lstm": (1e-2, 20),
    "kth-lstm-song-mfcc": (1e-2, 20),
    "umass-arbitrary": (3e-2, 12),
    "umass-baseline": (5e-3, 40),
    "umass-resnet18": (3e-3, 8),
    "groningen-ffnn": (3e-3, 30),
    "groningen-cnn1d": (3e-3, 10),
    "glenn-cnn": (3e-3, 20),
    "upc-crnn": (5e-3, 40),
    "lstm": (3e-3, 40),
    "mlp": (3e-3, 30),
}
FRAMES = {"upc-crnn": 118}  # its weights do not depend on the length of a segment, and its convolutions take time


def build(recipe: str, n_genres: int = G):
    config = read_recipe(recipe)
    spec = config.spec
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_model(
            config.model,
            n_bins=spec.n_bins,
            n_frames=spec.input_frames,
            n_genres=n_genres,
            settings=config.model_settings,
        )


def some_features(model, n: int = 4):
    """Items that differ in the mean of their bins and in all values, about as loud as music."""
    random = torch.Generator().manual_seed(1)
    of_item = torch.randn(n, model.n_bins, 1, generator=random) * 8.0
    return of_item + torch.randn(n, model.n_bins, model.n_frames, generator=random) * 5.0 - 40.0


def test_every_recipe_has_its_architecture_pinned_here():
    ours = {"default", "cnn", "lstm", "mlp"}
    assert set(recipe_names()) == set(BUILT) | ours
    assert {read_recipe(name).model for name in recipe_names()} == set(model_names())


@pytest.mark.parametrize("recipe", recipe_names())
def test_recipes_are_valid_and_their_networks_can_be_built_without_memory(recipe):
    with torch.device("meta"):
        model = build(recipe)
    assert {value.device.type for value in model.state_dict().values()} == {"meta"}
    assert 20 < len(describe_recipe(recipe)) < 128


@pytest.mark.parametrize("recipe", BUILT)
def test_input_parameters_and_dropouts(recipe):
    size, n_parameters, dropouts = BUILT[recipe]
    with torch.device("meta"):
        model = build(recipe)
    assert (model.n_bins, model.n_frames) == size
    assert sum(p.numel() for p in model.parameters()) == n_parameters
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == dropouts


@pytest.mark.parametrize("recipe", BUILT)
def test_training_is_as_it_is_stated(recipe):
    config = read_recipe(recipe)
    for field, value in (PLAIN | STATED[recipe]).items():
        assert attrgetter(field)(config) == value, field
    assert config.keep == STATED[recipe].get("keep", "last")
    assert (config.scaler, config.split.method) == (
        ("apart", "pieces") if recipe.startswith("groningen") else ("train", "stratified")
    )
    assert ("LEAK" in describe_recipe(recipe)) == (config.split.method == "pieces")
    plain = AugmentConfig()
    assert (config.augment == plain) != recipe.endswith(("-noise", "-pitch", "-mixup", "-stacked"))


@pytest.mark.parametrize(
    ("recipe", "n_frames", "starts"),
    [
        ("kth-cnn", 1290, [*range(0, 18 * 65, 65), 1161]),  # eighteen, and one that is right-aligned
        ("kth-cnn-song", 1290, [0]),
        ("glenn-cnn", 1293, [0, 224, 448, 672, 896, 1120]),
        ("upc-crnn", 1366, [0]),
    ],
)
def test_segments_of_a_track(recipe, n_frames, starts):
    assert segment_start_frames(n_frames, read_recipe(recipe).spec) == starts


@pytest.mark.parametrize("recipe", LEARNT)
def test_one_batch_is_learnt_by_heart(recipe):
    learning_rate, steps = LEARNT[recipe]
    model = build(recipe).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    features, labels = some_features(model, 3)[:, :, : FRAMES.get(recipe)], torch.arange(3)
    model.fit_standardisation(features)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    while len(losses) < steps and min(losses, default=1.0) > 0.2:
        heads = model.training_logits(features)
        loss = torch.stack([F.cross_entropy(head, labels) for head in heads]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 1.0
    assert losses[-1] < 0.2


@pytest.mark.parametrize("recipe", LEARNT)
def test_dropout_is_on_in_training_only_and_a_checkpoint_answers_alike(recipe, tmp_path):
    config = read_recipe(recipe)
    model = build(recipe)
    features = some_features(model, 2)[:, :, : FRAMES.get(recipe)]
    model.fit_standardisation(features)
    drops = any(m.p > 0 for m in model.modules() if isinstance(m, nn.Dropout))
    genres = tuple(f"genre {i}" for i in range(G))
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        assert torch.equal(model.train()(features), model(features)) != drops
        save_checkpoint(Checkpoint(model, config.spec, genres), tmp_path / "it.safetensors")
        answer = model.eval()(features)
        assert torch.equal(model(features), answer)
        loaded = load_checkpoint(tmp_path / "it.safetensors")
        assert loaded.spec == config.spec
        # Equal but for the last bit of a GRU, which depends on where in memory its weights lie.
        torch.testing.assert_close(loaded.model(features), answer, atol=1e-6, rtol=1e-6)
    assert answer.shape == (2, G)
