"""Named endpoints for programs: HTTP, `gradio_client` and MCP tools; the same answers as the page and the command line.

The docstrings of the two functions are what clients and language models read; gradio wants a line for each of their ``Args``.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from genre_app.checkpoint import DEFAULT_CHECKPOINT
from genre_app.predict import MAX_OVERLAP
from genre_app.ui.batch.tab import classify_file
from genre_app.ui.service import CONCURRENT, MAX_FILES, PROBLEMS, answer, checkpoint_choices
from genre_app.vote import DEFAULT_VOTE, VOTES


def classify(
    audio: str, checkpoint: str = DEFAULT_CHECKPOINT, vote: str = DEFAULT_VOTE, overlap: float | None = None
) -> dict[str, Any]:
    """Tell the genre of a piece of music from its sound.

    Returns the genre, the probability of every genre, what the other ways to vote say, and the probabilities of each segment of
    a few seconds with its start and end. Listens to at most 3 hours and 100 MB.

    Args:
        audio: The music, as WAV, FLAC, MP3, OGG, Opus, M4A, WebM, AIFF or WMA; half a second at least, 15 s are better.
        checkpoint: Name of the trained model; "run: NAME" is that of a training run.
        vote: How the segments become one answer: mean, majority, geometric, or knn (nearest training tracks).
        overlap: Share of a segment that neighbours have in common, 0 to 0.95; empty means as the model was trained.
    """
    try:
        return answer(audio, checkpoint=checkpoint, vote=vote, overlap=overlap).prediction.to_dict()
    except PROBLEMS as error:
        raise gr.Error(str(error), print_exception=False) from error


def classify_batch(files: list[str], checkpoint: str = DEFAULT_CHECKPOINT, vote: str = DEFAULT_VOTE) -> list[dict[str, Any]]:
    """Tell the genres of several pieces of music.

    Returns a list in the order of the files; each entry is what classify returns, or the name of the file and an error that
    says why it has no answer.

    Args:
        files: The pieces of music, at most 200.
        checkpoint: Name of the trained model; "run: NAME" is that of a training run.
        vote: How the segments become one answer: mean, majority, geometric, or knn (nearest training tracks).
    """
    if not files:
        raise gr.Error("No files arrived: give at least one.", print_exception=False)
    if len(files) > MAX_FILES:
        raise gr.Error(f"{len(files)} files are more than the {MAX_FILES} that one call takes.", print_exception=False)
    rows = [classify_file(path, checkpoint, vote) for path in files]
    return [row.prediction.to_dict() if row.prediction else {"file": row.file, "error": row.error} for row in rows]


def build() -> None:
    """Offer the endpoints; called within the `gradio.Blocks`. Their components are never shown."""
    checkpoints = checkpoint_choices()
    with gr.Group(visible=False):
        audio = gr.Audio(type="filepath", label="Audio")
        files = gr.File(file_count="multiple", type="filepath", label="Files")
        # Runs come and go while the page is served, so names that are not in the list are for `answer` to refuse.
        checkpoint = gr.Dropdown(checkpoints, value=checkpoints[0], label="Checkpoint", allow_custom_value=True)
        vote = gr.Dropdown(list(VOTES), value=DEFAULT_VOTE, label="Vote")
        overlap = gr.Number(None, minimum=0.0, maximum=MAX_OVERLAP, label="Overlap")
        result = gr.JSON(label="Prediction")
        results = gr.JSON(label="Predictions")
        one, many = gr.Button(), gr.Button()  # gradio ties every endpoint to an event; nobody sees these
    one.click(
        classify,
        [audio, checkpoint, vote, overlap],
        result,
        api_name="classify",
        concurrency_id="classify",
        concurrency_limit=CONCURRENT,
    )
    many.click(
        classify_batch,
        [files, checkpoint, vote],
        results,
        api_name="classify_batch",
        concurrency_id="batch",
        concurrency_limit=2,
    )
