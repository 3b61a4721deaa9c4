from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.recorder import Recorder


@pytest.fixture(scope="module")
def recorder(playwright, tmp_path_factory) -> Iterator[Recorder]:
    recorder = Recorder(playwright, tmp_path_factory.mktemp("microphone"))
    yield recorder
    recorder.browser.close()
