"""Record reference outputs: python -m tests.reference [SECTION ...]; with no section, all of them."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.reference.compute import SECTIONS
from tests.reference.record import as_json, environment, one_thread, read, write


def main() -> None:
    chosen = sys.argv[1:] or list(SECTIONS)
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        sys.exit(f"there is no section {unknown[0]!r}; choose some of: {', '.join(SECTIONS)}")
    recorded = read()
    if len(chosen) < len(SECTIONS) and recorded.get("environment") != environment():
        sys.exit("the other sections were recorded in another environment; record all sections, or use that environment")
    sections = recorded.get("sections", {})
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GENRE_APP_RUNS"], os.environ["GENRE_APP_LOCKS"] = f"{folder}/runs", f"{folder}/locks"
        for name in chosen:
            (work := Path(folder, name)).mkdir()
            began = time.monotonic()
            with one_thread():
                sections[name] = as_json(SECTIONS[name](work))
            print(f"{name}: {time.monotonic() - began:.1f} s")
    write({"environment": environment(), "sections": {name: sections[name] for name in SECTIONS if name in sections}})


if __name__ == "__main__":
    main()
