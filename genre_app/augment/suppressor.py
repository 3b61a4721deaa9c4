"""Numbers of a browser's noise suppressor, which both of its imitations use: on waveforms and on log-mel spectrograms.

They were fitted to takes of 64 tracks through Chromium's microphone; ``python -m tests.suppressor`` compares them.
"""

HISTORY_SECONDS = 2.0  # for what is taken for noise
LOWER_QUARTILE = 0.674  # standard deviations under a normal distribution's mean
SLOPE_DB = 2.5  # of the logistic curve from noise to music
ADAPTED_SECONDS = 0.5  # time constant of a suppressor that was just switched on
WANDER_SECONDS, SCATTER_SECONDS = 0.8, 0.3  # time constants of its mind, of all frequencies and of parts of them
SCATTER_KNOTS = 32  # parts
