"""What gradio's page does without need: nothing while it rests, and little while it opens."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

# A proxy is how Svelte wraps a list or an object to notice its changes.
COUNT = """
window.asked = 0;
const inNextFrame = requestAnimationFrame;
window.requestAnimationFrame = (step) => { asked++; return inNextFrame.call(window, step) };
window.wrapped = { all: 0, events: 0 };
window.Proxy = new Proxy(Proxy, {
  construct: (made, [value, ...rest]) => {
    wrapped.all++;
    wrapped.events += Boolean(value.targets || value[0]?.targets);
    return new made(value, ...rest);
  },
});
"""
# Whether no script asks for a frame within half a second.
AT_REST = "() => { const before = asked; return new Promise((done) => setTimeout(() => done(asked === before), 500)) }"


def test_a_page_opens_without_wrapped_events_and_draws_no_frames_at_rest(recorder, address):
    with recorder.page(address, COUNT) as page:
        assert page.evaluate("wrapped.all") > 0
        assert page.evaluate("wrapped.events") == 0
        assert page.evaluate("asked") > 0
        assert any(page.evaluate(AT_REST) for _ in range(20))
