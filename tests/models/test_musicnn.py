"""The published network of Pons and Serra, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genre_app.models import create_model, musicnn


def published(n_frames: int = 187, **settings: object):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = create_model("musicnn", n_bins=96, n_frames=n_frames, n_genres=50, settings=settings)
        for norm in model.modules():  # statistics as after training, with scales of both signs
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                norm.running_mean.normal_(0.0, 0.2)
                norm.running_var.uniform_(0.5, 2.0)
                norm.weight.data.normal_()
                norm.bias.data.normal_(0.0, 0.2)
    return model.eval()


@pytest.fixture(scope="module")
def features():
    return torch.rand(2, 96, 187, generator=torch.Generator().manual_seed(1)) * 4.0


def test_it_has_the_published_number_of_parameters():
    model = published()
    assert (
        sum(p.numel() for p in model.parameters())
        + sum(b.numel() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var")))
        == 792_079
    )
    assert [m.in_features for m in model.modules() if isinstance(m, nn.Linear)] == [1506, 200]


def norm(x: np.ndarray, layer: nn.Module) -> np.ndarray:
    """Apply a batch norm to the last axis."""
    mean, var, scale, shift = (
        t.detach().double().numpy() for t in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / np.sqrt(var + 0.001) * scale + shift


def convolved(x: np.ndarray, layer: nn.Module, before: int, after: int) -> np.ndarray:
    """Convolve [frames, bins] with zeros around the frames, [frames, bins out, maps], and apply ReLU."""
    kernel = layer.weight.detach().double().numpy()
    kernel = kernel.reshape(len(kernel), *kernel.shape[-2:])  # [maps, bins, frames]
    patches = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((before, after), (0, 0))), kernel.shape[:0:-1])
    return np.maximum(np.tensordot(patches, kernel, ((2, 3), (2, 1))) + layer.bias.detach().double().numpy(), 0.0)


def test_the_logits_equal_a_direct_computation(features):
    model = published()
    features = features[:, :, :60]
    found = model(features[:1])[0]
    x = norm(features[0].double().numpy().T[..., None], model.input_norm)[..., 0]  # [frames, bins]
    fronts = [(front, 3, 3) for front in model.timbral]
    fronts += [(front, (k - 1) // 2, k - 1 - (k - 1) // 2) for front, k in zip(model.temporal, (128, 64, 32), strict=True)]
    maps = [np.concatenate([norm(convolved(x, f.conv, *pad), f.norm).max(axis=1) for f, *pad in fronts], axis=1)]
    for number, layer in enumerate(model.middle):
        new = norm(convolved(maps[-1], layer.conv, 3, 3)[:, 0], layer.norm)
        maps.append(new + maps[-1] if number else new)
    joined = np.concatenate(maps, axis=1)
    assert joined.shape == (60, 753)
    pooled = norm(np.stack([joined.max(axis=0), joined.mean(axis=0)], axis=1).ravel(), model.pool_norm)
    dense = model.dense.weight.detach().double().numpy() @ pooled + model.dense.bias.detach().numpy()
    hidden = norm(np.maximum(dense, 0.0), model.dense_norm)
    expected = model.head.weight.detach().double().numpy() @ hidden + model.head.bias.detach().numpy()
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-3, rtol=1e-3)


def plain(model: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """The logits by ordinary convolutions and batch norms, in float32."""
    x = model.input_norm(model.standardise(features)[:, None])[:, 0]
    maps = torch.cat([front(x) for front in (*model.timbral, *model.temporal)], dim=1)
    hidden = model.dense_norm(F.relu(model.dense(model.pool_norm(model.pooled(maps)))))
    return model.head(hidden)


def test_folded_products_equal_plain_convolutions(features, monkeypatch):
    model = published()
    with torch.inference_mode():
        expected = torch.softmax(plain(model, features), dim=1)
        in_bfloat16 = torch.softmax(model(features), dim=1)
        monkeypatch.setattr(musicnn, "matrix_dtype", lambda: torch.float32)
        in_float32 = torch.softmax(model(features), dim=1)
    assert expected.std() > 5e-3
    torch.testing.assert_close(in_float32, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        in_bfloat16, expected, atol=1e-3, rtol=0
    )  # random weights; the published ones: see test_pretrained


def test_overlapping_segments_give_the_same_as_each_alone():
    model = published()
    spectrogram = torch.rand(96, 400, generator=torch.Generator().manual_seed(2)) * 4.0
    spectrogram[:, 100:160] = 0.5  # equal columns, as in silence
    starts = [0, 93, 186, 213, 213]
    segments = torch.stack([spectrogram[:, start : start + 187] for start in starts])
    found, joined = musicnn.join_overlaps(segments)
    assert found == starts
    torch.testing.assert_close(joined, spectrogram[:, :400], atol=0, rtol=0)
    apart = segments[[0, 3, 1]]  # no neighbours overlap
    assert musicnn.join_overlaps(apart)[0] == [0, 187, 374]
    with torch.inference_mode():
        for batch in (segments, apart):
            torch.testing.assert_close(model(batch), torch.cat([model(one[None]) for one in batch]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 40, 300])
def test_segments_may_have_any_length(n_frames):
    model = published(n_frames)
    assert torch.isfinite(model(torch.rand(2, 96, n_frames))).all()
    model.load_state_dict(published().state_dict(), strict=True)


def test_too_few_bins_are_refused():
    with pytest.raises(ValueError, match="need at least 67 bins, got 64"):
        create_model("musicnn", n_bins=64, n_frames=100, n_genres=4)


def test_the_stages_hold_every_layer_once_from_the_output_to_the_input():
    model = published()
    stages = [{id(p) for module in stage for p in module.parameters()} for stage in model.stages()]
    assert [len(stage) for stage in stages] == [2, 3 * 4 + 2 + 2 + 2, 2 + 5 * 4]
    assert set.union(*stages) == {id(p) for p in model.parameters()}


def test_the_head_can_see_the_pooled_maps_too(features):
    model = published(head="all")
    assert model.head.in_features == 1706
    before = model(features)
    model.head.weight.data[:, :200] = 0.0
    assert not torch.allclose(model(features), before)
    assert model(features).std() > 0.01


def test_frozen_stages_keep_their_statistics_in_training(features):
    model = published().train()
    for module in model.stages()[2]:
        module.eval()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.training_logits(features)
    changed = {name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])}
    assert {name.split(".")[0] for name in changed} == {"middle", "pool_norm", "dense_norm"}


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_gradients_of_the_front_end_equal_those_of_a_plain_convolution(precision, tolerance):
    random = torch.Generator().manual_seed(4)
    shapes = (3, 1, 20, 30), (5, 1, 12, 7), (5,)
    plain, ours = ([torch.randn(shape, generator=random.manual_seed(4)).requires_grad_() for shape in shapes] for _ in "ab")
    F.conv2d(*plain).square().sum().backward()
    given = [tensor.to(precision) for tensor in ours]
    musicnn._Convolution.apply(*given).square().sum().backward()
    for expected, found in zip(plain, ours, strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=tolerance * float(expected.grad.abs().max()))
