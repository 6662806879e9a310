"""Tunnel: a WebSocket after its 101. Bytes pass untouched; frame headers are followed, so that a Close of ours
goes out between two frames, and a client's messages are counted."""

from __future__ import annotations

import asyncio
import os

CLOSE_SECONDS = 2.0  # a connection that reaches no frame boundary in this time is cut
POLICY, GOING_AWAY = 1008, 1001
_CLOSE = 8


class Follower:
    """Follows the frames of one direction: header by header, without unmasking."""

    __slots__ = ("_header", "_left", "closed", "frames")

    def __init__(self) -> None:
        self._left = 0  # payload bytes of the current frame that are still to come
        self._header = b""  # the beginning of a header
        self.frames = 0  # data frames begun
        self.closed = False  # a Close frame went by

    @property
    def between(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._left and not self._header

    def feed(self, data: bytes, *, stop: bool = False) -> int:
        """Follow `data`. With `stop`, only to the first place between two frames; how many bytes were followed."""
        at, end = 0, len(data)
        if end > 1 and not self._left and not self._header:  # one short whole frame: nearly always
            second = data[1]
            if second & 127 < 126 and (second & 127) + (6 if second & 128 else 2) == end:
                opcode = data[0] & 15
                if opcode == 1 or opcode == 2:
                    self.frames += 1
                elif opcode == _CLOSE:
                    self.closed = True
                return end
        while at < end:
            if self._left:
                taken = min(self._left, end - at)
                at, self._left = at + taken, self._left - taken
            else:
                at = self._head(data, at)
            if stop and self.between:
                break
        return at

    def _head(self, data: bytes, at: int) -> int:
        """Take what there is of a frame's header at `at`; the place after it."""
        had = len(self._header)
        header = self._header + data[at : at + 14 - had]
        size = _header_size(header)
        if size == 0 or len(header) < size:
            self._header = header
            return at + len(header) - had
        self._header, self._left = b"", _payload(header)
        opcode = header[0] & 15
        self.frames += opcode in (1, 2)
        self.closed = self.closed or opcode == _CLOSE
        return at + size - had


class Tunnel:
    """Joins a client and an app until one of them goes, or `close` is called."""

    __slots__ = (
        *("_app", "_client", "_closing", "_loop", "_told_app", "_told_client", "_to_app", "_to_client"),
        *("from_app", "from_client"),
    )

    def __init__(self, client: asyncio.Transport, app: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._app, self._loop = client, app, loop
        self._to_client, self._to_app = client.write, app.write
        self.from_client, self.from_app = Follower(), Follower()
        self._closing: tuple[int, bytes] | None = None
        self._told_app = self._told_client = False  # our Close went there

    def client_sent(self, data: bytes) -> None:
        """Pass on what the client sent."""
        if self._closing is None:
            self.from_client.feed(data)
            self._to_app(data)
            return
        if self._told_app:  # only the client's answer to our Close matters now
            self.from_client.feed(data)
        else:
            self._told_app = self._last(self._app, data, self.from_client, masked=True)
        if self.from_client.closed and self._told_client:
            self._client.close()
            self._app.close()

    def app_sent(self, data: bytes) -> None:
        """Pass on what the app sent."""
        if self._closing is None:
            self.from_app.feed(data)
            self._to_client(data)
        elif not self._told_client:
            self._told_client = self._last(self._client, data, self.from_app, masked=False)

    def close(self, code: int, reason: str) -> None:
        """End it: a Close frame each way as soon as a frame ends there; cut after CLOSE_SECONDS."""
        if self._closing is not None:
            return
        self._closing = (code, reason.encode()[:120])
        if self.from_app.between:
            self._told_client = self._last(self._client, b"", self.from_app, masked=False)
        if self.from_client.between:
            self._told_app = self._last(self._app, b"", self.from_client, masked=True)
        for side in (self._client, self._app):
            if not side.is_closing():
                side.resume_reading()
        self._loop.call_later(CLOSE_SECONDS, self.cut)

    def cut(self) -> None:
        """End it now."""
        self._client.abort()
        self._app.abort()

    def _last(self, to: asyncio.Transport, data: bytes, follower: Follower, *, masked: bool) -> bool:
        """Pass on the rest of the current frame, then our Close; what comes after it is dropped. Whether it went out."""
        taken = follower.feed(data, stop=True)
        if taken:
            to.write(data[:taken])
        if not follower.between or self._closing is None:
            return False
        to.write(_close_frame(*self._closing, masked=masked))
        return True


def _header_size(header: bytes) -> int:
    """How long the header is that begins like this; 0: it can't be known yet."""
    if len(header) < 2:
        return 0
    length = header[1] & 127
    return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if header[1] & 128 else 0)


def _payload(header: bytes) -> int:
    length = header[1] & 127
    if length < 126:
        return length
    return int.from_bytes(header[2 : 4 if length == 126 else 10], "big")


def _close_frame(code: int, reason: bytes, *, masked: bool) -> bytes:
    payload = code.to_bytes(2, "big") + reason
    if not masked:
        return bytes((0x80 | _CLOSE, len(payload))) + payload
    mask = os.urandom(4)
    hidden = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((0x80 | _CLOSE, 0x80 | len(payload))) + mask + hidden
