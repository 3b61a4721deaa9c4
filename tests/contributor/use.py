"""Uses a copy of the project, in a fork that has imported what the project needs but not yet the copy."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def use(root: str, codes: dict[str, tuple[str, list[str]]]) -> None:
    """Run code with words as its arguments by the package in ``root``, and write what each sets as ``found``."""
    os.chdir(root)
    with Path("log.txt").open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ["GENRE_APP_RUNS"] = str(Path(root, "runs"))
    for name in [name for name in sys.modules if name.split(".")[0] in ("genre_app", "train", "app")]:
        del sys.modules[name]
    sys.path.insert(0, root)
    import genre_app

    assert Path(genre_app.__file__).is_relative_to(root)
    answers = {}
    for name, (code, words) in codes.items():
        sys.argv = [name, *words]
        names: dict[str, Any] = {}
        exec(compile(code, name, "exec"), names)
        answers[name] = names["found"]
    Path("answers.json").write_text(json.dumps(answers))
