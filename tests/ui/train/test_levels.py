"""Quick, Balanced and Best: what they train, for how long, and how the music decides."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from genre_app.runs import estimate
from genre_app.runs.recipes import describe_recipe, read_recipe, recipe_names
from genre_app.ui.train import levels
from genre_app.ui.train.survey import UNKNOWN, Survey, read_survey, survey
from tests.pages import following, handler, named
from tests.ui.train.page import OWNER

AUDIO = Survey("audio", 40)


@pytest.fixture(autouse=True)
def _fixed_speed(monkeypatch):
    monkeypatch.setattr(estimate, "measured_speed", lambda: 1.0)
    monkeypatch.setattr(estimate, "_measured", {})


@pytest.fixture
def folder(tmp_path):
    for genre in ("jazz", "rock"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "music" / genre / f"{number}.mp3").touch()
    (tmp_path / "music" / "cover.jpg").touch()
    (tmp_path / "music" / ".hidden").mkdir()
    (tmp_path / "music" / ".hidden" / "a.wav").touch()
    return tmp_path / "music"


def test_music_is_counted_without_decoding_it(folder, cache, tmp_path):
    assert survey(str(folder)) == Survey("audio", 6)
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        for path in sorted(folder.glob("*/*.mp3")):
            archive.writestr(f"music/{path.parent.name}/{path.name}", b"")
    assert survey(str(tmp_path / "music.zip")) == Survey("audio", 6)
    seen = survey(str(cache))
    assert seen.kind == "spectrograms"
    assert seen.tracks == len((cache / "index.csv").read_text().splitlines()) - 1
    (tmp_path / "features_3_sec.csv").touch()
    assert survey(str(tmp_path / "features_3_sec.csv")) == Survey("table")
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    for unknown in ("DATA", "hub:confit/gtzan", str(tmp_path / "gone"), str(tmp_path / "broken.zip"), "\0"):
        assert survey(unknown) == UNKNOWN
    for number in range(4):
        (folder / "jazz" / f"jazz.{number:05}.wav").touch()
    assert not survey(str(folder)).gtzan
    for number in range(4, 8):
        (folder / "jazz" / f"jazz.{number:05}.wav").touch()
    assert survey(str(folder)) == Survey("audio", 14, gtzan=True)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_music_behind_links_is_counted_once(folder, tmp_path):
    for number in range(8):
        (folder / "jazz" / f"jazz.{number:05}.wav").touch()
    linked = tmp_path / "linked"
    linked.mkdir()
    for genre in ("jazz", "rock"):
        (linked / genre).symlink_to(folder / genre)
    (linked / "rock" / "again").symlink_to(linked)
    assert survey(str(linked)) == Survey("audio", 14, gtzan=True)


def test_what_a_browser_has_kept_is_checked():
    assert read_survey(asdict(AUDIO)) == AUDIO
    for value in (None, [], {"kind": "loud"}, {"tracks": "many"}):
        assert read_survey(value) == UNKNOWN


def test_best_fine_tunes_the_shipped_network_where_it_is_fair_and_possible(bundled):
    assert [levels.way_of(level, AUDIO).recipe for level in levels.LEVELS] == ["mlp", "lstm", "transfer"]
    assert levels.way_of("Best", AUDIO).init_from == "default"
    for seen in (Survey("spectrograms", 40), Survey("table"), Survey("audio", 40, gtzan=True)):
        assert levels.way_of("Best", seen).recipe == "default"
        assert levels.way_of("Best", seen).init_from is None
    for level in levels.LEVELS:
        for seen in (UNKNOWN, Survey("spectrograms", 9)):
            way = levels.way_of(level, seen)
            assert levels.level_of(way.recipe, way.init_from, seen) == level
    assert levels.level_of("transfer", None, AUDIO) is None
    assert levels.level_of("cnn", None, AUDIO) is None


def test_each_choice_tells_its_time(bundled):
    first, *_ = dict(levels.choices(UNKNOWN))
    assert first.splitlines()[:2] == ["Quick", "typically 13 s for 100 songs"]
    times = [label.splitlines()[1] for label, _ in levels.choices(Survey("audio", 1000))]
    assert all(text.startswith("about ") and text.endswith(" for 1,000 songs") for text in times)
    assert [label.splitlines()[0] for label, _ in levels.choices(AUDIO)] == [value for _, value in levels.choices(AUDIO)]


def test_all_recipes_are_offered_ours_first_and_the_others_by_source():
    choices = levels.recipe_choices()
    assert sorted(name for _, name in choices) == sorted(recipe_names())
    assert choices[:5] == [(name, name) for name in ("default", "cnn", "lstm", "mlp", "transfer")]
    published = [label for label, _ in choices[5:]]
    assert published == sorted(published)
    assert ("KTH: kth-cnn", "kth-cnn") in choices
    assert all(describe_recipe(name).startswith(label.split(": ")[0]) for label, name in choices[5:])


def test_choosing_a_level_fills_the_form(app):
    filled = named(handler(app, "train-level", "input").fn("Best", asdict(AUDIO)))
    assert filled["train-recipe"]["value"] == "transfer"
    assert filled["set-init_from"] == "default"
    assert filled["set-epochs"] == read_recipe("transfer").epochs
    filled = named(handler(app, "train-level", "input").fn("Quick", None))
    assert (filled["train-recipe"]["value"], filled["set-init_from"]) == ("mlp", "random weights")
    # The other way round: the recipe of a level is shown as the level.
    choose = handler(app, "train-recipe", "input").fn
    assert named(choose("lstm", None))["train-level"] == "Balanced"
    assert named(choose("transfer", None))["set-init_from"] == "default"


def test_named_music_changes_times_and_the_recipe_if_it_must(app, folder, cache):
    look = handler(app, "train-source", "blur")
    fit = following(app, look).fn
    seen = named(look.fn(str(folder), None))
    assert seen["train-surveyed"]["tracks"] == 6
    assert "for 6 songs" in seen["train-level"].choices[0][0]
    assert "train-recipe" not in named(fit("Best", "transfer", seen["train-surveyed"]))
    seen = named(look.fn(str(cache), None))
    assert "Two kinds of network" in seen["train-level"].choices[2][0]
    # The level and the recipe are those of the moment after the look, and stay the visitor's.
    fitted = named(fit("Best", "transfer", seen["train-surveyed"]))
    assert fitted["train-recipe"]["value"] == "default"
    assert fitted["set-init_from"] == "random weights"
    assert "train-level" not in fitted
    assert "train-recipe" not in named(fit(None, "cnn", seen["train-surveyed"]))
    assert named(look.fn("", None))["train-surveyed"] == asdict(UNKNOWN)


def test_a_choice_that_is_changed_again_at_once_is_not_undone(app):
    for place in ("train-level", "train-recipe"):
        function = handler(app, place, "input")
        assert function.trigger_mode == "always_last", "the second choice is not dropped"
        assert "value" not in named(function.fn({"train-level": "Quick", "train-recipe": "cnn"}[place], None)).get(place, {})


@pytest.mark.usefixtures("_on_a_space")
def test_a_stranger_cannot_count_the_servers_files(app, folder):
    look, stranger = handler(app, "train-source", "blur").fn, SimpleNamespace(username="mallory")
    for profile in (stranger, OWNER):  # a Space takes no path
        assert named(look(str(folder), profile))["train-surveyed"] == asdict(UNKNOWN)


def test_a_checked_plan_shows_its_measured_time(app, told):
    plan, _ = told
    form = next(one.fn.__self__ for one in app.fns.values() if one.name == "choose_level")
    shown = form.timed(plan.plan, asdict(Survey("spectrograms", 1)))[form.level]
    tracks = sum(sum(of_genre.values()) for of_genre in plan.plan.tracks.values())
    assert f"for {tracks} songs" in shown.choices[0][0]
    assert estimate._measured == {}, "a plan with changed settings says nothing of the recipe"
