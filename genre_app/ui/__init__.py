"""The web page. gradio and matplotlib live only here; one package a tab, one module for the figures."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def without_stubs() -> Iterator[None]:
    """Let gradio write no type stubs.

    At each import, gradio writes the stubs of its components anew, although it ships them. This takes 1.5 of the 4 s of the
    import (measured). gradio writes none for a class whose source file Python does not find.
    """
    source_file = inspect.getfile

    def no_component(thing: Any) -> str:
        if getattr(thing, "__module__", "").startswith("gradio."):
            raise OSError
        return source_file(thing)

    inspect.getfile = cast(Any, no_component)
    try:
        yield
    finally:
        inspect.getfile = source_file


with without_stubs():
    import gradio  # noqa: F401
