"""A run that starts from a published network keeps its weights, all but the last layer, and its licence."""

from __future__ import annotations

import pytest
import torch

from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.models import create_model
from genre_app.pretrained.musicnn import SPEC
from genre_app.runs.provenance import _source
from tests.two_beats import write_cache

SMALL = {"timbral_bins": [8], "timbral_maps": 4, "temporal_frames": [8], "temporal_maps": 2, "middle_maps": 4, "dense": 8}
RECIPE = """# A small musicnn.
model = "musicnn"
epochs = 1
segments_per_track = 1
batch_size = 4
freeze = "convolutions"

[model_settings]
timbral_bins = [8]
timbral_maps = 4
temporal_frames = [8]
temporal_maps = 2
middle_maps = 4
dense = 8

[spec]
n_mels = 32
compression = "log10_10000"
segment_seconds = 2.0
segment_hop_seconds = 1.0
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    (folder / "cache").mkdir()
    data = write_cache(folder / "cache")
    (folder / "small.toml").write_text(RECIPE, encoding="utf-8")
    spec = SPEC.model_copy(update={"n_mels": 32})
    torch.manual_seed(5)
    model = create_model("musicnn", n_bins=32, n_frames=187, n_genres=3, settings=SMALL)
    source = {"package": "musicnn==0.1.0", "network": "MSD_musicnn", "sha256": "0", "authors": "J. P."}
    source["trained_on"] = "Million Song Dataset"
    provenance = {"source": source, "licence": "ISC", "licence_text": "Copyright.\n\nPermission."}
    save_checkpoint(Checkpoint.single(model, spec, ("a", "b", "c"), provenance=provenance), folder / "tags.safetensors")
    words = [str(folder / "small.toml"), "--data", str(data), "--out", str(folder / "run"), "--threads", "1"]
    build()(["train", *words, "--init-from", str(folder / "tags.safetensors")], standalone_mode=False)
    return folder


def test_the_weights_are_kept_and_the_head_is_new(trained):
    old, new = load_checkpoint(trained / "tags.safetensors"), load_checkpoint(trained / "run" / "best.safetensors")
    before, after = old.model.state_dict(), new.model.state_dict()
    for name in ("timbral.0.conv.weight", "middle.2.norm.running_mean", "bin_mean", "bin_std"):
        torch.testing.assert_close(after[name], before[name], atol=0, rtol=0)
    assert after["head.weight"].shape == (2, 8)
    assert new.spec.compression == "log10_10000"


def test_the_checkpoint_and_its_card_keep_source_and_licence(trained):
    provenance = load_checkpoint(trained / "run" / "best.safetensors").provenance
    assert provenance["initial"]["source"]["network"] == "MSD_musicnn"
    card = (trained / "run" / "card.md").read_text(encoding="utf-8")
    assert "Network MSD_musicnn of musicnn==0.1.0 by J. P., trained on the Million Song Dataset. Licence ISC:" in card
    assert "> Copyright.\n> \n> Permission." in card


@pytest.mark.parametrize("stated", [{"source": "mine"}, {"source": {"network": 1}, "licence": "ISC"}, {"initial": [1]}])
def test_a_source_that_the_card_could_not_show_is_left_out(stated, make_checkpoint, tmp_path):
    checkpoint = make_checkpoint()
    checkpoint.provenance = stated
    save_checkpoint(checkpoint, tmp_path / "strange.safetensors")
    assert _source(str(tmp_path / "strange.safetensors")) == {}
