"""A new contributor adds a tab: one package in ``genre_app/ui`` and one line in its list."""

from __future__ import annotations

from pathlib import Path

TAB = '''
"""The Hello tab."""

import gradio as gr

from genre_app.ui.frame import Frame


def build(frame: Frame) -> None:
    """Lay out the tab and connect it; called within its `gradio.Tab`."""
    name = gr.Textbox(label="Name")
    greeting = gr.Textbox(label="Greeting")
    frame.tab["Hello"].select(lambda: "somebody", None, name)
    name.change(lambda name: f"Hello, {name}", name, greeting, api_visibility="private")
'''
USE = """
import threading
import app
import genre_app.ui
begun = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
from genre_app.ui.page import build_app
app = build_app()
labels = [block.label for block in app.blocks.values() if type(block).__name__ == "Tab"]
(greet,) = [f.fn for f in app.fns.values() if [getattr(app.blocks.get(b), "label", "") for b, _ in f.targets] == ["Name"]]
found = {"labels": labels, "answer": greet("you"), "begun": begun}
"""


def add(package: Path, work: Path) -> tuple[()]:
    """Add the tab to a copy of the package."""
    hello = package / "ui" / "hello"
    hello.mkdir()
    (hello / "__init__.py").write_text("")
    (hello / "tab.py").write_text(TAB)
    page = package / "ui" / "page.py"
    text = page.read_text(encoding="utf-8")
    last = '    ("Train", "train"),\n'
    assert text.count(last) == 1
    page.write_text(text.replace(last, last + '    ("Hello", "hello"),\n'), encoding="utf-8")
    return ()


def test_a_tab_is_a_package_and_a_line(found):
    assert found["labels"] == ["Classify", "Live", "Batch", "Collect", "Train", "Hello"]
    assert found["answer"] == "Hello, you"


def test_importing_the_page_starts_nothing(found):
    assert found["begun"] == []
