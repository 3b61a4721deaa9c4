"""A copy of the project with a contributor's network, augmentation and tab, used in one process: its imports take seconds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.contributor import test_add_a_model, test_add_a_tab, test_add_an_augmentation
from tests.contributor.use import use

ROOT = Path(__file__).parents[2]
ADDITIONS = (test_add_a_model, test_add_a_tab, test_add_an_augmentation)
"""Each has `add`, which edits the copy and returns the words for `USE`, the code that uses the addition and sets ``found``."""


@pytest.fixture(scope="session")
def answers(tmp_path_factory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "genre_app", root / "genre_app", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "train", "checkpoints"):
        (root / name).symlink_to(ROOT / name)
    codes = {}
    for addition in ADDITIONS:
        words = addition.add(root / "genre_app", tmp_path_factory.mktemp("work"))
        codes[Path(addition.__file__).stem] = (addition.USE, [str(word) for word in words])
    process = forked.server.Process(target=use, args=(str(root), codes))
    process.start()
    process.join(300)
    assert process.exitcode == 0, (root / "log.txt").read_text()
    return json.loads((root / "answers.json").read_text())


@pytest.fixture
def found(answers, request) -> Any:
    """What the code of this test's file found."""
    return answers[request.path.stem]
