"""A player before and after augmentation: lets a visitor hear what a preset does to a clip."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from genre_app.audio import open_audio, wav_file
from genre_app.audio.synth import STYLES, music
from genre_app.augment.presets import DESCRIPTIONS, PRESETS
from genre_app.augment.preview import preview
from genre_app.errors import AudioError
from genre_app.ui import cards
from genre_app.ui.downloads import download
from genre_app.ui.frame import LAST, PRIVATE
from genre_app.ui.service import PROBLEMS

_RATE = 22050
_SECONDS = 10.0
_OWN = "your clip"
_BLENDED = {style: STYLES[(index + 1) % len(STYLES)] for index, style in enumerate(STYLES)}  # mixup adds this clip


def build() -> None:
    """Lay out the players and connect them; inside a `gradio.Column`."""
    with gr.Accordion("Hear an augmentation", open=False, elem_id="hear"):
        with gr.Row():
            preset = gr.Dropdown(list(PRESETS), value="noise+pitch", label="Augmentation", min_width=130)
            clip = gr.Dropdown([*STYLES, _OWN], value=STYLES[0], label="Clip", min_width=130, elem_id="hear-clip")
        upload = gr.File(label="Your clip", height=90, visible=False, elem_id="hear-upload")
        again = gr.Button("Before and after", size="sm")
        said = gr.HTML(elem_id="hear-said")
        with gr.Row():
            common: dict[str, Any] = {"interactive": False, "visible": False, "min_width": 200, "buttons": []}
            before = gr.Audio(label="Before", elem_id="hear-before", **common)
            after = gr.Audio(label="After", elem_id="hear-after", **common)
    seed = gr.State(0)  # of the next draw
    private: dict[str, Any] = {**PRIVATE, "concurrency_limit": 2}
    clip.input(lambda chosen: gr.File(visible=chosen == _OWN), clip, upload, **LAST)
    gr.on([again.click, upload.upload], _hear, [preset, clip, upload, seed], [before, after, said, seed], **private)


def _hear(preset: str, clip: str, path: str | None, seed: int) -> tuple[Any, Any, str, int]:
    """Return the two players, a remark and the seed of the next draw."""
    try:
        samples = _samples(clip, path)
        changed = preview(samples, _RATE, preset, seed, other=music(_BLENDED.get(clip, STYLES[0]), _SECONDS, _RATE))
        sounds = {"before": samples, "after": changed}
        files = [download(f"{name}.wav", wav_file(sound, _RATE)) for name, sound in sounds.items()]
    except PROBLEMS as error:
        hidden = gr.Audio(visible=False)
        return hidden, hidden, cards.problem(cards.told(error), "Nothing to hear"), seed
    before, after = (gr.Audio(file, visible=True) for file in files)
    return before, after, cards.remark(f"{DESCRIPTIONS[preset]} Press again for another random draw."), seed + 1


def _samples(clip: str, path: str | None) -> NDArray[np.float32]:
    if clip != _OWN:
        return music(clip, _SECONDS, _RATE)
    if path is None:
        raise AudioError("Choose a file first")
    needed = round(_SECONDS * _RATE)
    with open_audio(path, sample_rate=_RATE) as stream:
        return np.fromiter(islice(chain.from_iterable(stream.blocks()), needed), np.float32)
