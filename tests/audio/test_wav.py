"""WAV files that the app writes."""

import io

import numpy as np
import soundfile

from genre_app.audio import wav_file


def test_samples_within_full_scale_keep_their_level_and_louder_ones_their_shape() -> None:
    samples = (0.5 * np.sin(np.arange(4000) * 0.03)).astype(np.float32)
    for factor, level in ((1.0, 1.0), (8.0, 2.0)):
        read, rate = soundfile.read(io.BytesIO(wav_file(np.float32(factor) * samples, 16000)))
        assert rate == 16000
        np.testing.assert_allclose(read, level * samples, atol=2e-4)
