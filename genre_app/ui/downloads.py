"""Files that a visitor downloads."""

from __future__ import annotations

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder


def download(name: str, text: str) -> str:
    """Write a text where gradio serves it from and deletes it after a while; return its path."""
    safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name)
    path: str = save_bytes_to_cache(text.encode("utf-8"), safe, get_upload_folder())
    return path
