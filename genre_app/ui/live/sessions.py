"""Visitors who listen: one `Session` a recording, and the limits on all of them together."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from threading import Lock
from weakref import WeakSet

from genre_app.prediction import Prediction
from genre_app.ui.live import pieces
from genre_app.ui.live.listener import Listener
from genre_app.ui.live.recent import Recent
from genre_app.ui.service import RequestError, checkpoint_named
from genre_app.vote import DEFAULT_VOTE, available_votes

LISTENING = 64  # visitors at once; gradio holds a worker for each of them until they press Stop
IDLE_SECONDS = 60.0
"""Seconds without a piece after which another visitor may take the place of a recording."""

MAX_WEIGHT_BYTES = 1_000_000_000
"""Most memory of the weights that all sessions hold; a visitor's own checkpoint has up to 100 MB."""

_KEPT_PIECES = 5  # of a second each, on the disk; all pieces of an hour would take half a gigabyte


class Session:
    """One visitor's recording, from Record to Stop; 5 MB of memory besides the weights.

    Parameters
    ----------
    checkpoint : list of str
        One or several of `checkpoint_choices`.
    vote : str
        The default vote replaces one that the checkpoint does not allow.
    own : str, optional
        Path of the visitor's own checkpoint.
    speech : bool
        The browser applies noise suppression.

    Raises
    ------
    CheckpointError, RequestError
        With one sentence for the visitor.
    """

    def __init__(self, checkpoint: list[str], vote: str, own: str | None, *, speech: bool = False) -> None:
        chosen = checkpoint_named(checkpoint, own)
        self._listener: Listener | None = Listener(chosen, suppressed=speech)
        self.genres = chosen.genres
        self.vote = vote if vote in available_votes(chosen.references) else DEFAULT_VOTE
        self.announced = ""
        self.latest: Prediction | None = None  # the answer that is shown
        self.recent = Recent()
        self.id = secrets.token_hex(32)  # what is added from one session is kept together when a model is tested
        self.heard = time.monotonic()  # when the last piece arrived
        self.has_ended = False
        self.weights = {id(member.model): member.model for member in chosen.members}
        self._files = pieces.Files()

    @property
    def listener(self) -> Listener:
        """What classifies the stream; raises `RequestError` if the session was closed."""
        if self._listener is None:
            raise RequestError("No sound arrived for too long; stop and record again")
        return self._listener

    def add(self, piece: Path) -> bool:
        """Process a piece of the stream; return whether its file exists.

        Raises
        ------
        RequestError
            If the file is damaged or larger than a piece is, or the session was closed.
        """
        listener = self.listener
        self.heard, self.has_ended = time.monotonic(), False
        sounds = False
        try:
            for mono, rate in pieces.blocks(piece):
                sounds = sounds or bool(mono.any())
                listener.add(mono, rate)
                self.recent.add(mono, rate)
        except FileNotFoundError:
            return False
        # gradio names a piece's folder after its content, so the silent pieces of all visitors share one file: leave it.
        if sounds:
            self._files.add(piece)
            self._files.delete(_KEPT_PIECES)
        return True

    def end(self) -> None:
        """Delete the session's files; what was heard can still be added to a collection."""
        self.has_ended = True
        self._files.delete()

    def close(self) -> None:
        """Delete the session's files and release its memory."""
        self.end()
        self._listener = None
        self.weights = {}
        self.recent.clear()


class Sessions:
    """All sessions in memory, at most ``2 * LISTENING``: the active ones, and the latest of those that are over."""

    def __init__(self) -> None:
        self._all: WeakSet[Session] = WeakSet()
        self._lock = Lock()

    def admit(self, session: Session, limit: int) -> None:
        """Count a new session.

        Raises
        ------
        RequestError
            If too many visitors listen, or their checkpoints take too much memory.
        """
        with self._lock:
            now = time.monotonic()
            active: list[Session] = []
            over: list[Session] = []
            for other in self._all:
                is_over = other.has_ended or now - other.heard > IDLE_SECONDS
                (over if is_over else active).append(other)
            if len(active) >= limit:
                raise RequestError(f"{limit} visitors are listening, the most that this page takes; try again in a minute")
            over.sort(key=lambda other: other.heard, reverse=True)
            while over and len(over) >= limit:
                self._close(over.pop())
            while _bytes([session, *active, *over]) > MAX_WEIGHT_BYTES:
                if not over:
                    raise RequestError("Too many checkpoints are in use by visitors who listen; choose the default one")
                self._close(over.pop())
            self._all.add(session)

    def _close(self, session: Session) -> None:
        session.close()
        self._all.discard(session)


def _bytes(sessions: list[Session]) -> int:
    models = {key: model for session in sessions for key, model in session.weights.items()}
    tensors = [tensor for model in models.values() for tensor in (*model.parameters(), *model.buffers())]
    return sum(tensor.nbytes for tensor in tensors)
