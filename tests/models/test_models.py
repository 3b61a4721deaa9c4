"""Every registered network: shapes, sizes, standardisation, training, and views."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genre_app.models import create_model, model_names
from genre_app.models.ensemble import masked

SMALL = {
    "cnn": {"channels": [8, 16], "pools": [[4, 2], [4, 4]], "dropout": 0.0},
    "cnn1d": {"channels": [8, 16], "dense": 32, "dropout": 0.0, "dense_dropout": 0.0},
    "committee": {
        "networks": [
            {"settings": {"channels": [8, 16], "pools": [[4, 2], [4, 4]], "dropout": 0.0, "views": ["plain", "plain"]}},
            {"model": "lstm", "settings": {"units": [16, 8]}},
        ]
    },
    "crnn": {
        "channels": [8, 16],
        "pools": [[4, 2], [8, 4]],
        "units": [16],
        "dropout": 0.0,
        "readout_dropout": 0.0,
        "pad_frames": 0,
    },
    "lstm": {"units": [16, 8]},
    "mlp": {"hidden": [32, 16]},
    "musicnn": {
        "timbral_bins": [12, 22],
        "timbral_maps": 8,
        "temporal_frames": [16, 8],
        "temporal_maps": 4,
        "middle_maps": 8,
        "dense": 16,
        "dropout": 0.0,
    },
    "stack": {"channels": [8, 16], "pools": [[4, 2], [4, 4]], "dropout": 0.0},
}


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


def test_a_bin_that_is_constant_in_training_has_no_influence(name, features):
    model = make(name).eval()
    silent = features.clone()
    silent[:, 3] = -80.0
    model.fit_standardisation(silent)
    if getattr(model, "is_plain", True):  # other views subtract the level, so the bin varies with it
        assert model.bin_std[3] == 1e6
        torch.testing.assert_close(model(features), model(silent), atol=1e-3, rtol=1e-3)
    others = torch.arange(32) != 3
    expected = model.prepare(silent)[:, others]
    torch.testing.assert_close(model.bin_std[others], expected.std(dim=(0, 2)), atol=0, rtol=0)
    torch.testing.assert_close(model.bin_mean[others], expected.mean(dim=(0, 2)), atol=0, rtol=0)


def test_the_trunk_is_the_convolutions_and_never_the_head(name, features):
    model = make(name)
    in_trunk = {id(m) for part in model.trunk() for m in part.modules()}
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]
    assert all(id(m) in in_trunk for m in convolutions)
    assert bool(in_trunk) == bool(convolutions)
    assert not any(id(m) in in_trunk for m in model.modules() if isinstance(m, nn.Linear | nn.RNNBase))


def test_each_parameter_is_in_one_stage_and_the_output_layers_are_in_the_first(name):
    model = make(name)
    stages = [[id(p) for module in stage for p in module.parameters()] for stage in model.stages()]
    assert sorted(itertools.chain(*stages)) == sorted(id(p) for p in model.parameters())
    assert all(stages)
    with torch.device("meta"):
        other = type(model)(32, 33, 5, model.settings)
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert {id(ours) for ours, theirs in pairs if ours.shape != theirs.shape} <= set(stages[0])


def test_the_temperature_divides_the_logits(name, features):
    model = make(name).eval()
    before = model(features)
    model.temperature.fill_(2.0)
    torch.testing.assert_close(model(features), before / 2.0)


def test_one_batch_is_overfitted(name, features):
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
        if loss < 0.05 * len(logits):
            break
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
    model = make("cnn", channels=[8, 16], views=["both", "both", "centred"])
    rest = 2 * 8 + 8 * 16 * 9 + 2 * 16 + 16 * 4 + 4  # batch norms, second convolution without bias, dense layer
    assert sum(p.numel() for p in model.parameters()) == 2 * (2 * 8 * 9 + rest) + (1 * 8 * 9 + rest)


@pytest.mark.parametrize("masking_db", [None, 12.0])
def test_the_level_does_not_change_the_output_of_the_cnn(features, masking_db):
    model = make("cnn", masking_db=masking_db).eval()
    model.fit_standardisation(features)
    torch.testing.assert_close(model(features - 20.0), model(features), atol=1e-4, rtol=1e-4)


def test_the_centred_view_removes_a_fixed_response_and_the_contrast_view_a_broad_one(features):
    response = torch.randn(1, 32, 1, generator=torch.Generator().manual_seed(2)) * 6.0
    tilt = torch.linspace(-3.0, 3.0, 32)[None, :, None]
    model = make("cnn", views=["centred", "contrast"], contrast_bins=5).eval()
    centred, contrast = model.training_logits(features)
    by_response = model.training_logits(features + response)
    torch.testing.assert_close(by_response[0], centred, atol=1e-3, rtol=1e-3)
    assert (by_response[1] - contrast).abs().max() > 0.01
    by_tilt = model.training_logits(features + tilt)
    assert (by_tilt[1] - contrast).abs().max() < 0.1 * (by_response[1] - contrast).abs().max()


def test_the_soft_floor_lies_below_the_mean_power_of_each_bin():
    db = torch.zeros(1, 2, 4)
    db[0, 1] = torch.tensor([0.0, -60.0, -60.0, -60.0])
    low = db - 500.0  # whatever the level
    for features, level in ((db, 0.0), (low, -500.0)):
        found = masked(features, 12.0) - level
        power = 10 ** (found / 10)
        torch.testing.assert_close(power[0, 0], torch.full((4,), 1.0 + 10**-1.2))
        floor = (1.0 + 3e-6) / 4.0 * 10**-1.2
        torch.testing.assert_close(power[0, 1], torch.tensor([1.0 + floor, *[1e-6 + floor] * 3]), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("name", ["cnn", "lstm", "mlp"])
def test_every_ensemble_applies_the_soft_floor(features, name):
    model = make(name, views=["centred"], masking_db=12.0)
    floored = masked(features, 12.0)
    torch.testing.assert_close(model.prepare(features), floored - floored.mean(dim=(1, 2), keepdim=True))


def test_with_the_soft_floor_added_noise_changes_less(features):
    noise = features.mean(dim=2, keepdim=True) - 5.0 + torch.randn(features.shape, generator=torch.Generator().manual_seed(3))
    noisy = 10.0 * torch.log10(10 ** (features / 10.0) + 10 ** (noise / 10.0))
    change = (noisy - features).square().mean()
    assert (masked(noisy, 12.0) - masked(features, 12.0)).square().mean() < 0.5 * change


def test_members_computed_together_equal_each_alone(features):
    model = make("cnn", views=["both", "centred", "contrast", "contrast"])
    model.fit_standardisation(features)
    for _ in range(3):
        model.training_logits(features)  # updates the running statistics
    model.eval()
    alone = torch.stack(
        [member(model.views(features)[:, seen]) for member, seen in zip(model.members, model.seen, strict=True)]
    )
    torch.testing.assert_close(model.training_logits(features), alone, atol=1e-5, rtol=1e-5)


def test_each_member_of_a_committee_has_the_same_weight(features):
    settings = SMALL["committee"]["networks"]
    model = make("committee").eval()
    model.fit_standardisation(features)
    parts = [make(part.get("model", "cnn"), **part["settings"]).eval() for part in settings]
    for part, own in zip(parts, model.networks, strict=True):
        part.fit_standardisation(features)
        part.load_state_dict(own.state_dict())
    heads = torch.cat([torch.softmax(part.training_logits(features), dim=-1) for part in parts])
    assert heads.shape == (3, 12, 4)
    torch.testing.assert_close(torch.softmax(model(features), dim=1), heads.mean(dim=0), atol=1e-5, rtol=1e-4)
    assert len(list(model.trunk())) == 2
    with pytest.raises(ValueError, match="there is no model 'choir'; choose one of: cnn"):
        make("committee", networks=[{"model": "choir"}])
    with pytest.raises(ValueError, match="cnn: dropout: must be less than 1, got"):
        make("committee", networks=[{"settings": {"dropout": 3}}])
    with pytest.raises(ValueError, match="name all networks in one list"):
        make("committee", networks=[{"model": "committee"}])


def test_merging_the_norm_into_the_convolution_keeps_the_output(features):
    model = make("cnn", views=["both"])
    model.fit_standardisation(features)
    for _ in range(3):
        model.training_logits(features)  # updates the running statistics
    block = model.members[0].blocks[0].eval()
    x = torch.randn(2, 2, 32, 33)
    plain = F.relu(F.max_pool2d(block.norm(block.conv(x)), block.pool))
    torch.testing.assert_close(block(x), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lstm", {"channels": [4], "pools": [[2, 2]], "units": [8]}),
        ("mlp", {"pool": ["mean", "std", "p90", "delta"], "modulation_bands": 4}),
        ("mlp", {}),
    ],
)
def test_views_remove_level_and_response_in_every_ensemble(name, settings, features):
    response = torch.randn(1, 32, 1, generator=torch.Generator().manual_seed(2)) * 6.0
    for views in (["both"], ["centred", "contrast"], ["centred"]):
        model = make(name, **settings, views=views).eval()
        model.fit_standardisation(features)
        torch.testing.assert_close(model(features - 20.0), model(features), atol=1e-3, rtol=1e-3)
        response_matters = not torch.allclose(model(features + response), model(features), atol=1e-3)
        assert response_matters == (views != ["centred"])
    plain = make(name, **settings).eval()
    plain.fit_standardisation(features)
    assert not torch.allclose(plain(features * 0.5 - 20.0), plain(features), atol=1e-3)
    members = make(name, **settings, views=["both", "contrast", "both"]).eval()
    heads = torch.softmax(members.training_logits(features), dim=-1)
    assert heads.shape == (3, 12, 4)
    assert not torch.allclose(heads[0], heads[2])
    torch.testing.assert_close(torch.softmax(members(features), dim=-1), heads.mean(dim=0))


def test_the_plain_view_cannot_be_combined():
    with pytest.raises(ValueError, match="choose plain alone"):
        make("mlp", views=["plain", "both"])
    with pytest.raises(ValueError, match="must be odd, got 4"):
        make("lstm", views=["both"], contrast_bins=4)


def test_the_output_of_the_cnn_is_the_mean_of_its_members_probabilities(features):
    model = make("cnn", views=["both", "centred", "contrast"]).eval()
    members = torch.softmax(model.training_logits(features), dim=-1)
    assert not torch.allclose(members[0], members[1])
    torch.testing.assert_close(torch.softmax(model(features), dim=-1), members.mean(dim=0))
