"""Plain convolution blocks: order of the layers, sizes after pools, refused settings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genre_app.models import create_model
from genre_app.models.convolutions import conv_blocks, fitted_pools


def kinds(batch_norm: str, activation: str = "relu", dropout: float = 0.5) -> list[str]:
    blocks, _ = conv_blocks(1, (8, 8), [2], [(2, 2)], batch_norm=batch_norm, activation=activation, dropout=dropout)
    return [type(layer).__name__ for layer in blocks[0]]


def test_the_position_of_the_batch_norm_in_a_block():
    assert kinds("none") == ["Conv2d", "MaxPool2d", "ReLU", "Dropout"]
    assert kinds("before_activation", "elu") == ["Conv2d", "BatchNorm2d", "MaxPool2d", "ELU", "Dropout"]
    assert kinds("after_activation") == ["Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d", "Dropout"]
    assert kinds("after_pool", dropout=0.0) == ["Conv2d", "MaxPool2d", "ReLU", "BatchNorm2d"]


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ELU()])
def test_the_order_of_pooling_and_activation_does_not_matter(activation):
    x = torch.randn(3, 5, 12, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pool = nn.MaxPool2d(2)
    one, other = pool(activation(x)), activation(pool(x))
    torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)
    weights = torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad((way * weights).sum(), x)[0] for way in (one, other)]
    torch.testing.assert_close(*gradients)


def test_sizes_after_pools():
    assert fitted_pools((20, 129), [(2, 2)] * 3) == ([(2, 2)] * 3, (2, 16))
    assert fitted_pools((64, 173), [(2, 2)] * 3, lost=2)[1] == (6, 19)
    assert fitted_pools((58,), [(2,), (2,)], lost=2)[1] == (13,)
    assert fitted_pools((4, 30), [(2, 5), (4, 2)], fit=True) == ([(2, 5), (2, 2)], (1, 3))


def test_an_input_that_is_too_small_is_refused_with_what_to_do():
    with pytest.raises(
        ValueError, match=r"input of 20 x 129 \(bins.*3 x 30 reach the pool of block 3, which takes 4 x 2; .*fit_pools"
    ):
        fitted_pools((20, 129), [(2, 2), (2, 2), (4, 2)], lost=1, fit=False)
    with pytest.raises(
        ValueError, match=r"0 x 30 reach the pool of block 1, which takes 1 x 1; use longer segments, smaller pools or"
    ):
        fitted_pools((2, 32), [(1, 1)], lost=2, fit=True)
    with pytest.raises(ValueError, match=r"input of 5 is too small.*3 reach the pool of block 1, which takes 4"):
        fitted_pools((5,), [(4,)], lost=2)


def test_a_cnn_on_too_few_bins_is_refused_before_it_is_trained():
    with pytest.raises(ValueError, match=r"input of 40 x 130 .* 1 x 8 reach the pool of block 5, which takes 2 x 2"):
        create_model("cnn", n_bins=40, n_frames=130, n_genres=2)
    with pytest.raises(ValueError, match="pools"):
        create_model("cnn", n_bins=40, n_frames=130, n_genres=2, settings={"channels": [8], "pools": [[0, 1]]})


@pytest.mark.parametrize("name", ["stack", "cnn1d"])
def test_settings_that_contradict_each_other_are_refused(name):
    def make(**settings):
        return create_model(name, n_bins=32, n_frames=33, n_genres=2, settings=settings)

    with pytest.raises(ValueError, match="kernel must be odd with padding same, got 4"):
        make(kernel=4, padding="same")
    assert make(kernel=4, padding="valid").eval()(torch.zeros(1, 32, 33)).shape == (1, 2)
    with pytest.raises(ValueError, match="channels"):
        make(channels=[0])
    if name == "stack":
        with pytest.raises(ValueError, match="equally many, got 2 and 3"):
            make(channels=[8, 8])


def test_the_stack_reads_all_values_or_the_mean_of_each_map():
    sizes = {"n_bins": 32, "n_frames": 33, "n_genres": 2}
    settings = {"channels": [4, 8], "pools": [[2, 2], [4, 2]], "dense": [7]}
    assert create_model("stack", **sizes, settings=settings).dense[0].in_features == 8 * 4 * 8
    assert create_model("stack", **sizes, settings=settings | {"readout": "mean"}).dense[0].in_features == 8


def test_the_one_dimensional_network_moves_along_either_axis():
    sizes = {"n_bins": 32, "n_frames": 50, "n_genres": 2}
    over_bins, over_frames = (create_model("cnn1d", **sizes, settings={"along": along}) for along in ("bins", "frames"))
    assert (over_bins.blocks[0][0].in_channels, over_frames.blocks[0][0].in_channels) == (50, 32)
    assert over_bins.dense[0].in_features == 64 * 6  # 32, 30, 15, 13, 6
    assert over_frames.dense[0].in_features == 64 * 11  # 50, 48, 24, 22, 11
    for model in (over_bins, over_frames):
        assert model.eval()(torch.zeros(3, 32, 50)).shape == (3, 2)


def test_the_residual_network_is_torchvisions_but_for_its_channel():
    from torchvision.models import resnet18

    ours = create_model("resnet18", n_bins=32, n_frames=33, n_genres=2).eval()
    theirs = resnet18(weights=None, num_classes=2).eval()
    state = ours.network.state_dict()
    # One kernel on one channel is three thirds of it on a channel that is repeated.
    theirs.load_state_dict(state | {"conv1.weight": state["conv1.weight"].repeat(1, 3, 1, 1) / 3})
    features = torch.randn(2, 32, 33, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs(features[:, None].repeat(1, 3, 1, 1))
        torch.testing.assert_close(ours(features), expected, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(m, nn.Linear) for module in ours.trunk() for m in module.modules())
