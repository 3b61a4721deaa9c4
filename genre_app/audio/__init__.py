"""Any audio file, stream or array to mono float32 samples at the rate that a model was trained with.

Conventions
-----------
Samples are float32 with full scale at 1.0. Channels are mixed to mono by their mean before resampling, block by block, so that
memory does not grow with the length of the file; the samples do not depend on the block size.
"""

from genre_app.audio.clip import MIN_SECONDS, AudioStream, Clip, clip_from_array, load_clip, open_audio
from genre_app.audio.sounds import read_sound, sound_files
from genre_app.errors import AudioError

__all__ = [
    "MIN_SECONDS",
    "AudioError",
    "AudioStream",
    "Clip",
    "clip_from_array",
    "load_clip",
    "open_audio",
    "read_sound",
    "sound_files",
]
