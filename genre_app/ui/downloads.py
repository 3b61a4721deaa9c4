"""Write files for a visitor to download, where gradio serves them and later deletes them."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from threading import Lock

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from genre_app.files import move

_copying = Lock()


def download(name: str, content: str | bytes) -> str:
    """Write ``content`` to a file called ``name``; return its path."""
    content = content.encode("utf-8") if isinstance(content, str) else content
    path: str = save_bytes_to_cache(content, _safe(name), get_upload_folder())
    return path


def download_file(source: Path, name: str) -> str:
    """Copy ``source`` to a file called ``name``, once as long as it does not change; return its path."""
    stamp = f"{source} {source.stat().st_mtime_ns}"
    path = Path(get_upload_folder()) / hashlib.sha256(stamp.encode()).hexdigest() / _safe(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _copying:  # a second visitor waits for the copy
        try:
            os.utime(path)  # gradio deletes files by their age
        except FileNotFoundError:
            part = path.with_name(f".{path.name}.part")
            shutil.copyfile(source, part)
            move(part, path)
    return str(path)


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_. " else "_" for c in name)
