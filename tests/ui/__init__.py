"""Tests of the page."""

import genre_app.ui  # noqa: F401 - before a test imports gradio, which then takes 1.5 s longer
