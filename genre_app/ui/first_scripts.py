"""Scripts that run before gradio's own, and make its page speak English, open fast and rest."""

from __future__ import annotations

from collections.abc import Callable

from gradio import routes
from jinja2 import BaseLoader, Environment

from genre_app.ui.frame import assets


def add_first_scripts() -> None:
    """Put the scripts before gradio's own; call it before the page is served.

    gradio runs a script of `gradio.Blocks.launch` after its own, when they have already looked up what these scripts replace.
    """
    pages = routes.templates.env
    if pages.loader is not None and not isinstance(pages.loader, _WithScripts):
        pages.loader = _WithScripts(pages.loader)


class _WithScripts(BaseLoader):
    """Gives gradio's pages the scripts."""

    def __init__(self, pages: BaseLoader) -> None:
        self._pages = pages

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Return a page, where it is stored, and whether that is still so."""
        page, place, is_current = self._pages.get_source(environment, template)
        scripts = f"<head><script>{{% raw %}}{assets('language.js', 'events.js', 'rest.js')}{{% endraw %}}</script>"
        return page.replace("<head>", scripts, 1), place, is_current
