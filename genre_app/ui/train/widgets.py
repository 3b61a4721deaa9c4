"""The widgets of the fields of `TrainConfig`."""

from __future__ import annotations

from typing import Any

import gradio as gr

from genre_app.ui.train.data import sentence
from genre_app.ui.train.fields import FormError, FormField

_LABELS = {"spec.kind": "Features", "model_settings": "Settings of the network", "split.file": "Split file"}
_MAX_INFO = 150  # letters of a help text: six lines in half the form's width


def element(path: str) -> str:
    """Return the id of the widget of a field."""
    return f"set-{path.replace('.', '-')}"


def widget(field: FormField, value: Any) -> Any:
    """Lay out the widget of a field with its value; a long help text makes it as wide as the form."""
    common: dict[str, Any] = {"label": _LABELS.get(field.path, field.label), "info": field.info or None, "interactive": True}
    classes = ["wide"] if field.kind == "toml" or len(field.info) > _MAX_INFO else []
    common |= {"elem_id": element(field.path), "elem_classes": classes}
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=value, **common)
    if field.kind == "flag":
        return gr.Checkbox(value, **common)
    if field.kind == "number":
        return gr.Number(value, **common)  # without bounds: gradio would report them in a toast, the page does it in place
    if field.kind == "toml":
        return gr.Textbox(value, lines=3, max_lines=12, **common | {"elem_classes": [*classes, "code"]})
    return gr.Textbox(value, **common)


def error_mark(error: Exception | None) -> str:
    """Return a style sheet that writes an error under the field that it belongs to; empty if there is none.

    The sentence is in the plan's alert too, for those who do not see the page.
    """
    if not isinstance(error, FormError) or not error.path:
        return ""
    # Each letter is escaped for CSS, so that no text can leave the quotes.
    text = "".join(f"\\{ord(letter):06x}" for letter in sentence(error))
    return f'<style>#{element(error.path)}::after{{content:"{text}"}}</style>'
