"""A copy of the project with a contributor's network, augmentation and tab, used in one process: its imports take seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contributor import test_add_a_model, test_add_a_tab, test_add_an_augmentation

ROOT = Path(__file__).parents[2]
ADDITIONS = (test_add_a_model, test_add_a_tab, test_add_an_augmentation)
"""Each has `add`, which edits the copy and returns the words for `USE`, the code that uses the addition and sets ``found``."""

EACH = """
import json, sys

from genre_app.runs import host

host.be_nice = lambda: None  # else the runs would wait for the tests beside them
answers = {}
for name, (code, words) in json.load(sys.stdin).items():
    sys.argv = [name, *words]
    names = {}
    exec(compile(code, name, "exec"), names)
    answers[name] = names["found"]
print(json.dumps(answers))
"""


@pytest.fixture(scope="session")
def answers(tmp_path_factory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "genre_app", root / "genre_app", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("train", "checkpoints"):
        (root / folder).symlink_to(ROOT / folder)
    codes = {}
    for addition in ADDITIONS:
        words = addition.add(root / "genre_app", tmp_path_factory.mktemp("work"))
        codes[Path(addition.__file__).stem] = (addition.USE, [str(word) for word in words])
    environment = {**os.environ, "PYTHONPATH": str(root), "GENRE_APP_RUNS": str(root / "runs")}
    done = subprocess.run(
        [sys.executable, "-c", EACH],
        cwd=root,
        env=environment,
        input=json.dumps(codes),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def found(answers, request) -> Any:
    """What the code of this test's file found."""
    return answers[request.path.stem]
