"""A page at rest does nothing."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

COUNT = """
window.asked = 0;
const inNextFrame = requestAnimationFrame;
window.requestAnimationFrame = (step) => { asked++; return inNextFrame.call(window, step) };
"""
# Whether no script asks for a frame within half a second.
AT_REST = "() => { const before = asked; return new Promise((done) => setTimeout(() => done(asked === before), 500)) }"


def test_a_page_at_rest_draws_no_frames(recorder, address):
    with recorder.page(address, COUNT) as page:
        assert page.evaluate("asked") > 0
        assert any(page.evaluate(AT_REST) for _ in range(20))
