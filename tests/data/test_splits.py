"""How tracks are divided: GTZAN's lists, the data's own split, a CSV of the user's, at random; and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from genre_app.data.sources.gtzan import fault_filtered, gtzan_name
from genre_app.data.splits import SplitConfig, divide
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError

AUTO = SplitConfig()


def track(track_id: str, genre: str = "", split: str = "") -> CachedTrack:
    genre = genre or track_id.partition("/")[0]
    return CachedTrack(track_id=track_id, genre=genre, split=split, offset=0, n_frames=1)


def music(**counts: int) -> list[CachedTrack]:
    return [track(f"{genre}/{index:03d}.wav") for genre, count in counts.items() for index in range(count)]


def gtzan(name: str = "{genre}/{genre}.{index:05d}.wav") -> list[CachedTrack]:
    from torchaudio.datasets.gtzan import gtzan_genres

    return [track(name.format(genre=genre, index=index), genre) for genre in gtzan_genres for index in range(100)]


def split(tracks, config=AUTO, seed=0, content=None, skipped=()):
    content = {t.track_id: t.track_id for t in tracks} | (content or {})
    return divide(tracks, config, seed=seed, content=content, skipped=skipped)


def sides(splits, *track_ids):
    return {splits[track_id] for track_id in track_ids}


# GTZAN


@pytest.mark.parametrize(
    ("track_id", "name"),
    [
        ("blues.00000", "blues.00000"),
        ("blues/blues.00000.wav", "blues.00000"),
        ("genres/jazz/JAZZ.00054.AU", "jazz.00054"),
        ("hiphop.00012.7.wav", "hiphop.00012"),
        ("a/b/rock.00099.mp3", "rock.00099"),
        ("blues.000.wav", None),
        ("myblues.00000.wav", None),
        ("polka.00000.wav", None),
        ("blues.00000/take.wav", None),
    ],
)
def test_names_of_gtzan(track_id, name):
    assert gtzan_name(track_id) == name


def test_the_fault_filtered_lists_are_complete():
    assert Counter(fault_filtered().values()) == {"train": 443, "valid": 197, "test": 290}


@pytest.mark.parametrize("name", ["{genre}/{genre}.{index:05d}.wav", "{genre}.{index:05d}", "{genre}/{genre}.{index:05d}.au"])
def test_gtzan_gets_the_fault_filtered_split(name):
    tracks = gtzan(name)
    splits, notes = split(tracks)
    assert Counter(splits.values()) == {"train": 443, "valid": 197, "test": 290}
    assert splits[tracks[12].track_id] == "test"  # blues.00012 leads the list
    assert "fault-filtered" in notes[0]
    assert "443 train, 197 valid, 290 test" in notes[0]
    assert notes[1].startswith("70 tracks are in none of its splits")


def test_pieces_of_a_gtzan_track_follow_it():
    tracks = [track(f"{t.genre}/{t.genre}.{i:05d}.{piece}.wav") for i, t in enumerate(gtzan()[:100]) for piece in range(3)]
    tracks += [track(f"pop/pop.{i:05d}.wav") for i in range(100)]
    splits, _ = split(tracks)
    lists = fault_filtered()
    assert all(splits.get(t.track_id) == lists.get(gtzan_name(t.track_id)) for t in tracks)
    random, _ = split(tracks, SplitConfig(method="stratified"))
    for index in range(100):
        assert len(sides(random, *(f"blues/blues.{index:05d}.{piece}.wav" for piece in range(3)))) == 1


def test_gtzan_too_small_for_its_lists_is_split_at_random():
    lists = fault_filtered()
    only_train = [t for t in gtzan() if lists.get(gtzan_name(t.track_id)) == "train" and t.genre in ("blues", "jazz")][:60]
    splits, notes = split(only_train)
    assert set(splits.values()) == {"train", "valid", "test"}
    assert notes[0].startswith("GTZAN's fault-filtered split was not used: it leaves no validation tracks here")
    no_jazz = [t for t in gtzan() if t.genre == "blues" or lists.get(gtzan_name(t.track_id)) == "valid"]
    assert len(split(no_jazz)[0]) == len(no_jazz)
    no_valid_jazz = [t for t in gtzan() if not (t.genre == "jazz" and lists.get(gtzan_name(t.track_id)) == "valid")]
    splits, notes = split(no_valid_jazz)
    assert set(splits) == {t.track_id for t in no_valid_jazz if gtzan_name(t.track_id) in lists}
    assert notes[1].startswith("There is no validation track of jazz")
    assert notes[1].endswith("and the knn vote never answers with it.")


def test_a_stratified_gtzan_gets_a_warning():
    splits, notes = split(gtzan(), SplitConfig(method="stratified"))
    assert Counter(splits.values()) == {"train": 700, "valid": 150, "test": 150}
    assert any("a random split separates them" in note for note in notes)


# At random


def test_genres_are_divided_alike_and_by_the_shares():
    tracks = music(a=100, b=20, c=7)
    splits, notes = split(tracks)
    of_genre = {genre: Counter(splits[t.track_id] for t in tracks if t.genre == genre) for genre in "abc"}
    assert of_genre["a"] == {"train": 70, "valid": 15, "test": 15}
    assert of_genre["b"] == {"train": 14, "valid": 3, "test": 3}
    assert of_genre["c"] == {"train": 5, "valid": 1, "test": 1}
    assert "each genre alike (89 train, 19 valid, 19 test)" in notes[0]


@pytest.mark.parametrize("shares", [(0.8, 0.2), (0.5, 0.5), (0.99, 0.005)])
def test_shares_that_leave_no_test(shares):
    splits, _ = split(music(a=10, b=10), SplitConfig(train=shares[0], valid=shares[1]))
    counts = Counter(splits.values())
    assert counts["test"] == 0
    assert counts["valid"] == max(2, 20 * shares[1])


def test_two_files_a_genre_are_one_to_learn_and_one_to_check():
    tracks = music(a=2, b=2)
    splits, _ = split(tracks)
    for genre in "ab":
        assert sides(splits, f"{genre}/000.wav", f"{genre}/001.wav") == {"train", "valid"}


def test_one_file_of_a_genre_is_refused():
    with pytest.raises(DataError, match="genre b has no two different tracks"):
        split(music(a=5, b=1))


def test_a_seed_repeats_and_another_differs():
    tracks = music(a=30, b=30)
    assert split(tracks, seed=1) == split(tracks[::-1], seed=1)
    assert split(tracks, seed=1)[0] != split(tracks, seed=2)[0]


def test_a_further_track_moves_few_others():
    tracks = music(a=100, b=100)
    before, after = split(tracks)[0], split([*tracks, track("a/new.wav")])[0]
    assert sum(before[name] != after[name] for name in before) <= 3


def test_copies_stay_on_one_side_for_every_seed():
    tracks = music(a=10, b=10)
    content = {f"a/00{i}.wav": "same" for i in range(4)} | {"b/000.wav": "other", "b/009.wav": "other"}
    for seed in range(30):
        splits, _ = split(tracks, seed=seed, content=content)
        assert len(sides(splits, *(f"a/00{i}.wav" for i in range(4)))) == 1
        assert len(sides(splits, "b/000.wav", "b/009.wav")) == 1
        assert all({"train", "valid"} <= {splits[t.track_id] for t in tracks if t.genre == genre} for genre in "ab")


def test_copies_alone_are_no_two_tracks():
    with pytest.raises(DataError, match="genre b has no two different tracks"):
        split(music(a=5, b=2), content={"b/000.wav": "same", "b/001.wav": "same"})


def test_pieces_are_divided_each_by_itself_and_called_a_leak():
    tracks = [track(f"blues.{i:05d}#{piece}", "blues") for i in range(20) for piece in range(10)]
    tracks += [track(f"jazz.{i:05d}#{piece}", "jazz") for i in range(20) for piece in range(10)]
    splits, notes = split(tracks, SplitConfig(method="pieces"))
    shared = [i for i in range(20) if len({splits[f"blues.{i:05d}#{piece}"] for piece in range(10)}) > 1]
    assert len(shared) > 15
    assert "a leak" in notes[0]
    assert "too good" in notes[0]


# The data's own


def own(**of_split: int) -> list[CachedTrack]:
    return [track(f"{genre}/{name}{i}.wav", genre, name) for name, n in of_split.items() for i in range(n) for genre in "ab"]


def test_the_datas_own_split_is_kept():
    tracks = [*own(training=4, Validation=2, test=1), track("a/odd.wav", "a", "extra")]
    splits, notes = split(tracks)
    assert splits["a/training0.wav"] == "train"
    assert splits["a/Validation1.wav"] == "valid"
    assert splits["b/test0.wav"] == "test"
    assert "the data's own split (8 train, 4 valid, 2 test)" in notes[0]
    assert notes[1] == "1 tracks are in none of its splits and were left out: a/odd.wav."


def test_stratified_overrules_the_datas_own_split():
    splits, _ = split(own(train=10, valid=10), SplitConfig(method="stratified"))
    assert Counter(splits.values()) == {"train": 28, "valid": 6, "test": 6}


def test_validation_is_taken_from_training_where_the_data_have_none():
    splits, notes = split(own(train=20, test=5))
    assert all(splits[f"{genre}/test{i}.wav"] == "test" for genre in "ab" for i in range(5))
    assert Counter(splits.values()) == {"train": 32, "valid": 8, "test": 10}  # 0.15 of 0.85
    assert "set aside for validation" in notes[-1]


def test_a_split_of_the_datas_without_training_is_refused():
    with pytest.raises(DataError, match="without training tracks"):
        split(own(valid=3, test=3))


def test_data_that_call_everything_training_are_split_at_random():
    assert set(split(own(train=20))[0].values()) == {"train", "valid", "test"}


def test_copies_across_the_datas_own_split_are_refused():
    message = "a/train0.wav is in train and b/valid0.wav in valid, but they hold the same music"
    with pytest.raises(DataError, match=message):
        split(own(train=3, valid=3), content={"a/train0.wav": "same", "b/valid0.wav": "same"})


# The user's CSV


@pytest.fixture
def csv_file(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "split.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return SplitConfig(file=path)

    return write


GOOD = "track_id,split\na/000.wav,train\na/001,valid\nb/000.wav,train\nb/001.wav,val\n"


def test_a_csv_is_followed(csv_file):
    splits, notes = split(music(a=3, b=2), csv_file("\ufeff" + GOOD))
    assert splits == {"a/000.wav": "train", "a/001.wav": "valid", "b/000.wav": "train", "b/001.wav": "valid"}
    assert "split.csv (2 train, 2 valid, 0 test)" in notes[0]
    assert "1 tracks are in none of its splits and were left out: a/002.wav" in notes[1]


def test_a_csv_may_name_gtzans_tracks_and_skipped_files(csv_file):
    tracks = [t for t in gtzan() if t.track_id.endswith(("00000.wav", "00001.wav"))]
    rows = "".join(f"{t.genre}.0000{i},{'valid' if i else 'train'}\n" for t in tracks[::2] for i in range(2))
    splits, _ = split(tracks, csv_file(f"track_id,split\n{rows}bad,test\n"), skipped=["x/bad.wav"])
    assert splits["jazz/jazz.00001.wav"] == "valid"
    assert len(splits) == 20


BAD_CSV = {
    "no column": ("track,split\na/000.wav,train\n", "has no column track_id"),
    "no header": ("a/000.wav,train\n", "has no column track_id"),
    "empty": ("", "has no column track_id"),
    "an odd split": (GOOD + "a/002.wav,holdout\n", "line 6: 'holdout' is no split"),
    "cut off": (GOOD + "a/002.wav\n", "line 6: '' is no split"),
    "after an empty line": (GOOD + "\na/002.wav,holdout\n", "line 7: 'holdout' is no split"),
    "an unknown track": (GOOD + "c/000.wav,train\n", "line 6: 'c/000.wav' is no track of the data"),
    "ambiguous": (GOOD + "002,train\n", "line 6: '002' could be a/002.wav, b/002.wav"),
    "on both sides": (GOOD + "a/000.wav,valid\n", "line 6: a/000.wav is in both train and valid"),
    "a genre not learned": ("track_id,split\na/000.wav,train\na/001.wav,valid\nb/000.wav,valid\n", "no training track of b"),
    "no validation": ("track_id,split\na/000.wav,train\nb/000.wav,train\n", "no validation track"),
    "no text": (b"\xff\xfe\x00track", "cannot be read as CSV text"),
}  # fmt: skip


def test_a_csv_names_a_track_however_its_accents_are_composed(csv_file):
    tracks = [track(f"{genre}/{name}.wav") for genre in "ab" for name in ("cafe\u0301", "el")]  # as macOS may write them
    rows = ["a/caf\u00e9.wav,train", "a/el,valid", "b/cafe\u0301,train", "b/el.wav,test"]
    splits, _ = split(tracks, csv_file("\n".join(["track_id,split", *rows])))
    assert list(splits.values()) == ["train", "valid", "train", "test"]


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_csv_is_named(csv_file, case):
    text, message = BAD_CSV[case]
    with pytest.raises(DataError, match=message) as caught:
        split(music(a=3, b=3), csv_file(text))
    assert "split.csv" in str(caught.value)


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no split file .*none\.csv"):
        split(music(a=2, b=2), SplitConfig(file=tmp_path / "none.csv"))


def test_a_csv_that_parts_copies_is_refused(csv_file):
    with pytest.raises(DataError, match=r"a/000\.wav is in train and a/001\.wav in valid, but they hold the same music"):
        split(music(a=3, b=2), csv_file(GOOD), content={"a/000.wav": "same", "a/001.wav": "same"})


def test_without_a_split_all_tracks_are_training_tracks():
    tracks = [track("a/1", split="test"), track("a/2", split="valid"), track("b/1")]
    splits, notes = split(tracks, SplitConfig(method="none"))
    assert splits == {"a/1": "train", "a/2": "train", "b/1": "train"}
    assert notes == ["All tracks are training tracks, so nothing is measured on others."]
