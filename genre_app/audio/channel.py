"""Messages between the server and a worker: four bytes that state the length, then the content.

The deadline holds for a whole message, unlike that of `multiprocessing.connection.Connection`: a worker that a hostile file has
taken over may stop in the middle of one.
"""

from __future__ import annotations

import socket
import time

_LENGTH_BYTES = 4


class Channel:
    """One end of a socket.

    Parameters
    ----------
    end : socket.socket
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self.fileno, self.close = end.fileno, end.close

    def send_bytes(self, content: bytes, seconds: float | None = None) -> None:
        """Send a message within ``seconds``; raises `OSError`, as `recv_bytes` does."""
        self._socket.settimeout(seconds)
        self._socket.sendall(len(content).to_bytes(_LENGTH_BYTES, "big") + content)

    def recv_bytes(self, most: int | None = None, seconds: float | None = None) -> bytearray:
        """Wait for a message.

        Parameters
        ----------
        most : int, optional
            Refuse a longer one, bytes.
        seconds : float, optional
            Until the whole message must be here.

        Raises
        ------
        ConnectionError
            If the other end is closed.
        OSError
            If the message does not come in time or is too long.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        length = int.from_bytes(self._read(_LENGTH_BYTES, deadline), "big")
        if most is not None and length > most:
            raise OSError(f"a message of {length} bytes is longer than {most}")
        return self._read(length, deadline)

    def _read(self, n_bytes: int, deadline: float | None) -> bytearray:
        content = bytearray(n_bytes)
        missing = memoryview(content)
        while missing:
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the message does not come in time")
                self._socket.settimeout(left)
            n_read = self._socket.recv_into(missing)
            if not n_read:
                raise ConnectionResetError("the other end is closed")
            missing = missing[n_read:]
        return content
