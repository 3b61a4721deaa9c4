"""Every registered network: shapes, sizes, standardisation, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from genre_app.models import create_model, model_names

SMALL = {"cnn": {"channels": [8, 16], "pools": [[4, 2], [4, 4]], "dropout": 0.0}}


def make(name: str, seed: int = 0, **settings: object):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_model(name, n_bins=32, n_frames=33, n_genres=4, settings=SMALL.get(name, {}) | settings)


@pytest.fixture(params=model_names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def features():
    return torch.randn(12, 32, 33, generator=torch.Generator().manual_seed(1)) * 15.0 - 40.0


def test_logits_for_every_genre_and_the_batch_equals_its_items(name, features):
    model = make(name).eval()
    with torch.inference_mode():
        together = model(features)
        singly = torch.cat([model(item[None]) for item in features])
    assert together.shape == (12, 4)
    torch.testing.assert_close(together, singly, atol=1e-4, rtol=1e-4)


def test_standardised_training_features_have_zero_mean_and_unit_variance_in_each_bin(name, features):
    model = make(name)
    model.fit_standardisation(features)
    standardised = model.standardise(features)
    torch.testing.assert_close(standardised.mean(dim=(0, 2)), torch.zeros(32), atol=1e-4, rtol=0)
    torch.testing.assert_close(standardised.std(dim=(0, 2)), torch.ones(32), atol=1e-3, rtol=0)


def test_a_constant_bin_does_not_blow_up(name, features):
    model = make(name).eval()
    features = features.clone()
    features[:, 3] = -80.0
    model.fit_standardisation(features)
    assert torch.isfinite(model(features)).all()


def test_the_temperature_divides_the_logits(name, features):
    model = make(name).eval()
    before = model(features)
    model.temperature.fill_(2.0)
    torch.testing.assert_close(model(features), before / 2.0)


def test_one_batch_is_learnt_by_heart(name, features):
    model = make(name).train()
    model.fit_standardisation(features)
    labels = torch.arange(12) % 4
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(150):
        logits = model.training_logits(features)
        loss = sum(F.cross_entropy(head, labels) for head in logits)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05 * len(logits)


def test_the_state_survives_a_round_trip(name, features):
    model, other = make(name, seed=1).eval(), make(name, seed=2).eval()
    model.fit_standardisation(features)
    assert not torch.allclose(model(features), other(features))
    other.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(model(features), other(features), atol=0, rtol=0)


def test_unknown_names_and_settings_are_refused():
    with pytest.raises(ValueError, match=r"no model 'transformer'.*cnn"):
        create_model("transformer", n_bins=8, n_frames=8, n_genres=2)
    with pytest.raises(ValueError, match="depth"):
        create_model("cnn", n_bins=8, n_frames=8, n_genres=2, settings={"depth": 3})


def test_cnn_parameter_count_by_hand():
    model = make("cnn", channels=[8, 16], members=3)
    blocks = 2 * 8 * 9 + 2 * 8 + 8 * 16 * 9 + 2 * 16  # convolutions without bias, batch norms
    assert sum(p.numel() for p in model.parameters()) == 3 * (blocks + 16 * 4 + 4)


def test_cnn_does_not_hear_the_level(features):
    model = make("cnn").eval()
    model.fit_standardisation(features)
    torch.testing.assert_close(model(features - 20.0), model(features), atol=1e-4, rtol=1e-4)


def test_cnn_answers_with_the_mean_of_its_members_probabilities(features):
    model = make("cnn", members=3).eval()
    members = torch.softmax(model.training_logits(features), dim=-1)
    assert not torch.allclose(members[0], members[1])
    torch.testing.assert_close(torch.softmax(model(features), dim=-1), members.mean(dim=0))
