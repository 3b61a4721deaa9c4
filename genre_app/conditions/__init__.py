"""The same music as others hear it: changes with fixed seeds, under which an evaluation is repeated.

Training must not be measured by what it was shown, so nothing here is shared with `genre_app.augment`, neither code nor sounds:

========== ============================================= =====================================================
part       here                                          in training
========== ============================================= =====================================================
noise      pink noise, and talkers made of pulse trains  Gaussian noise, slopes of the mel bands, a folder
           and formants
rooms      sources mirrored in the walls of a box        a decaying tail for each mel band, a folder
devices    filters with fixed or drawn edges on samples  curves over the mel bands
codec      MP3 from LAME                                 no encoder
pitch      phase vocoder (librosa)                       warped mel axis, signalsmith's stretching
speed      as a tape that runs faster                    tempo alone
========== ============================================= =====================================================

Conventions
-----------
- A condition takes mono samples, float32 [n], and gives samples of the same length, but for the conditions of speed.
- What it draws comes from a generator that is seeded by the condition's name and the track's, and by nothing else: the result
  depends neither on the order of the tracks nor on the number of workers.
- Results may exceed full scale, as float samples may; only ``clipping`` cuts them off there.
- Noise: the ratio is the mean power of the clip over the mean power of the noise. Rooms: the clip keeps its mean power and its
  start, that of the direct sound.
"""

from genre_app.conditions.catalogue import STANDARD, Condition, generator_for
from genre_app.conditions.folders import folder_conditions

__all__ = ["STANDARD", "Condition", "folder_conditions", "generator_for"]
