"""The same music as others hear it: changes with fixed seeds, under which an evaluation is repeated.

Training must not be measured by what it was shown, so nothing here is shared with `genre_app.augment`: no code, no sound, no
room, no seed. Where training draws from a range (levels, reverberation times, slopes) a value here may lie in it, but what has
that value is made in another way; but for the level, and for steady noise and clipping where waveforms are changed, which can
only be made in one way:

========== ================================================ =============================================================
part       here                                             in training
========== ================================================ =============================================================
noise      pink noise by its spectrum; talkers made of      noise drawn in the mel bands, coloured noise of any slope, a
           saw-tooth voices and formants                    folder
rooms      sources mirrored in the walls of a box, which    decaying noise and a few scattered echoes, a folder
           gives modes, colour and regular reflections
devices    filters of a line or a phone; a tilt             broad curves with soft edges over the mel bands
codec      MP3 of 44.1 kHz at 32 and 64 kbit/s              MP3 and Opus at the model's rate, kbit/s drawn
pitch      phase vocoder (librosa)                          warped mel axis, signalsmith's stretching
speed      a tape that runs faster                          tempo alone
========== ================================================ =============================================================

Conventions
-----------
- A condition takes mono samples, float32 [n], and gives samples of the same length, but for the conditions of speed.
- What it draws comes from a generator that is seeded by the condition's name and the track's, and by nothing else: the result
  depends neither on the order of the tracks nor on the number of workers.
- Results may exceed full scale, as float samples may; only ``clipping`` cuts them off there.
- Noise: the ratio is the mean power of the clip over the mean power of the noise. Rooms: the clip keeps its mean power and its
  start, that of the direct sound.
"""

from genre_app.evaluation.conditions.catalogue import STANDARD, Condition, generator_for
from genre_app.evaluation.conditions.folders import folder_conditions

__all__ = ["STANDARD", "Condition", "folder_conditions", "generator_for"]
