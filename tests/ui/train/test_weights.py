"""Starting weights: the choices of the form, and the checkpoint that each stands for."""

from __future__ import annotations

import pytest

from genre_app.runs.status import Status
from genre_app.ui.service import RequestError
from genre_app.ui.train.fields import FormError
from genre_app.ui.train.weights import RANDOM, choice_of, init_choices, init_from


def test_each_choice_stands_for_a_checkpoint_and_back(bundled, make_run, monkeypatch):
    run = make_run("mine", Status.finished)
    # What is taught from a collection is no checkpoint to train on, so it is not offered.
    monkeypatch.setattr(
        "genre_app.ui.train.weights.checkpoint_choices", lambda: ["default", "taught: my-music", "run: mine", "run: gone"]
    )
    assert init_choices() == [RANDOM, "default", "run: mine", "run: gone"]
    meant = {RANDOM: None, "default": "default", "run: mine": str(run.best)}
    assert {choice: init_from(choice) for choice in meant} == meant
    assert [choice_of(checkpoint) for checkpoint in meant.values()] == [*meant]
    for choice in ("taught: my-music", "run: gone", "../mine"):
        with pytest.raises(FormError, match="There is no checkpoint"):
            init_from(choice)
    with pytest.raises(RequestError, match="does not offer the starting weights"):
        choice_of("/elsewhere/best.safetensors")
