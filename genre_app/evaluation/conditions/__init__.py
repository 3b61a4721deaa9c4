"""Listening conditions: changes of the audio with fixed seeds, under which an evaluation is repeated.

A model must not be tested with the sounds that it was trained with. So the conditions share nothing with `genre_app.augment`:
no code, no sound, no room, no seed. A value here (a level, a reverberation time) may lie in the range that training draws from,
but the sound is made in another way. Three changes can be made in one way only: a change of level, and, on waveforms, steady
noise and clipping.

========== ================================================ =============================================================
part       here                                             in training
========== ================================================ =============================================================
noise      pink noise by its spectrum; talkers made of      noise drawn in the mel bands, coloured noise of any slope,
           saw-tooth voices and formants                    noises of a folder
rooms      image sources of a box, which give modes and     decaying noise and a few random reflections, impulse
           regular reflections                              responses of a folder
devices    filters of a telephone line or a phone; a tilt   smooth curves with soft edges over the mel bands
codec      MP3 of 44.1 kHz at 32 and 64 kbit/s              MP3 and Opus at the model's rate, random bit rate
pitch      phase vocoder (librosa)                          warped mel axis; signalsmith's time stretching
speed      resampling, which changes pitch and tempo        tempo alone
========== ================================================ =============================================================

Conventions
-----------
- A condition takes mono samples, float32 [n], and returns samples of the same length; only the speed conditions change it.
- The random generator is seeded by the names of the condition and of the track. So the result depends neither on the order of
  the tracks nor on the number of workers.
- Results may exceed full scale; only ``clipping`` clips them there.
- The ratio of a noise is the mean power of the clip over the mean power of the noise.
- A room keeps the mean power of the clip; the direct sound keeps its time.
"""

from genre_app.evaluation.conditions.catalogue import STANDARD, Condition, generator_for
from genre_app.evaluation.conditions.folders import folder_conditions

__all__ = ["STANDARD", "Condition", "folder_conditions", "generator_for"]
