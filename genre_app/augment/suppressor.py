"""Constants of a browser's noise suppressor, shared by its imitations on waveforms and on log-mel spectrograms.

They were fitted to recordings of 64 tracks through Chromium's microphone. ``python -m tests.suppressor FOLDER TAKES``
compares the imitations with the browser.
"""

HISTORY_SECONDS = 2.0  # over which the level of noise is estimated
LOWER_QUARTILE = 0.674  # standard deviations under the mean of a normal distribution
SLOPE_DB = 2.5  # width of the logistic curve from noise to music
ADAPTED_SECONDS = 0.5  # time constant after the suppressor is started
WANDER_SECONDS = 0.8  # correlation time of the part of the threshold that all bands share
SCATTER_SECONDS = 0.3  # correlation time of the parts that differ between bands
SCATTER_KNOTS = 32  # number of these parts, evenly spaced on the mel axis
