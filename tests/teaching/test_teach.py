"""Teaching: the checkpoint answers as its layers say, the figures come from clips left out, and nothing is computed twice."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.audio import Clip, load_clip
from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.data.collection import Collection
from genre_app.errors import CheckpointError, DataError
from genre_app.features import FeatureSpec
from genre_app.models import create_model
from genre_app.predict import classify
from genre_app.progress import Monitor, StoppedError
from genre_app.teaching import cached
from genre_app.teaching.embedding import Embedder
from genre_app.teaching.examples import Example, folder_examples, parts_left_out
from genre_app.teaching.teach import teach
from tests.teaching.music import RATE, sound


def test_new_genres_are_learned_and_tested_on_clips_left_out(taught) -> None:
    assert taught.checkpoint.genres == ("clicks", "high", "low")
    assert [track.track_id for track in taught.report.tracks] == sorted(
        f"{kind}/{kind}{seed}.wav" for kind in ("low", "high", "clicks") for seed in range(3)
    )
    assert (taught.n_right, len(taught.report.tracks), taught.n_before) == (9, 9, 0)
    assert taught.n_right_recorded >= 7
    assert taught.wrong() == []
    for kind in ("low", "high", "clicks"):
        prediction = classify(Clip(sound(kind, 77), RATE), taught.checkpoint)
        assert prediction.genre == kind


def test_labels_that_say_nothing_are_not_learned(base, tmp_path) -> None:
    for number in range(12):
        genre = tmp_path / ("even", "odd")[number % 2]
        genre.mkdir(exist_ok=True)
        soundfile.write(genre / f"{number}.wav", sound("low", number), RATE)
    found = teach(folder_examples(tmp_path)[0], base, threads=2)
    assert found.n_right <= 9, "the figures must come from clips that were left out"


def test_the_file_answers_as_it_was_tested(base, taught, folder, embeddings, tmp_path) -> None:
    """The answer for a clip left out is that of a checkpoint taught without it."""
    examples = folder_examples(folder)[0]
    place = next(place for place, example in enumerate(examples) if example.name == "low/low1.wav")
    save_checkpoint(taught.checkpoint, tmp_path / "taught.safetensors")
    loaded = load_checkpoint(tmp_path / "taught.safetensors")
    clip = load_clip(examples[place].path, sample_rate=RATE)
    np.testing.assert_array_equal(classify(clip, loaded).probabilities, classify(clip, taught.checkpoint).probabilities)
    others = [example for example in examples if example is not examples[place]]
    without = teach(others, base, cache=embeddings).checkpoint
    with_mix = Checkpoint(
        tuple(
            type(new)(new.model, new.spec, new.weight, mix.temperature)
            for new, mix in zip(without.members, taught.checkpoint.members, strict=True)
        ),
        without.genres,
    )
    tested = next(
        row
        for row, track in zip(taught.report.probabilities, taught.report.tracks, strict=True)
        if track.track_id == "low/low1.wav"
    )
    np.testing.assert_allclose(classify(clip, with_mix).probabilities, tested, atol=0.03)


def test_the_networks_stay_as_they_are(base, taught) -> None:
    for old, new in zip(base.members, taught.checkpoint.members, strict=True):
        heads = old.model.heads()
        kept = {name: value for name, value in old.model.state_dict().items() if name.rpartition(".")[0] not in heads}
        found = new.model.state_dict()
        assert len(kept) > 3
        for name, value in kept.items():
            if not name.endswith("temperature"):
                np.testing.assert_array_equal(value, found[name])
    assert taught.checkpoint.provenance["clips"] == {"clicks": 3, "high": 3, "low": 3}


def test_embeddings_are_kept_and_give_the_same_result(base, folder, taught, embeddings, tmp_path, monkeypatch) -> None:
    examples = folder_examples(folder)[0]
    shutil.copytree(embeddings, tmp_path, dirs_exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(cached, "augment_waveform", None)  # nothing may be computed again
        patch.setattr(Embedder, "embed", None)
        again = teach(examples, base, cache=tmp_path, threads=1)
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 9
    for file in files[:2]:
        file.write_bytes(file.read_bytes()[:100])
    files[2].unlink()
    mended = teach(examples, base, cache=tmp_path, threads=2)
    for found in (again, mended):
        np.testing.assert_array_equal(found.report.probabilities, taught.report.probabilities)
        np.testing.assert_array_equal(found.recorded.probabilities, taught.recorded.probabilities)


def test_embeddings_of_clips_that_were_removed_are_deleted(base, folder, taught, embeddings, tmp_path) -> None:
    shutil.copytree(embeddings, tmp_path / "cache")
    shutil.copytree(folder, tmp_path / "music")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.rename(tmp_path / "cache" / "of another checkpoint")
    shutil.copytree(tmp_path / "cache" / "of another checkpoint", kept)
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        os.utime(file, (0, 0))
    written_meanwhile = kept / "0.safetensors"
    written_meanwhile.touch()
    os.utime(written_meanwhile, (time.time() + 60,) * 2)
    foreign = kept / "notes.txt"
    foreign.touch()
    (tmp_path / "music" / "low" / "low0.wav").unlink()

    def names() -> list[int]:
        return [len(list(kept.with_name(name).iterdir())) for name in (kept.name, "of another checkpoint")]

    examples = folder_examples(tmp_path / "music")[0]
    teach(examples, base, cache=tmp_path / "cache")
    assert names() == [9 + 2, 9]  # the cache may serve other folders too
    found = teach(examples, base, cache=tmp_path / "cache", prune=True)
    assert names() == [8 + 2, 8]
    assert len(found.examples) == 8
    assert written_meanwhile.exists()
    assert foreign.exists()


def test_an_embedding_is_what_the_last_layer_gets(base) -> None:
    clip = Clip(sound("low", 5, 7.0), RATE)
    embedding = Embedder(base).embed(clip)
    rows = [member.probabilities[member.places].mean(axis=1) for member in embedding.members]
    np.testing.assert_allclose(base.joined(rows), classify(clip, base).segment_probabilities, atol=1e-6)
    for member, own in zip(base.members, embedding.members, strict=True):
        (head,) = member.model.heads().values()
        logits = own.of_heads[0] @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        powers = np.exp(logits / float(member.model.temperature))
        np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), own.probabilities, atol=1e-5)


@pytest.mark.parametrize("gain", [1e-5, 0.0])
def test_a_clip_is_not_refused_for_a_simulated_recording_that_is_too_quiet(base, folder, monkeypatch, gain) -> None:
    monkeypatch.setattr(cached, "augment_waveform", lambda samples, *_: samples * np.float32(gain))
    found, failed = cached.Embeddings(base).of_files([folder / "low" / "low0.wav"], Monitor())
    assert failed == []
    versions = found[0]
    assert versions is not None
    assert [version.sounds.all() for version in versions] == [True] * 3


def test_the_source_of_a_file_is_itself_or_its_track_of_gtzan(tmp_path) -> None:
    for name in ("high/a.wav", "high/blues.00000.0.wav", "low/a.wav", "low/blues.00000.1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    sources = [example.source for example in folder_examples(tmp_path)[0]]
    assert sources == ["high/a.wav", "blues.00000", "low/a.wav", "blues.00000"]


def test_clips_of_one_source_are_left_out_together() -> None:
    names = [("a", 0), ("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2)]
    examples = [Example(Path(str(n)), str(label), str(n), source) for n, (source, label) in enumerate(names)]
    parts = [set(np.flatnonzero(part).tolist()) for part in parts_left_out(examples, np.array([label for _, label in names]))]
    assert sorted(map(sorted, parts)) == [[0, 1], [2], [3], [4]], "the only source of a genre cannot be left out"
    many = [Example(Path(str(n)), str(n % 3), str(n), str(n)) for n in range(90)]
    labels = np.arange(90) % 3
    parts = list(parts_left_out(many, labels))
    assert len(parts) == 20
    assert (np.sum(parts, axis=0) == 1).all()


def test_a_genre_of_other_sounds_gets_no_genre(base, folder, taught, embeddings, tmp_path) -> None:
    collection = Collection(tmp_path / "mine")
    for file in sorted(folder.rglob("*.wav")):
        collection.add(file.parent.name, file, origin="file")
    collection.mark_none_of_these("clicks", True)
    examples, others = folder_examples(collection.folder)
    found = teach(examples, base, none_of_these=others, cache=embeddings)
    save_checkpoint(found.checkpoint, tmp_path / "taught.safetensors")
    loaded = load_checkpoint(tmp_path / "taught.safetensors")
    assert loaded.none_of_these == ("clicks",)
    prediction = classify(Clip(sound("clicks", 77), RATE), loaded)
    assert (prediction.genre, prediction.rejected, prediction.guess, prediction.is_sure) == (None, "other", "clicks", False)
    assert set(prediction.votes.values()) == {None}
    assert json.loads(prediction.to_json())["rejected"] == "other"
    assert classify(Clip(sound("low", 77), RATE), loaded).genre == "low"
    with pytest.raises(DataError, match="All genres"):
        teach(examples, base, none_of_these=["clicks", "high", "low"])
    with pytest.raises(DataError, match="no clips of polka"):
        teach(examples, base, none_of_these=["polka"])


def test_unusable_files_are_named_and_too_few_clips_refused(base, folder, taught, embeddings, tmp_path) -> None:
    for kind in ("low", "high"):
        shutil.copytree(folder / kind, tmp_path / kind, ignore=shutil.ignore_patterns("*2.wav"))
    for name in (b"noise.wav", b"caf\xe9.wav"):
        (tmp_path / "low" / os.fsdecode(name)).write_bytes(b"RIFF nonsense")
    soundfile.write(tmp_path / "high" / "silent.wav", np.zeros(RATE), RATE)
    found = teach(folder_examples(tmp_path)[0], base, cache=embeddings)
    assert sorted(name for name, _ in found.failed) == ["caf\ufffd.wav", "noise.wav", "silent.wav"]
    assert all(reason for _, reason in found.failed)
    (tmp_path / "low" / "low1.wav").rename(tmp_path / "low" / os.fsdecode(b"caf\xe9.wav"))
    assert [example.name for example in folder_examples(tmp_path)[0] if "caf" in example.name] == ["low/caf\ufffd.wav"]
    (tmp_path / "low" / os.fsdecode(b"caf\xe9.wav")).unlink()
    with pytest.raises(DataError, match=r"2 clips of each genre.*could not be used.*add clips of low"):
        teach(folder_examples(tmp_path)[0], base, cache=embeddings)
    with pytest.raises(DataError, match="2 genres"):
        teach([example for example in folder_examples(tmp_path)[0] if example.genre == "high"], base)


def test_a_network_without_such_a_layer_is_refused(folder) -> None:
    spec = FeatureSpec(segment_seconds=3.0, segment_hop_seconds=3.0)
    model = create_model("mlp", n_bins=spec.n_bins, n_frames=spec.segment_frames, n_genres=2)
    if model.heads():
        pytest.skip("this network has a last layer of its own by now")
    with pytest.raises(CheckpointError, match="cannot be taught"):
        teach(folder_examples(folder)[0], Checkpoint.single(model, spec, ("a", "b")))


def test_it_stops_when_asked_and_keeps_what_is_done(base, folder, tmp_path) -> None:
    seen = []
    with pytest.raises(StoppedError):
        teach(
            folder_examples(folder)[0],
            base,
            cache=tmp_path,
            threads=1,
            monitor=Monitor(on_progress=seen.append, should_stop=lambda: len(seen) >= 3),
        )
    assert 3 <= len(list(tmp_path.rglob("*.safetensors"))) < 9


def test_the_command_teaches_a_folder(base, folder, taught, embeddings, tmp_path) -> None:
    save_checkpoint(base, tmp_path / "base.safetensors")

    def call(*arguments: object) -> tuple[int, str, str]:
        given = map(str, [*arguments, "--checkpoint", tmp_path / "base.safetensors", "--cache", embeddings])
        result = CliRunner().invoke(build(), ["teach", *given])
        return result.exit_code, result.stdout, result.stderr

    code, text, err = call(folder, "--out", tmp_path / "a.safetensors", "--format", "json", "--none-of-these", "clicks")
    assert (code, err) == (0, "")
    found = json.loads(text)
    assert (found["genres"], found["left_out"]["accuracy"], found["before"]) == (
        ["clicks", "high", "low"],
        1.0,
        {"right": 0, "n": 9},
    )
    assert load_checkpoint(tmp_path / "a.safetensors").none_of_these == ("clicks",)
    code, text, _ = call(folder, "--out", tmp_path / "b.safetensors", "--threads", "1")
    assert code == 0
    assert "Right: 9 of 9, before 0" in text
    code, _, err = call(folder, "--out", tmp_path)
    assert (code, f"error: {tmp_path} cannot be written: " in err) == (2, True)
    code, _, err = call(tmp_path / "nothing", "--out", tmp_path / "c.safetensors")
    assert (code, "is not a folder" in err) == (2, True)
    assert not (tmp_path / "c.safetensors").exists()
