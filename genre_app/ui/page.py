"""The web page: its tabs, its looks, and how it is served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import gradio as gr

from genre_app.ui import api, microphone
from genre_app.ui.batch import tab as batch
from genre_app.ui.classify import tab as classify
from genre_app.ui.frame import Frame
from genre_app.ui.live import tab as live
from genre_app.ui.service import MAX_BYTES, max_upload_bytes
from genre_app.ui.train import tab as train

TITLE = "Genre app"
TABS: list[tuple[str, Callable[[Frame], None]]] = [
    ("Classify", classify.build),
    ("Live", live.build),
    ("Batch", batch.build),
    ("Train", train.build),
]

_ASSETS = Path(__file__).parent / "assets"
_HEADER = """
<header class="top"><h1>Genre app</h1><p>Which genre is it? An answer, and the evidence frame by frame.</p></header>
"""
_FONT = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "sans-serif",
]  # the visitor's own: nothing is fetched from elsewhere
_SWEEP = (1800, 3600)  # every half hour, uploads older than an hour are deleted


def build_app() -> gr.Blocks:
    """Build the page with all its tabs and endpoints; nothing is served yet."""
    app: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=_SWEEP, fill_width=True) as app:
        gr.HTML(_HEADER)
        with gr.Tabs() as tabs:
            frame = Frame(app, tabs)
            for name, build in TABS:
                with gr.Tab(name, id=name) as frame.tab[name]:
                    build(frame)
        api.build()
        app.load(None, None, None, js="() => genreApp.openTab()")
    return app


def launch_options() -> dict[str, Any]:
    """Return how the page is served: looks, limits, MCP server."""
    script = (_ASSETS / "page.js").read_text(encoding="utf-8").replace("MAX_BYTES", str(MAX_BYTES))
    return {
        "theme": gr.themes.Default(
            primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=_FONT, font_mono=["monospace"]
        ).set(body_text_color_subdued="*neutral_500", block_info_text_color="*neutral_500"),
        "css_paths": _ASSETS / "page.css",
        "css": microphone.styles(),
        "head": f"<script>{script}</script><script>{microphone.script()}</script>",
        "max_file_size": max_upload_bytes(),
        "mcp_server": True,
        "ssr_mode": False,
        "footer_links": ["api"],
        "run_history": False,
    }


def serve() -> None:
    """Build the page and serve it until it is stopped; the address comes from gradio's environment variables, as on Spaces."""
    app = build_app()
    # While the first visitor's page is loading, do what their first answer would wait for.
    Thread(target=classify.warm_up, daemon=True).start()
    app.queue(max_size=200).launch(**launch_options())
