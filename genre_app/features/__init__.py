"""Feature specification, segmentation of a clip, and the only code that computes features.

Conventions
-----------
Frame ``k`` of a clip's spectrogram is centred on sample ``k * hop_length``, with zeros beyond both ends of the clip, like
librosa with ``center=True``. Each segment starts at such a frame, so a segment cut from a stored spectrogram equals the same
segment computed from audio.
"""

from genre_app.features.held import Held
from genre_app.features.segments import Cutter, batch_size, cut_columns, own_starts, segment_start_frames, split
from genre_app.features.spec import COLUMN_FIELDS, FeatureSpec
from genre_app.features.spectrogram import extract, finish
from genre_app.features.summary import SUMMARY_NAMES

__all__ = [
    "COLUMN_FIELDS",
    "SUMMARY_NAMES",
    "Cutter",
    "FeatureSpec",
    "Held",
    "batch_size",
    "cut_columns",
    "extract",
    "finish",
    "own_starts",
    "segment_start_frames",
    "split",
]
