"""Today's code gives the outputs that were recorded: bit for bit in the same environment, else within a tolerance.

After a change that is meant to give other outputs, record their sections anew: ``python -m tests.reference SECTION ...``.
"""

from __future__ import annotations

import copy

import pytest

from tests.reference.compute import SECTIONS, copy_old_run
from tests.reference.record import HOW, TOLERANCES, as_json, differences, environment, how_compared, one_thread, read


def test_every_section_is_recorded_and_has_a_tolerance():
    assert set(read()["sections"]) == set(SECTIONS) == set(TOLERANCES)


@pytest.mark.parametrize("section", SECTIONS)
def test_outputs_are_the_recorded_ones(section, tmp_path):
    recorded = read()
    tolerance, sentence = how_compared(section, recorded["environment"])
    HOW.add(sentence)
    with one_thread():
        found = as_json(SECTIONS[section](tmp_path))
    wrong = list(differences(recorded["sections"][section], found, tolerance))
    assert not wrong, "\n".join([f"{len(wrong)} outputs of {section} differ. {sentence}", *wrong[:20]])


def test_the_old_run_opens_as_it_was_left(tmp_path):
    run = copy_old_run(tmp_path)
    assert run.status() == "stopped"
    assert [event.epoch for event in run.journal().epochs] == [1]
    described = run.description()
    # Its recipe and its settings are still read, and mean what they meant.
    assert described.request.config() == described.config
    assert len(described.request.settings) == 4


def test_another_environment_is_named_and_compared_with_a_tolerance():
    here = environment()
    assert how_compared("api", here)[0] == 0
    tolerance, sentence = how_compared("api", here | {"torch": "1.0", "machine": "z80"})
    assert tolerance == TOLERANCES["api"]
    assert f"torch {here['torch']} instead of 1.0; machine {here['machine']} instead of z80" in sentence


def test_differences_are_found_and_placed():
    recorded = {"a": [0.25, {"sha256": "one", "n": 3}], "line": "x,0.5,1e-05", "none": None}
    assert not list(differences(recorded, copy.deepcopy(recorded), 0))
    near = {"a": [0.25 + 1e-9, {"sha256": "two", "n": 3}], "line": "x,0.500000001,1.1e-05", "none": None}
    assert not list(differences(recorded, near, 1e-4))
    places = [line.split(":")[0] for line in differences(recorded, near, 0)]
    assert places == ["/a/0", "/a/1/sha256", "/line"]
    far = {"a": [0.26, {"sha256": "one", "n": 4}], "line": "y,0.5,1e-05", "none": 0.0}
    places = [line.split(":")[0] for line in differences(recorded, far, 1e-4)]
    assert places == ["/a/0", "/a/1/n", "/line", "/none"]
    assert list(differences({"a": 1}, {"b": 1}, 1e-4)) == ["/a is missing", "/b was not recorded"]
