"""Handlers found in the built page, called without a browser."""

from __future__ import annotations

from typing import Any

import gradio as gr


def handler(app: gr.Blocks, label: str, event: str) -> Any:
    """Find what an event of the component with this label, button text or id does on the server.

    The event may first run a script in the browser.
    """
    found = [function for function in app.fns.values() if _is_set_off(app, function, label, event)]
    if not found:
        raise LookupError(f"no {event} of {label}")
    return next((function for function in found if function.fn), None) or following(app, found[0])


def _is_set_off(app: gr.Blocks, function: Any, label: str, event: str) -> bool:
    blocks = [app.blocks.get(block_id) for block_id, name in function.targets if name == event]
    return any(label in [getattr(block, name, None) for name in ("label", "elem_id", "value")] for block in blocks)


def following(app: gr.Blocks, function: Any) -> Any:
    """Find what the page does after this handler."""
    number = next(number for number, other in app.fns.items() if other is function)
    return next(other for other in app.fns.values() if other.trigger_after == number)


def named(update: dict) -> dict:
    """Key a handler's answer by the components' ids, labels, button texts or types."""
    return {_name(block): shown for block, shown in update.items()}


def _name(block: Any) -> str:
    value = getattr(block, "value", None)
    text = value if isinstance(value, str) else None
    return block.elem_id or getattr(block, "label", None) or text or type(block).__name__
