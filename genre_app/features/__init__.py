"""Feature specification, segmentation of a clip, and the one place that computes its features.

Conventions
-----------
Column ``k`` of a clip's spectrogram is centred on sample ``k * hop_length`` with zeros beyond both ends of the clip, as librosa
does with ``center=True``. Segments begin on such a column, so that a segment cut from a stored spectrogram and the same segment
computed from audio agree column by column.
"""

from genre_app.features.segments import Segments, segment_start_frames, split, split_columns
from genre_app.features.spec import COLUMN_FIELDS, FeatureSpec
from genre_app.features.spectrogram import extract, finish, to_db
from genre_app.features.summary import SUMMARY_NAMES

__all__ = [
    "COLUMN_FIELDS",
    "SUMMARY_NAMES",
    "FeatureSpec",
    "Segments",
    "extract",
    "finish",
    "segment_start_frames",
    "split",
    "split_columns",
    "to_db",
]
