"""Lets a page at rest do nothing."""

from __future__ import annotations

from collections.abc import Callable

from gradio import routes
from jinja2 import BaseLoader, Environment

from genre_app.ui.frame import assets


def rest_between_events() -> None:
    """Put ``rest.js`` before gradio's own scripts; call it before the page is served.

    gradio runs a script of `gradio.Blocks.launch` after its own, when they have already looked up what ``rest.js`` replaces.
    """
    pages = routes.templates.env
    if pages.loader is not None and not isinstance(pages.loader, _WithScript):
        pages.loader = _WithScript(pages.loader)


class _WithScript(BaseLoader):
    """Gives gradio's pages the script."""

    def __init__(self, pages: BaseLoader) -> None:
        self._pages = pages

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Return a page, where it is stored, and whether that is still so."""
        page, place, is_current = self._pages.get_source(environment, template)
        script = f"<head><script>{{% raw %}}{assets('rest.js')}{{% endraw %}}</script>"
        return page.replace("<head>", script, 1), place, is_current
