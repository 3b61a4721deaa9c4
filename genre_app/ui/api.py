"""Endpoints for programs, over HTTP, `gradio_client` and MCP, with the answers of the page and the command line.

Clients and language models read the docstrings of the three functions. Gradio needs one line for each of their ``Args``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import safehttpx  # type: ignore[import-untyped]
from gradio import mcp, processing_utils
from gradio.utils import get_upload_folder

from genre_app.checkpoint import DEFAULT_CHECKPOINT
from genre_app.errors import GenreAppError
from genre_app.predict import MAX_OVERLAP
from genre_app.ui.batch.tab import classify_file
from genre_app.ui.limits import Budget
from genre_app.ui.service import CONCURRENT, MAX_BYTES, MAX_FILES, RequestError, answer, checkpoint_choices
from genre_app.vote import DEFAULT_VOTE, VOTES

_DOWNLOAD_SECONDS = 60.0  # a download holds one of the places of `CONCURRENT` clips


def classify(
    audio: str, checkpoint: str = DEFAULT_CHECKPOINT, vote: str = DEFAULT_VOTE, overlap: float | None = None
) -> dict[str, Any]:
    """Predict the genre of a piece of music from its sound.

    Returns the genre, whether the answer is sure, the probability of every genre, the genre by each way to vote, and the
    probabilities of each segment of a few seconds with its start and end. Noise and speech have no genre, nor have sounds that
    a taught model knows as none of its genres; rejected says which it is. Takes at most 3 hours and 100 MB.

    Args:
        audio: The music, as WAV, FLAC, MP3, OGG, Opus, M4A, WebM, AIFF or WMA; half a second at least, 15 s are better.
        checkpoint: Trained model: "default", "fast", "run: NAME" or "taught: NAME"; up to 4 joined by " + " are averaged.
        vote: How the segments' predictions become one answer: mean, majority, geometric, or knn (most similar training tracks).
        overlap: Share of a segment that neighbouring segments have in common, 0 to 0.95; empty: as the model was trained.
    """
    try:
        return answer(audio, checkpoint=checkpoint, vote=vote, overlap=overlap).prediction.to_dict()
    except GenreAppError as error:
        raise _error(error) from error


def classify_batch(files: list[str], checkpoint: str = DEFAULT_CHECKPOINT, vote: str = DEFAULT_VOTE) -> list[dict[str, Any]]:
    """Predict the genres of several pieces of music.

    Returns a list in the order of the files. Each entry is what classify returns, or the file's name and an error that says
    why it has no answer.

    Args:
        files: The pieces of music, at most 200, of 20 hours in all.
        checkpoint: Trained model: "default", "fast", "run: NAME" or "taught: NAME"; up to 4 joined by " + " are averaged.
        vote: How the segments' predictions become one answer: mean, majority, geometric, or knn (most similar training tracks).
    """
    if not files:
        raise _error(RequestError("No files arrived: give at least one"))
    if len(files) > MAX_FILES:
        raise _error(RequestError(f"{len(files)} files are more than the {MAX_FILES} that one call takes"))
    budget = Budget()
    rows = [classify_file(path, checkpoint, vote, budget) for path in files]
    return [row.prediction.to_dict() if row.prediction else {"file": row.file, "error": row.error} for row in rows]


def checkpoints() -> list[str]:
    """List the trained models that the parameter checkpoint of the other tools may name, those for genres of your own included.

    Returns the names: the models of this app, then those that were taught or trained on this server.
    """
    return checkpoint_choices()


def _error(error: Exception) -> gr.Error:
    """Return the error for the client; its title is the kind: AudioError, CheckpointError or RequestError."""
    return gr.Error(str(error), title=type(error).__name__, print_exception=False)


class _Download(safehttpx.AsyncSecureTransport):
    """Gets the file at an address that a program names. gradio's own transport takes files of any size, at any speed."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        content = bytearray()  # as it is sent: unpacked, it could be a thousand times as large
        with suppress(TimeoutError):
            async with asyncio.timeout(_DOWNLOAD_SECONDS):
                answer = await super().handle_async_request(request)
                async for part in answer.stream:
                    content += part
                    if len(content) > MAX_BYTES:
                        break
                else:
                    moved = {"location": to} if (to := answer.headers.get("location")) else {}
                    return httpx.Response(answer.status_code, headers=moved, content=bytes(content))
        raise _error(RequestError(f"The file has more than {MAX_BYTES / 1e6:.0f} MB, or comes too slowly; upload it instead"))


class _ToolServer(mcp.GradioMCPServer):
    """Serves the endpoints as tools of language models. gradio's own server takes no lists of files, and deletes no files."""

    def simplify_filedata_schema(self, schema: dict[str, Any]) -> tuple[dict[str, Any], list[list[str | int]]]:
        simple, places = super().simplify_filedata_schema(schema)
        for parameter in simple["properties"].values():
            parameter.pop("$defs", None)  # references to it would lead nowhere, and each call with a list would fail
            parameter.get("items", {}).pop("$ref", None)
        return simple, places

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        in_lists = [[name, at] for name, *rest in filedata_positions if rest == ["items"] for at in range(len(value[name]))]
        found = super().convert_strings_to_filedata(value, [*filedata_positions, *in_lists])
        for part in found.values():
            for file in part if isinstance(part, list) else [part]:
                if isinstance(file, dict) and Path(file["path"]).is_relative_to(get_upload_folder()):
                    self.blocks.upload_file_set.add(file["path"])  # gradio deletes it with the uploads
        return found


def build() -> None:
    """Add the endpoints; called within the `gradio.Blocks`. Their components are hidden."""
    safehttpx.AsyncSecureTransport = _Download
    processing_utils.PUBLIC_HOSTNAME_WHITELIST.clear()  # gradio would take files of the hub by another transport
    mcp.GradioMCPServer = _ToolServer  # type: ignore[misc]
    mcp.DEFAULT_TEMP_DIR = get_upload_folder()
    with gr.Group(visible=False):
        audio = gr.Audio(type="filepath", label="Audio")
        files = gr.File(file_count="multiple", type="filepath", label="Files")
        # Not a list of choices: runs come and go while the page is served. `checkpoints` lists them, `answer` refuses others.
        checkpoint = gr.Textbox(DEFAULT_CHECKPOINT, label="Checkpoint")
        vote = gr.Dropdown(list(VOTES), value=DEFAULT_VOTE, label="Vote")
        overlap = gr.Number(None, minimum=0.0, maximum=MAX_OVERLAP, label="Overlap")
        result = gr.JSON(label="Prediction")
        results = gr.JSON(label="Predictions")
        one, many = gr.Button(), gr.Button()  # gradio needs an event for every endpoint
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
    gr.events.api(checkpoints, api_name="checkpoints", queue=False)
