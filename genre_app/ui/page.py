"""The web page: its tabs, its theme, and how it is served."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from threading import Thread
from typing import Any

import gradio as gr
import torch
from starlette.middleware import Middleware

from genre_app.audio import apart
from genre_app.errors import GenreAppError, first_line
from genre_app.files import provide_cache
from genre_app.progress import usable_cores
from genre_app.runs.host import share_heaps
from genre_app.ui import api, microphone, visits
from genre_app.ui.classify.tab import warm_up
from genre_app.ui.first_scripts import add_first_scripts
from genre_app.ui.frame import Frame, assets
from genre_app.ui.guard import Guard
from genre_app.ui.kept import Kept
from genre_app.ui.permission import login, on_space
from genre_app.ui.service import CONCURRENT, MAX_BYTES, max_upload_bytes

TITLE = "Genre app"
TABS = [
    ("Classify", "classify"),
    ("Live", "live"),
    ("Batch", "batch"),
    ("Collect", "collect"),
    ("Train", "train"),
]
"""Label of each tab, and its package in `genre_app.ui`. The package's module ``tab`` has a function ``build(frame)``."""

_HEADER = """
<header class="top"><h1>Genre app</h1><p>Which genre is it? An answer, and the evidence frame by frame.</p></header>
<p id="upload-problem" role="alert" hidden></p>
"""
# Fonts of the visitor's system, so that nothing is fetched from another host.
_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_SWEEP = (1800, 3600)  # seconds: every half hour, delete uploads older than an hour


def build_app() -> gr.Blocks:
    """Build the page with its tabs and endpoints, without serving it."""
    app: gr.Blocks
    visits.count_events_rarely()
    add_first_scripts()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=_SWEEP, fill_width=True) as app:
        gr.HTML(_HEADER)
        collection = gr.State(None)  # name of the collection that the visitor has chosen
        # Within Tabs, anything but a tab would change which label belongs to which tab.
        with gr.Tabs(overflow_behavior="wrap") as tabs:
            frame = Frame(app, tabs, parts={"collection": collection})
            for label, package in TABS:
                with gr.Tab(label, id=label) as frame.tab[label]:
                    import_module(f"genre_app.ui.{package}.tab").build(frame)
        api.build()
        app.load(None, None, None, js="() => genreApp.openTab()")
    visits.lighten(app)
    visits.let_sweeps_overlap(app)
    # At home, gradio also takes calls that skip the queue, and so the limit of clips at the same time; on a Space it does not.
    app.queue(max_size=200, api_open=False)
    return app


def launch_options() -> dict[str, Any]:
    """Return the arguments of `gradio.Blocks.launch`: theme, limits, MCP server, login, checks of requests."""
    secret = None if on_space() else login()  # on a Space, the owner signs in with Hugging Face, and all others may classify
    script = assets("gaps.js", "connection.js", "folders.js", "page.js").replace("MAX_BYTES", str(MAX_BYTES))
    return {
        "theme": _theme(),
        "css": assets("microphone.css", "batch.css", "collect.css", "page.css"),
        "head": f"<script>{script}</script><script>{microphone.script()}</script>",
        "max_file_size": max_upload_bytes(),
        "state_session_capacity": visits.MAX_VISITS,
        "mcp_server": secret is None,  # gradio's MCP server asks for no login
        "ssr_mode": False,
        "footer_links": ["api"],
        "run_history": False,
        "auth": secret,
        "app_kwargs": {"middleware": [Middleware(Guard), Middleware(Kept)]},
    }


def _theme() -> gr.themes.Base:
    """Return the default theme in indigo, changed where text has a contrast under 4.5 (WCAG 2.2, level AA)."""
    theme: gr.themes.Base = gr.themes.Default(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=_FONT, font_mono=["monospace"]
    ).set(
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        link_text_color_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
        link_text_color_visited_dark="*primary_300",
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
    )
    return theme


def serve() -> None:
    """Build the page and serve it until it is stopped; gradio's environment variables set the address, as on Spaces.

    If this fails, for example because of a wrong setting, the program ends with one sentence.
    """
    try:
        # Several clips are classified at once; with more threads each, they would wait for one another. On two busy cores, 30 s
        # of Live took 8.2 s of work with two threads and 1.3 s with one (measured).
        torch.set_num_threads(1)
        share_heaps()
        provide_cache()
        visits.keep_uploads_apart(_SWEEP[1])
        if os.name == "posix":  # Windows gives no socket to another process in this way
            apart.start(n_idle=min(CONCURRENT, usable_cores()))
        app = build_app()
        # In the background, while the first visitor's page is loading.
        Thread(target=warm_up, daemon=True).start()
        visits.start_forgetting(app)
        app.launch(**launch_options())
    except (GenreAppError, OSError) as error:
        sys.exit(first_line(error))
