"""Decode any audio file or stream to mono float32 samples at a model's sample rate.

Conventions
-----------
Samples are float32 with full scale 1.0. Channels are averaged to mono, then resampled, block by block. Memory does not grow
with the length of the file, and the samples do not depend on the block size.
"""

from genre_app.audio.clip import Clip, load_clip, open_audio
from genre_app.audio.sounds import read_sound, sound_files
from genre_app.audio.stream import AudioStream
from genre_app.audio.wav import wav_file

__all__ = ["AudioStream", "Clip", "load_clip", "open_audio", "read_sound", "sound_files", "wav_file"]
