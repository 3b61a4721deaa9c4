"""Statistics of the perceptron, and the inputs and settings that it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genre_app.models import create_model

STATISTICS = ("mean", "std", "skew", "min", "p10", "median", "p90", "max", "delta")


def make(n_bins: int = 8, n_frames: int = 41, **settings: object):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_model("mlp", n_bins=n_bins, n_frames=n_frames, n_genres=3, settings={"hidden": [16]} | settings)


@pytest.fixture(scope="module")
def features():
    return torch.randn(5, 8, 41, generator=torch.Generator().manual_seed(1)) * 10.0 - 40.0


def test_statistics_against_numpy(features):
    statistics = make(pool=STATISTICS).members[0].statistics
    found = statistics(features[:, None])
    x = features.numpy().astype(np.float64)
    centred = x - x.mean(-1, keepdims=True)
    expected = {
        "mean": x.mean(-1),
        "std": x.std(-1),
        "skew": (centred**3).mean(-1) / x.std(-1) ** 3,
        "min": x.min(-1),
        "p10": np.percentile(x, 10, axis=-1),
        "median": np.median(x, axis=-1),
        "p90": np.percentile(x, 90, axis=-1),
        "max": x.max(-1),
        "delta": np.abs(np.diff(x, axis=-1)).mean(-1),
    }
    assert found.shape == (5, 1, 8, len(STATISTICS))
    for index, name in enumerate(STATISTICS):
        np.testing.assert_allclose(found[:, 0, :, index], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_neighbouring_bins_are_averaged_first(features):
    pooled = make(pool=["std"], pool_bins=3).members[0].statistics
    plain = make(n_bins=2, pool=["std"]).members[0].statistics
    averaged = torch.stack([features[:, 0:3].mean(1), features[:, 3:6].mean(1)], dim=1)  # the last two are left over
    torch.testing.assert_close(pooled(features[:, None]), plain(averaged[:, None]))


def test_a_modulation_appears_in_its_band_only():
    n_frames = 64
    statistics = make(n_bins=1, n_frames=n_frames, modulation_bands=5).members[0].statistics
    bands = []
    for cycles in (1, 2, 4, 9, 20):
        wave = torch.sin(2 * torch.pi * cycles * torch.arange(n_frames) / n_frames) * 10.0 + 3.0
        strength = statistics(wave[None, None, None])[0, 0, 0]
        assert strength.sort().values[-2] < 1e-3
        bands.append(int(strength.argmax()))
    assert bands == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n_frames", [16, 17, 78, 129])
def test_the_modulation_bands_cover_the_spectrum_without_its_mean(n_frames):
    bands = make(n_frames=n_frames, modulation_bands=8).members[0].statistics.bands
    assert bands.shape == (1 + n_frames // 2, 8)
    assert (bands[0] == 0).all()
    assert ((bands[1:] > 0).sum(dim=1) == 1).all()
    torch.testing.assert_close(bands.sum(dim=0), torch.ones(8))


def test_spectra_of_patches_against_numpy(features):
    patches = make(modulation_bands=20, patch_bins=4).members[0].patches  # at 41 frames 20 bands are a frequency each
    found = patches(features[:, None])
    assert found.shape == (5, 1, 3, 3, 20)
    window = np.hanning(6)[1:-1, None]
    for number, low in enumerate((0, 2, 4)):
        spectrum = np.abs(np.fft.fft2(features[:, low : low + 4].double().numpy() * window)[..., 1:21]) / (41 * 4) ** 0.5
        folded = np.stack([spectrum[:, 0], (spectrum[:, 1] + spectrum[:, 3]) / 2, spectrum[:, 2]], axis=1)
        np.testing.assert_allclose(found[:, 0, number], np.log1p(folded), rtol=1e-4, atol=1e-4)


def test_a_small_shift_of_pitch_changes_statistics_but_not_patch_spectra():
    member = make(n_bins=64, n_frames=64, pool=["std"], modulation_bands=6, patch_bins=16).members[0]
    pulse = torch.sin(2 * torch.pi * 4 * torch.arange(64) / 64)
    partials = torch.cos(2 * torch.pi * torch.arange(65) / 8)[:, None] * pulse  # one every 8 bins
    here, moved = partials[None, None, :64], partials[None, None, 1:]

    def change(of: torch.nn.Module) -> float:
        before, after = of(here), of(moved)
        return float((after - before).norm() / before.norm())

    assert change(member.patches) < 0.1
    assert change(member.statistics) > 0.3


def test_bands_and_statistics_give_the_size_of_the_first_layer():
    model = make(views=["both"], pool=["mean", "std"], modulation_bands=4, pool_bins=2)
    assert model.members[0].layers[0].in_features == 2 * 4 * (2 + 4)
    model = make(views=["both"], pool=["mean", "std"], modulation_bands=4, pool_bins=2, patch_bins=4)
    assert model.members[0].layers[0].in_features == 2 * (4 * (2 + 4) + 3 * 3 * 4)  # three patches, frequencies 0 to 2
    assert model(torch.zeros(2, 8, 41)).shape == (2, 3)


def test_without_a_pool_all_values_go_in_and_order_matters(features):
    model = make().eval()
    assert model.members[0].layers[0].in_features == 8 * 41
    assert not torch.allclose(model(features), model(features.flip(2)))
    pooled = make(pool=["mean", "std"]).eval()
    torch.testing.assert_close(pooled(features), pooled(features.flip(2)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "settings", "sentence"),
    [
        ({"n_frames": 1}, {"pool": ["std"]}, "at least 2 frames, got 1"),
        ({"n_frames": 9}, {"modulation_bands": 5}, "9 frames have at most 4 modulation_bands, got 5"),
        ({}, {"pool": ["std"], "pool_bins": 9}, "must not exceed the 8 bins, got 9"),
        ({}, {"modulation_bands": 4, "patch_bins": 10}, "patch_bins must not exceed the 8 bins, got 10"),
        ({}, {"pool": ["std"], "patch_bins": 4}, "patch_bins needs modulation_bands"),
        ({}, {"modulation_bands": 4, "patch_bins": 3}, "patch_bins"),
        ({}, {"hidden": []}, "hidden"),
        ({}, {"hidden": [0]}, "hidden"),
        ({}, {"pool": ["kurtosis"]}, "pool"),
    ],
)
def test_settings_that_do_not_match_are_refused(size, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**size, **settings)
