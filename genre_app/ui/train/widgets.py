"""The widgets of the fields of `TrainConfig`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from genre_app.ui.train.fields import FormField

_LABELS = {"spec.kind": "Features", "model_settings": "Settings of the network", "split.file": "Split file"}
_MAX_INFO = 150  # letters of a help text: six lines in half the form's width


def element(path: str) -> str:
    """Return the id of the widget of a field."""
    return f"set-{path.replace('.', '-')}"


def in_rows(fields: Sequence[FormField]) -> list[list[FormField]]:
    """Return the fields in rows of two; a field with a long help text has a row of its own."""
    rows: list[list[FormField]] = []
    for field in fields:
        is_long = len(field.info) > _MAX_INFO
        if is_long or not rows or len(rows[-1]) == 2 or len(rows[-1][0].info) > _MAX_INFO:
            rows.append([])
        rows[-1].append(field)
    return rows


def widget(field: FormField, value: Any, min_width: int = 130) -> Any:
    """Lay out the widget of a field with its value."""
    common: dict[str, Any] = {"info": field.info or None, "min_width": min_width, "interactive": True}
    common |= {"label": _LABELS.get(field.path, field.label), "elem_id": element(field.path)}
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=value, **common)
    if field.kind == "flag":
        return gr.Checkbox(value, **common)
    if field.kind == "number":
        return gr.Number(value, **common)  # without bounds: gradio would report them in a toast, the page does it in place
    if field.kind == "toml":
        return gr.Textbox(value, lines=3, max_lines=12, elem_classes="code", **common)
    return gr.Textbox(value, **common)
