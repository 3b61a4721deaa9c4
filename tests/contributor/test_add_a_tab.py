"""A new contributor adds a tab: one package in ``genre_app/ui`` and one line in its list."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
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
LOOK = """
from genre_app.ui.page import build_app
app = build_app()
print([block.label for block in app.blocks.values() if type(block).__name__ == "Tab"])
(greet,) = [f.fn for f in app.fns.values() if [getattr(app.blocks.get(b), "label", "") for b, _ in f.targets] == ["Name"]]
print(greet("you"))
"""


def test_a_tab_is_a_package_and_a_line(tmp_path):
    shutil.copytree(ROOT / "genre_app", tmp_path / "genre_app", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("checkpoints", "train"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    package = tmp_path / "genre_app" / "ui" / "hello"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tab.py").write_text(TAB)
    page = tmp_path / "genre_app" / "ui" / "page.py"
    text = page.read_text(encoding="utf-8")
    last = '    ("Train", "train"),\n'
    assert text.count(last) == 1
    page.write_text(text.replace(last, last + '    ("Hello", "hello"),\n'), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    *_, labels, greeting = done.stdout.splitlines()
    assert labels == "['Classify', 'Live', 'Batch', 'Train', 'Hello']"
    assert greeting == "Hello, you"
