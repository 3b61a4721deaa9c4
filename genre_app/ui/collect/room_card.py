"""HTML of a room check: what to expect, the numbers in words, and the frequency response as a chart."""

from __future__ import annotations

from html import escape

from genre_app.augment.room_check import RoomCheck
from genre_app.evaluation.conditions.expected import Expectation
from genre_app.ui.cards import percent

# Limits and words of a value, from low to high; set by hand.
_REVERBERATION = ((0.1, "none"), (0.3, "a dry room"), (0.6, "a furnished room"), (1.0, "a bare room"), (99.0, "a hall"))
_NOISE = ((10.0, "loud"), (20.0, "clearly heard"), (30.0, "faint"), (999.0, "quiet"))

_WIDTH, _HEIGHT = 360, 190  # of the chart in its own units; CSS scales it
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 10, 22, 32
_LEVELS_DB = (10, 0, -10, -20, -30)


def card(check: RoomCheck, expectation: Expectation | None) -> str:
    """Return the card of a check."""
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts(check).items())
    advised = "".join(f"<li>{escape(words)}</li>" for words in advice(check))
    headline, sub = expectation_words(check, expectation)
    return f"""
<section class="card room-card" aria-label="Your room">
  <h2 class="eyebrow">Your room</h2>
  <p class="genre">{escape(headline)}</p>
  <p class="sub">{escape(sub)}</p>
  {f'<ul class="warnings">{advised}</ul>' if advised else ""}
  <dl class="room-facts">{rows}</dl>
  <h3 class="measure">Frequency response, dB relative to 1 kHz</h3>
  {chart(check.response_db)}
</section>
"""


def expectation_words(check: RoomCheck, found: Expectation | None) -> tuple[str, str]:
    """Say what accuracy to expect, and where the numbers come from."""
    if found is None:
        why = "None of the conditions whose accuracy was measured is similar to this recording."
        if check.is_suppressed or check.is_clipped:
            what = "noise suppression" if check.is_suppressed else "clipping"
            why = f"The accuracy with {what} and a room together was not measured."
        return "Accuracy unknown", why
    source = f"measured with {found.words}, n = {found.n_tracks}"
    if found.condition == "file":
        return "As good as a file", f"Expect about {percent(found.accuracy)} of songs right ({source})."
    return (
        f"About {percent(found.retention)} of a file's accuracy",
        f"{percent(found.accuracy)} of songs right instead of {percent(found.file_accuracy)} ({source}).",
    )


def facts(check: RoomCheck) -> dict[str, str]:
    """Return the measured values in words, by name."""
    t60, snr = check.t60_seconds, check.snr_db
    reverberation = "unknown: noise hides it" if t60 is None else f"{t60:.2f} s: {_word(t60, _REVERBERATION)}"
    return {
        "Reverberation time": reverberation,
        "Direct sound": f"{_signed(check.direct_db)} dB relative to the reverberation",
        "Noise": f"{snr:.0f} dB under the signal: {_word(snr, _NOISE)}",
        "Frequencies": f"{_hertz(check.low_hz)} to {_hertz(check.high_hz)}",
        "Noise suppression": suppression(check),
        "Clipping": "yes" if check.is_clipped else "none",
    }


def suppression(check: RoomCheck) -> str:
    """Say whether noise suppression is on, and how that is known."""
    if check.browser_suppresses:
        return "on: the browser says so"
    if check.is_suppressed:
        return f"on: tones lose up to {check.faded_db:.0f} dB"
    if check.is_suppressed is None:
        return "unknown: there is too much noise"
    return "off" if check.faded_db is not None else "off: the browser says so"


def advice(check: RoomCheck) -> list[str]:
    """Return what the visitor can do better."""
    words = []
    if check.is_suppressed:
        words.append("Turn noise suppression off in the settings of the microphone, or try another browser: it removes music.")
    if check.is_clipped:
        words.append("Turn the microphone's input or the loudspeaker down: the recording is clipped.")
    if check.t60_seconds is None:
        words.append("Turn the loudspeaker up and check again: noise hides the reverberation.")
    return words


def chart(response_db: dict[float, float]) -> str:
    """Draw the response as a line with a value at each octave band."""
    step = (_WIDTH - _LEFT - _RIGHT) / len(response_db)
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(level):.1f}" y2="{_y(level):.1f}"/>'
        f'<text x="{_LEFT - 5}" y="{_y(level) + 4:.1f}" text-anchor="end">{_signed(level)}</text>'
        for level in _LEVELS_DB
    )
    points, marks = [], []
    for number, (hertz, db) in enumerate(response_db.items()):
        x, y = _LEFT + (number + 0.5) * step, _y(db)
        points.append(f"{x:.1f},{y:.1f}")
        name = f"{hertz / 1000:.0f} k" if hertz >= 1000 else f"{hertz:.0f}"
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
            f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{_signed(db)}</text>'
            f'<text x="{x:.1f}" y="{_HEIGHT - 18}" text-anchor="middle">{name}</text>'
        )
    words = ", ".join(f"{_hertz(hertz)}: {_signed(db)} dB" for hertz, db in response_db.items())
    return f"""
<svg class="room-chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Frequency response. {words}">
<g class="grid">{grid}</g><polyline points="{" ".join(points)}"/>{"".join(marks)}
<text x="{_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2:.0f}" y="{_HEIGHT - 3}" text-anchor="middle">octave band, Hz</text></svg>
"""


def _y(db: float) -> float:
    highest, lowest = _LEVELS_DB[0], _LEVELS_DB[-1]
    share = (highest - min(highest, max(lowest, db))) / (highest - lowest)
    return _TOP + share * (_HEIGHT - _TOP - _BOTTOM)


def _word(value: float, words: tuple[tuple[float, str], ...]) -> str:
    return next((word for limit, word in words if value < limit), words[-1][1])


def _signed(db: float) -> str:
    number = round(db)
    return f"+{number}" if number > 0 else f"−{-number}" if number < 0 else "0"


def _hertz(hertz: float) -> str:
    return f"{hertz / 1000:.3g} kHz" if hertz >= 1000 else f"{hertz:.0f} Hz"
