"""The page."""

from __future__ import annotations

import gradio as gr
import pytest

from genre_app.ui.page import build_app


@pytest.fixture(scope="module")
def app(bundled) -> gr.Blocks:
    return build_app()
