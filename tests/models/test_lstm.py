"""Readouts of the recurrent networks, and the layers before the recurrent ones."""

from __future__ import annotations

import pytest
import torch

from genre_app.models import create_model


def make(name: str = "lstm", n_bins: int = 16, n_frames: int = 20, **settings: object):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_model(name, n_bins=n_bins, n_frames=n_frames, n_genres=3, settings=settings).eval()


@pytest.fixture(scope="module")
def features():
    return torch.randn(4, 16, 20, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def outputs(model, features):
    """Outputs of the last LSTM layer [b, frames, width]."""
    x = features.transpose(1, 2)
    for layer in model.members[0].layers:
        x = layer(x)[0]
    return x


def test_last_is_the_last_output_of_the_last_layer(features):
    model = make(units=[8, 6])
    expected = model.members[0].head(outputs(model, features)[:, -1])
    torch.testing.assert_close(model(features), expected)


def test_last_of_two_directions_is_the_end_of_each(features):
    model = make(units=[6], bidirectional=True)
    x = outputs(model, features)
    expected = model.members[0].head(torch.cat([x[:, -1, :6], x[:, 0, 6:]], dim=1))
    torch.testing.assert_close(model(features), expected)


def test_mean_and_attention(features):
    model = make(units=[6], readout="mean")
    torch.testing.assert_close(model(features), model.members[0].head(outputs(model, features).mean(dim=1)))
    model = make(units=[6], readout="attention")
    x = outputs(model, features)
    with torch.no_grad():
        model.members[0].attention.weight.zero_()
        torch.testing.assert_close(model(features), model.members[0].head(x.mean(dim=1)))
        model.members[0].attention.weight.copy_(torch.tensor([[50.0, 0, 0, 0, 0, 0]]))
        found = x[torch.arange(4), x[:, :, 0].argmax(dim=1)]
        torch.testing.assert_close(model(features), model.members[0].head(found), atol=0.1, rtol=0.1)


def test_convolutions_and_a_projection_come_first(features):
    model = make(channels=[4, 8], pools=[[4, 1], [2, 2]], projection=5, units=[6])
    member = model.members[0]
    assert member.projection[0].in_features == 8 * 2  # maps x remaining bins
    assert member.layers[0].input_size == 5
    assert list(model.trunk()) == [member.blocks]
    assert model(features).shape == (4, 3)
    assert list(make().trunk()) == []


def test_the_crnn_gets_all_bins_that_remain_after_its_pools(features):
    model = make("crnn", channels=[4, 8], pools=[[2, 2], [2, 2]], units=[6], pad_frames=2)
    assert model.layers[0].input_size == 8 * 4
    lengths = []
    model.layers[0].register_forward_hook(lambda _module, taken, _given: lengths.append(taken[0].shape[1]))
    model(features)
    assert lengths == [(2 + 20 + 2) // 4]


def test_the_crnn_adapts_to_a_small_input_only_with_fit_pools():
    with pytest.raises(ValueError, match=r"an input of 64 x 94 .*2 x 3 reach the pool of block 4.*fit_pools"):
        make("crnn", n_bins=64)
    model = make("crnn", n_bins=64, fit_pools=True)
    assert model(torch.zeros(1, 64, 20)).shape == (1, 3)


def test_settings_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="equally many, got 1 and 2"):
        make(channels=[4], pools=[[2, 2], [2, 2]])
    with pytest.raises(ValueError, match=r"16 x 20.*4 x 20 reach the pool of block 2, which takes 8 x 1.*fit_pools"):
        make(channels=[4, 4], pools=[[4, 1], [8, 1]])
    assert make(channels=[4, 4], pools=[[4, 1], [8, 1]], fit_pools=True).members[0].layers[0].input_size == 4
    with pytest.raises(ValueError, match="units"):
        make(units=[])
    with pytest.raises(ValueError, match="pools"):
        make(channels=[4], pools=[[0, 1]])
