"""Training from the page in Chromium: a real run of two synthesised genres is started, watched, stopped, resumed and used."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Page, expect

from genre_app.audio.synth import music
from genre_app.runs import launch
from genre_app.runs.run import list_runs, runs_folder
from genre_app.runs.status import Status
from tests.browser import paced
from tests.chromium import drop
from tests.forked import starting
from tests.ui.train.page import check_here

pytestmark = pytest.mark.browser

RATE = 22050
EPOCHS = 60  # two minutes while they are held: more than what happens before Stop, also on a busy machine
SETTINGS = {
    "epochs": str(EPOCHS),
    "batch_size": "8",
    "learning_rate": "0.01",
    "model_settings": "channels = [4, 8]\npools = [[8, 4], [4, 4]]",
    "segments_per_track": "5",
    "validate_every": "2",
    "spec-segment_seconds": "2",
    "spec-segment_hop_seconds": "1",
}
CURVE = "#plot-loss .mark-line path"


@pytest.fixture(scope="module")
def zipped(tmp_path_factory) -> Path:
    """A zip of two genres, as a visitor would pack it."""
    folder = tmp_path_factory.mktemp("music")
    with zipfile.ZipFile(folder / "music.zip", "w") as archive:
        for style in ("classical", "metal"):
            for seed in range(6):
                file = folder / f"{style}{seed}.wav"
                soundfile.write(file, music(style, 4.0, RATE, seed), RATE)
                archive.write(file, f"music/{style}/{file.name}")
    return folder / "music.zip"


@pytest.fixture
def _held(address, monkeypatch):
    """Check in this process, fork the training processes, and hold them.

    tests/runs/test_check.py and tests/runs/test_processes.py start the processes as the page does.
    """
    monkeypatch.setattr("genre_app.runs.check.check", check_here)
    monkeypatch.setattr(launch, "child", starting(paced.Paced))
    runs_folder().mkdir(parents=True, exist_ok=True)
    paced.hold()


def open_tab(page: Page) -> Page:
    page.get_by_role("tab", name="Train").click()
    expect(page.locator("#train-check")).to_be_visible()
    return page


def fill(page: Page, field: str, value: str) -> None:
    page.locator(f"#set-{field}").locator("input, textarea").first.fill(value)


def choose(page: Page, place: str, value: str) -> None:
    page.locator(place).locator("input").click()
    page.get_by_role("option", name=value, exact=True).click()


def badge(page: Page):
    return page.locator("#run-head .badge")


def epoch(page: Page) -> int:
    """Number of finished epochs that the page shows."""
    found = re.search(r"Run: (\d+) of", page.locator("#run-head").inner_text())
    return int(found[1]) if found else -1


def points(page: Page) -> int:
    """Number of points in the curves of the loss chart."""
    return sum(len(re.findall("[ML]", path.get_attribute("d") or "")) for path in page.locator(CURVE).all())


def drawn(page: Page) -> int:
    """Number of curves in the loss chart that have points."""
    return sum("L" in (path.get_attribute("d") or "") for path in page.locator(CURVE).all())


def error_under(page: Page, field: str) -> str:
    """The error that the page writes under a field; "none" if there is none."""
    return page.locator(f"#set-{field}").evaluate("element => getComputedStyle(element, '::after').content")


def wait(page: Page, reached, what: str) -> None:
    for _ in range(300):
        if reached():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{what}: {page.locator('#run-head').inner_text()}")


@pytest.mark.usefixtures("_held")
def test_a_run_is_started_watched_stopped_resumed_and_used(visit, zipped, tmp_path):
    page, other = open_tab(visit(height=900)), open_tab(visit(width=400, height=900))
    other.get_by_role("tab", name="Batch").click()  # until the run is watched: else it draws the charts too
    # The plan is shown before the start.
    page.locator("#train-upload input[type=file]").set_input_files(str(zipped))
    expect(page.locator("#train-source textarea, #train-source input").first).to_have_value(re.compile("^upload: .*music.zip$"))
    # Three choices, with the time for these tracks; the recipes are behind one more click.
    level = page.locator("#train-level")
    expect(level.get_by_label("Balanced")).to_be_checked()
    expect(level).to_contain_text(re.compile("Quick\\s+about \\d+ (s|min) for 12 songs"))
    level.get_by_label("Quick").check()
    expect(page.locator("#train-command textarea")).to_have_value(re.compile("genre-app train mlp"))
    expect(page.locator("#train-typed")).to_be_hidden()  # only the page's script presses it
    page.get_by_text("Recipes and published systems").click()
    choose(page, "#train-recipe", "cnn")
    expect(level.locator("input:checked")).to_have_count(0)
    expect(page.locator("#train-command textarea")).to_have_value(re.compile("genre-app train cnn"))
    page.get_by_text("All settings", exact=True).click()
    for group in ("Training", "Features and segments", "Starting weights, spectrogram, CPU threads"):
        page.get_by_text(group, exact=True).click()
    for field, value in SETTINGS.items():
        fill(page, field, value)
    choose(page, "#set-precision", "float32")
    choose(page, "#train-preset", "none")
    page.get_by_label("CPU threads").fill("1")
    fill(page, "batch_size", "0")
    expect(page.locator("#plan").get_by_role("alert")).to_contain_text("batch_size: must be at least 2, got 0")
    assert "batch_size: must be at least 2, got 0" in error_under(page, "batch_size")
    page.wait_for_function("JSON.parse(localStorage.getItem('genre-app-train'))['set-batch_size'] === 0")  # kept, though wrong
    fill(page, "batch_size", SETTINGS["batch_size"])
    expect(page.locator("#train-command textarea")).to_have_value(re.compile("--set batch_size=8"))
    wait(page, lambda: error_under(page, "batch_size") == "none", "no error under the field")
    page.locator("#set-name").locator("input, textarea").press_sequentially("my first")
    expect(page.locator("#plan").get_by_role("alert")).to_contain_text("Names can't contain spaces.")
    assert "Names can't contain spaces" in error_under(page, "name")
    fill(page, "name", "")
    expect(page.locator("#plan").get_by_role("alert")).to_have_count(0)
    # A reload keeps the form.
    page.wait_for_function("JSON.parse(localStorage.getItem('genre-app-train'))['set-name'] === ''")
    page.reload()
    expect(page.locator("#train-command textarea")).to_have_value(re.compile("train cnn .*--set batch_size=8"))
    page.get_by_text("All settings", exact=True).click()
    expect(page.locator("#set-batch_size input")).to_have_value(SETTINGS["batch_size"])
    page.get_by_text("Recipes and published systems").click()
    expect(page.locator("#train-recipe input")).to_have_value("cnn")
    page.locator("#train-check").click()
    expect(page.locator("#plan")).to_contain_text(f"for {EPOCHS} epochs")
    expect(page.locator("#plan tr").filter(has_text="metal")).to_have_text(re.compile("metal\\s*4\\s*1\\s*1"))

    # The run comes into view with the keyboard's focus, and its curve grows.
    page.locator("#train-start").click()
    expect(page.locator("#run-head")).to_be_focused()
    expect(page.locator("#run-head h2")).to_be_in_viewport()
    expect(badge(page)).to_have_text("running", timeout=180_000)
    expect(page.locator(CURVE).first).to_be_attached()
    before = points(page)
    wait(page, lambda: points(page) > before, "the curve stands still")
    expect(page.locator("#confusion img")).to_be_visible()
    expect(page.locator("#run-head")).to_contain_text("segments/s")
    # Watched from its start, the chart shows the validation too.
    expect(page.locator(CURVE)).to_have_count(2)
    wait(page, lambda: drawn(page) == 2, "the validation is not drawn")

    # A reloaded page shows that the run continues, and so does the page of another visitor.
    page.reload()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")
    expect(badge(page)).to_have_text("running")
    seen = epoch(page)
    wait(page, lambda: epoch(page) > seen, "it does not go on")
    other.get_by_role("tab", name="Train").click()
    expect(badge(other)).to_have_text("running")
    assert other.evaluate("document.documentElement.scrollWidth") <= 400

    # The other visitor stops the run; this one resumes it.
    other.locator("#run-stop").click()
    for one in (other, page):
        expect(badge(one)).to_have_text("stopped")
    other.close()  # else it draws the charts too
    (run,) = list_runs()
    assert run.status() is Status.stopped
    paced.let_go()
    reached = len(run.journal().epochs)
    assert 0 < reached < EPOCHS
    page.locator("#run-resume").click()
    expect(badge(page)).to_have_text(re.compile("running|finished"), timeout=180_000)
    expect(badge(page)).to_have_text("finished", timeout=400_000)
    assert [epoch.epoch for epoch in run.journal().epochs] == list(range(1, EPOCHS + 1))
    expect(page.locator("#run-report")).to_contain_text("right")
    expect(page.locator("#run-report")).to_contain_text("classical")

    # The checkpoint is used at once for the loaded clip.
    page.get_by_role("tab", name="Classify").click()
    page.get_by_role("button", name="classical", exact=True).click()
    expect(page.locator("#final-vote .card")).to_contain_text("classical.flac · 20.0 s · default checkpoint")
    page.get_by_role("tab", name="Train").click()
    page.locator("#run-use").click()
    expect(page.locator("#final-vote .card")).to_contain_text(f"classical.flac · 20.0 s · run: {run.name} checkpoint")
    picture = page.locator("img.figure")
    assert picture.evaluate("image => image.naturalWidth") == pytest.approx(picture.bounding_box()["width"], abs=2)
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
    assert "#" not in page.url
    expect(page.locator(".token").first).to_contain_text(f"run: {run.name}")
    page.get_by_test_id("waveform-Music").get_by_role("button", name="Clear", exact=True).click()
    song = tmp_path / "song.wav"
    soundfile.write(song, music("metal", 5.0, RATE, seed=77), RATE)
    drop(page, str(song))
    expect(page.locator("#final-vote .card")).to_contain_text(f"run: {run.name} checkpoint")
    expect(page.locator("#final-vote .genre")).to_contain_text("metal")
