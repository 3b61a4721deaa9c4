"""Measure a room with a loudspeaker and a microphone, and turn the measurement into settings for training.

Method
------
A test signal is played and recorded. It holds silence, a sine sweep and music. Deconvolving the sweep gives the impulse
response of the loudspeaker, the room and the microphone together. The frequency response and the reverberation follow from it.
"""

from genre_app.augment.room_check.check import RoomCheck, check_room
from genre_app.augment.room_check.preset import preset_settings, room_settings
from genre_app.augment.room_check.signal import SAMPLE_RATE, room_signal

__all__ = ["SAMPLE_RATE", "RoomCheck", "check_room", "preset_settings", "room_settings", "room_signal"]
