"""Why a run failed, in one sentence for the user."""

from __future__ import annotations

import errno

import torch

from genre_app.errors import GenreAppError, first_line

EXPECTED = (GenreAppError, OSError)
"""Errors whose message is meant for the user. Any other error is a fault of the program, and its traceback goes to the log."""

_MAX_MESSAGE = 1000  # letters


def sentence(error: BaseException) -> str:
    """Say in one sentence, for the user, why a run ended."""
    text = first_line(error)[:_MAX_MESSAGE]
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "The disk is full; free some space, then resume the run: it continues from the last saved state."
    if isinstance(error, torch.OutOfMemoryError):
        return "The device has too little memory even for small parts of a batch; choose a smaller network or shorter segments."
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted from the keyboard; resume the run to continue from the last saved state."
    if isinstance(error, EXPECTED):
        return text
    if isinstance(error, RuntimeError) and ("CUDA" in text or "cuDNN" in text or "CUBLAS" in text):
        return f"The GPU was lost or failed ({text}); resume the run to continue from the last saved state."
    return f"Training failed unexpectedly ({type(error).__name__}: {text}); the log has the details."
