"""What holds the project together: its dependency lists, the Spaces header, and that importing it does nothing."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import LONGEST_FIRST

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def front_matter() -> dict[str, str]:
    _, header, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(header)


def python(code: str) -> str:
    """Run code in a new interpreter that turns warnings into errors; return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_requirements_equal_pyproject() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert lines == PROJECT["dependencies"]


def test_every_dependency_has_an_upper_bound() -> None:
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        assert any(s.operator == "<" for s in Requirement(line).specifier), line


def test_spaces_header_starts_the_app(front_matter: dict[str, str]) -> None:
    gradio = next(r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "gradio")
    assert front_matter["sdk"] == "gradio"
    assert front_matter["sdk_version"] in gradio.specifier
    assert front_matter["python_version"] == "3.12"
    assert (ROOT / front_matter["app_file"]).is_file()
    assert front_matter["hf_oauth"] is True  # or the owner could not sign in, and nobody could train
    assert front_matter["license"] == PROJECT["license"].lower() == "mit"


def test_spaces_header_is_within_the_hubs_limits(front_matter: dict[str, str]) -> None:
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front_matter["colorFrom"], front_matter["colorTo"]} <= colours
    assert len(front_matter["short_description"]) <= 60
    assert len(front_matter["emoji"]) == 1


def test_the_files_that_run_first_are_there() -> None:
    missing = [name for name in LONGEST_FIRST if not (ROOT / "tests" / name).exists()]
    assert missing == [], "correct LONGEST_FIRST in tests/conftest.py"


def test_import_loads_nothing_heavy_and_prints_nothing() -> None:
    code = "import sys, genre_app; print(sorted({'torch', 'gradio', 'matplotlib', 'librosa'} & set(sys.modules)))"
    assert python(code) == "[]\n"


def test_help_does_not_import_torch() -> None:
    code = """if True:
        import sys
        from genre_app.cli import main
        sys.argv = ["genre-app", "--help"]
        try:
            main()
        except SystemExit as stop:
            assert not stop.code, stop.code
        print(sorted({'torch', 'gradio', 'matplotlib', 'librosa', 'pandas'} & set(sys.modules)))
    """
    assert python(code).splitlines()[-1] == "[]"


@pytest.mark.parametrize("folder", ["tests", "tests/bench", "tests/bench/gpu", "train"])
def test_each_command_of_the_documents_can_be_imported(folder: str) -> None:
    for path in sorted((ROOT / folder).glob("*.py")):
        if not path.stem.startswith(("test_", "conftest", "__init__")):
            importlib.import_module(".".join([*folder.split("/"), path.stem]))
