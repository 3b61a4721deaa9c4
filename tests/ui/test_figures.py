"""The figure of an answer and the overview it draws: what lies where, in numbers, and that words fit."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import librosa
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from genre_app.audio import Clip
from genre_app.prediction import Prediction
from genre_app.ui.cells import cells
from genre_app.ui.classify.answer_figure import draw
from genre_app.ui.figures import View, clock, mel_rows, to_webp
from genre_app.ui.overview import MAX_COLUMNS, OverviewTap

RATE = 22050
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def make_prediction(
    n: int = 11, *, hop: float = 2.5, length: float = 5.0, genres=GENRES, silent=(), seed: int = 0
) -> Prediction:
    """Frames with random probabilities at even distances."""
    random = np.random.default_rng(seed)
    starts = hop * np.arange(n)
    probabilities = random.dirichlet(np.full(len(genres), 0.4), n).astype(np.float32)
    sounds = ~np.isin(np.arange(n), silent)
    clip = probabilities[sounds].mean(axis=0, dtype=np.float64)
    winner = genres[int(clip.argmax())]
    return Prediction(
        name="song.wav",
        genres=tuple(genres),
        segment_starts=starts,
        segment_ends=starts + length,
        segment_probabilities=probabilities,
        segment_sounds=sounds,
        vote="mean",
        probabilities=clip / clip.sum(),
        votes={"mean": winner},
        warnings=(),
        checkpoint="tiny",
        duration_seconds=float(starts[-1] + length),
    )


def overview_of(samples: np.ndarray, rate: int = RATE, block: int | None = None):
    """Let samples pass the tap in blocks."""

    class Blocks(Clip):
        def blocks(self):
            step = block or len(self.samples)
            return (self.samples[i : i + step] for i in range(0, len(self.samples), step))

    tap = OverviewTap(Blocks(samples.astype(np.float32), rate))
    passed = np.concatenate(list(tap.blocks()))
    np.testing.assert_array_equal(passed, samples.astype(np.float32))
    return tap.overview()


def tone(hz: float, seconds: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture(scope="module")
def overview():
    random = np.random.default_rng(0)
    return overview_of(tone(440, 30.0) + random.normal(scale=0.01, size=30 * RATE))


def test_overview_is_librosas_mel_spectrogram():
    samples = np.random.default_rng(1).normal(scale=0.1, size=4 * RATE)
    found = overview_of(samples)
    hop = found.spec.hop_length
    power = librosa.feature.melspectrogram(y=samples, sr=RATE, n_fft=2048, hop_length=hop, n_mels=128, pad_mode="constant")
    assert found.column_seconds == hop / RATE
    # The last column's centre may lie less than half an STFT before the end in librosa's count only.
    np.testing.assert_allclose(found.db[:, : power.shape[1]], 10 * np.log10(power)[:, : found.db.shape[1]], atol=0.01)
    assert abs(found.db.shape[1] - power.shape[1]) <= 1


@pytest.mark.parametrize("block", [100, 5000, 700_000])
def test_overview_does_not_depend_on_the_blocks(block):
    samples = np.random.default_rng(2).normal(scale=0.1, size=30 * RATE)
    np.testing.assert_allclose(overview_of(samples, block=block).db, overview_of(samples).db, atol=1e-4)


def test_overview_of_a_long_clip_is_bounded_and_keeps_power_and_place():
    rate = 4000
    samples = 0.01 * np.random.default_rng(3).normal(size=600 * rate)
    samples[300 * rate : 330 * rate] *= 10  # 20 dB louder for half a minute
    found = overview_of(samples, rate, block=50_000)
    columns = found.db.shape[1]
    assert MAX_COLUMNS / 2 < columns <= MAX_COLUMNS
    level = 10 * np.log10((10 ** (found.db / 10)).mean(axis=0))
    seconds = found.column_seconds * np.arange(columns)
    loud = (seconds > 301) & (seconds < 329)
    assert np.median(level[loud]) - np.median(level[seconds < 299]) == pytest.approx(20, abs=0.5)
    assert seconds[-1] == pytest.approx(600, rel=0.01)


def test_overview_of_less_than_one_column():
    assert overview_of(tone(440, 0.5)).db.shape == (128, 21)


def test_cells_tile_the_clip_and_hold_their_frames():
    prediction = make_prediction(7)
    layout = cells(prediction)
    assert layout.edges[0] == 0
    assert layout.edges[-1] == prediction.duration_seconds
    centres = (prediction.segment_starts + prediction.segment_ends) / 2
    assert np.all(layout.edges[:-1] < centres)
    assert np.all(centres < layout.edges[1:])
    np.testing.assert_array_equal(layout.probabilities, prediction.segment_probabilities)
    assert layout.frames_per_cell == 1


def test_cells_of_many_frames_are_averages():
    prediction = make_prediction(5000, silent=range(100, 140))
    layout = cells(prediction, most=480)
    assert layout.frames_per_cell == 11
    assert len(layout.sounds) == 455
    np.testing.assert_allclose(layout.probabilities[3], prediction.segment_probabilities[33:44].mean(axis=0), rtol=1e-5)
    assert not layout.sounds[10:12].any()  # frames 110 to 131
    assert layout.sounds[[8, 13]].all()
    assert np.all(np.diff(layout.edges) > 0)


def test_mel_rows_are_at_librosas_frequencies(overview):
    rows, labels = mel_rows(overview)
    centres = librosa.mel_frequencies(n_mels=130, fmin=0, fmax=RATE / 2)[1:-1]
    hz = [float(label.replace(" k", "000")) for label in labels]
    np.testing.assert_allclose(np.interp(hz, centres, np.arange(128)), rows, atol=0.1)
    assert len(hz) >= 5


def test_both_panels_share_the_time_axis_and_each_frames_winner_is_marked(overview):
    prediction = make_prediction(11, silent=[4, 5])
    spectrogram, heat = draw(prediction, overview, View()).axes
    assert spectrogram.get_xlim() == heat.get_xlim() == (0, prediction.duration_seconds)
    assert spectrogram.get_position().x0 == heat.get_position().x0
    assert spectrogram.get_position().x1 == heat.get_position().x1
    dots = heat.collections[0].get_offsets()
    sounding = np.flatnonzero(prediction.segment_sounds)
    np.testing.assert_array_equal(dots[:, 1], prediction.segment_probabilities.argmax(axis=1)[sounding])
    assert np.all(np.diff(dots[:, 0]) > 0)
    assert "silent" in [text.get_text() for text in heat.texts]


def test_no_winner_is_marked_in_noise(overview):
    _, heat = draw(replace(make_prediction(11), is_noise=True), overview, View()).axes
    assert not heat.collections


def test_a_tone_is_drawn_at_its_frequency():
    spectrogram, _ = draw(make_prediction(3), overview_of(tone(1000, 10)), View()).axes
    image = spectrogram.images[0].get_array()
    rows, labels = mel_rows(overview_of(tone(1000, 10)))
    assert np.median(image.argmax(axis=0)) == pytest.approx(rows[labels.index("1 k")], abs=1)


@pytest.mark.parametrize("width", [280, 368, 760, 1600])
@pytest.mark.parametrize("seconds", [0.7, 12.0, 3000.0])
@pytest.mark.parametrize("name", ["rock", "singer-songwriter of the north"])
def test_words_stay_within_the_picture_and_apart(overview, width, seconds, name):
    n = 2 if seconds < 1000 else 1500
    prediction = make_prediction(n, hop=seconds / n, length=seconds / n, genres=(*GENRES[:-1], name))
    figure = draw(prediction, overview, View(width=width))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = {}
    for ax in figure.axes:
        for text in [*ax.get_yticklabels(), *ax.get_xticklabels(), ax.xaxis.label]:
            if text.get_text():
                boxes[id(text)] = (text.get_text(), text.get_window_extent(renderer))
    for text in figure.texts:
        boxes[id(text)] = (text.get_text(), text.get_window_extent(renderer))
    for words, box in boxes.values():
        assert box.x0 >= 0, words
        assert box.y0 >= 0, words
        assert box.x1 <= figure.bbox.x1 + 0.5, words
        assert box.y1 <= figure.bbox.y1 + 0.5, words
    listed = list(boxes.values())
    for i, (words, box) in enumerate(listed):
        for other, other_box in listed[i + 1 :]:
            assert not box.overlaps(other_box), (words, other)


def test_ink_follows_the_theme(overview):
    light, dark = (
        draw(make_prediction(), overview, View(dark=dark)).axes[1].get_yticklabels()[0].get_color() for dark in (False, True)
    )
    assert sum(to_rgb(light)) < 0.7
    assert sum(to_rgb(dark)) > 2.3


def test_names_of_genres_are_not_taken_for_formulas(overview):
    figure = draw(make_prediction(genres=("$x^2$", "a_b", r"$\frac$")), overview, View())
    FigureCanvasAgg(figure).draw()
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["$x^2$", "a_b", r"$\frac$"]
    assert not any(label.get_parse_math() for label in figure.axes[1].get_yticklabels())


@pytest.mark.parametrize(("width", "ratio"), [(368, 2.0), (1220, 1.0)])
def test_webp_has_the_views_pixels_and_a_clear_background(overview, width, ratio):
    data = to_webp(draw(make_prediction(), overview, View(width, ratio, dark=True)))
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    assert image.width == width * ratio
    assert image.convert("RGBA").getpixel((2, 2))[3] == 0
    assert len(data) < 300_000


def test_threads_draw_the_same(overview):
    prediction = make_prediction()

    def render(_: int) -> bytes:
        return to_webp(draw(prediction, overview, View(400)))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(render, range(16)))) == 1


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "x",
        [],
        {"width": "wide"},
        {"width": -5},
        {"width": 1e9, "pixel_ratio": float("nan")},
        {"width": True, "dark": "yes"},
    ],
)
def test_view_takes_any_nonsense_from_a_page(sent):
    view = View.from_page(sent)
    assert 280 <= view.width <= 1600
    assert 1 <= view.pixel_ratio <= 2
    assert view.dark is False


def test_view_reads_what_the_page_sends():
    assert View.from_page({"width": 368, "pixel_ratio": 3, "dark": True}) == View(368, 2.0, dark=True)
    assert View.from_page({"width": 99999, "pixel_ratio": 1.25, "dark": False}) == View(1600, 1.25)


def test_clock():
    assert [clock(3.5), clock(59.0), clock(65), clock(3725)] == ["3.5", "59", "1:05", "1:02:05"]
    assert [clock(5, 90), clock(5, 7200), clock(2.5, 30)] == ["0:05", "0:00:05", "2.5"]
