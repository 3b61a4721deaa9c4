"""Every published system as its recipe builds it: sizes, dropouts, overfitting of one batch, a checkpoint's round trip."""

from __future__ import annotations

from operator import attrgetter

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genre_app.augment.config import AugmentConfig
from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.features import segment_start_frames
from genre_app.models import create_model, model_names
from genre_app.models.size import largest_result
from genre_app.runs.recipes import describe_recipe, read_recipe, recipe_names
from tests.models.published import BUILT, PLAIN, STATED, G

# One recipe for each different network, with the learning rate and the most steps in which it overfits a few items.
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
FRAMES = {"upc-crnn": 118, "kth-lstm-song-mfcc": 400}  # shorter segments take less time; no weight depends on the length


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
    """Return random features with different bin means for each item, about as loud as music."""
    random = torch.Generator().manual_seed(1)
    of_item = torch.randn(n, model.n_bins, 1, generator=random) * 8.0
    return of_item + torch.randn(n, model.n_bins, model.n_frames, generator=random) * 5.0 - 40.0


def test_every_recipe_is_tested_here():
    ours = {"default", "cnn", "lstm", "mlp", "transfer"}
    assert set(recipe_names()) == set(BUILT) | ours
    assert {read_recipe(name).model for name in recipe_names()} <= set(model_names())  # a new network needs no recipe


@pytest.mark.parametrize("recipe", recipe_names())
def test_recipes_are_valid_and_their_networks_can_be_built_without_memory(recipe):
    with torch.device("meta"):
        model = build(recipe)
    assert {value.device.type for value in model.state_dict().values()} == {"meta"}
    assert 20 < len(describe_recipe(recipe)) < 128


class Results(TorchDispatchMode):
    """Keep the number of values of each tensor that is really computed."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        self.sizes += [result.numel() for result in tree_leaves(results) if isinstance(result, torch.Tensor)]
        return results


@pytest.mark.parametrize("recipe", [*LEARNT, "default", "transfer"])
def test_the_largest_result_is_known_without_values(recipe):
    model = build(recipe).eval()
    with torch.device("meta"):
        shell = build(recipe).eval()
    with torch.inference_mode(), Results() as results:
        model(some_features(model, 1))
    found = largest_result(shell)
    assert max(results.sizes) / 4 <= found <= max(results.sizes)  # a recurrent layer computes four gates for each result


@pytest.mark.parametrize("recipe", BUILT)
def test_input_parameters_and_dropouts(recipe):
    size, n_parameters, dropouts = BUILT[recipe]
    with torch.device("meta"):
        model = build(recipe)
    assert (model.n_bins, model.n_frames) == size
    assert sum(p.numel() for p in model.parameters()) == n_parameters
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == dropouts


@pytest.mark.parametrize("recipe", BUILT)
def test_training_settings_are_those_of_the_source(recipe):
    config = read_recipe(recipe)
    for field, value in (PLAIN | STATED[recipe]).items():
        assert attrgetter(field)(config) == value, field
    assert config.keep == STATED[recipe].get("keep", "last")
    assert (config.scaler, config.split.method) == (
        ("apart", "pieces") if recipe.startswith("groningen") else ("train", "stratified")
    )
    assert ("With the leak of the source" in describe_recipe(recipe)) == (config.split.method == "pieces")
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
def test_one_batch_is_overfitted(recipe):
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
def test_dropout_is_on_in_training_only_and_a_checkpoint_keeps_the_outputs(recipe, tmp_path):
    config = read_recipe(recipe)
    model = build(recipe)
    features = some_features(model, 2)[:, :, : FRAMES.get(recipe)]
    model.fit_standardisation(features)
    drops = any(m.p > 0 for m in model.modules() if isinstance(m, nn.Dropout))
    genres = tuple(f"genre {i}" for i in range(G))
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        assert torch.equal(model.train()(features), model(features)) != drops
        save_checkpoint(Checkpoint.single(model, config.spec, genres), tmp_path / "it.safetensors")
        answer = model.eval()(features)
        assert torch.equal(model(features), answer)
        loaded = load_checkpoint(tmp_path / "it.safetensors")
        assert loaded.spec == config.spec
        # The last bit of a GRU depends on the memory address of its weights.
        torch.testing.assert_close(loaded.model(features), answer, atol=1e-6, rtol=1e-6)
    assert answer.shape == (2, G)
