"""Tunnel: a WebSocket after its 101. Bytes pass untouched; frame headers are followed, so that a Close of ours
goes out between two frames, and a client's messages are counted."""

from __future__ import annotations

import asyncio
import os
from typing import cast

CLOSE_SECONDS = 2.0  # a connection that reaches no frame boundary in this time is cut
POLICY, GOING_AWAY = 1008, 1001
#: "Service restart": JupyterLab takes 1000 and 1001 as an end for good, and comes back after anything else.
RESTART = 1012
_CLOSE = 8
_MESSAGES = frozenset((0x81, 0x82, 0xC1, 0xC2))  # first byte of a whole text or binary message, compressed or not
#: By the second byte of a short frame: how long all of it is. 0: its length stands elsewhere.
_SHORT = tuple((second & 127) + (6 if second & 128 else 2) if second & 127 < 126 else 0 for second in range(256))


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


class Side(Follower, asyncio.Protocol):
    """One end of a tunnel: it is its transport's protocol from the 101 on, and passes on what is read there.

    What nearly always comes is one short whole frame, between two others: that takes one step. `before` was the
    transport's protocol until now, and still hears of everything else.
    """

    __slots__ = ("_before", "_quick", "_tunnel", "_write", "masks", "there", "told")

    def __init__(self, tunnel: Tunnel, here: asyncio.Transport, there: asyncio.Transport, *, masks: bool) -> None:
        Follower.__init__(self)
        self._tunnel: Tunnel | None = tunnel
        self._before = cast(asyncio.Protocol, here.get_protocol())
        self.there, self._write = there, there.write
        self.masks = masks  # whether whoever is there wants our frames masked: apps do
        self.told = False  # our Close went there
        self._quick = True
        here.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._quick and len(data) > 1 and len(data) == _SHORT[data[1]] and data[0] in _MESSAGES:
            self.frames += 1
            self._write(data)
            return
        tunnel = self._tunnel
        if tunnel is not None:
            tunnel.take(self, data)
            self._quick = tunnel.open and self.between

    def slow(self) -> None:
        """Have everything that comes looked at by the tunnel."""
        self._quick = False

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._tunnel = None
        self._before.connection_lost(error)

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""
        return self._before.eof_received()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._before.resume_writing()


class Tunnel:
    """Joins a client and an app until one of them goes, or `close` is called."""

    __slots__ = ("_app", "_client", "_closing", "_from_app", "_from_client", "_loop")

    def __init__(self, client: asyncio.Transport, app: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._app, self._loop = client, app, loop
        self._closing: tuple[int, bytes] | None = None
        self._from_client = Side(self, client, app, masks=True)
        self._from_app = Side(self, app, client, masks=False)

    @property
    def messages(self) -> int:
        """How many messages the client has sent (fragments of one count once)."""
        return self._from_client.frames

    @property
    def open(self) -> bool:
        """Whether everything that comes is passed on."""
        return self._closing is None

    @property
    def awaits_answer(self) -> bool:
        """Whether the client was sent our Close and may still answer it: an app that has gone meanwhile changes nothing."""
        return self._closing is not None and self._from_app.told

    def client_sent(self, data: bytes) -> None:
        """Pass on what the client has sent behind its request."""
        self._from_client.data_received(data)

    def app_sent(self, data: bytes) -> None:
        """Pass on what the app has sent behind its answer."""
        self._from_app.data_received(data)

    def take(self, side: Side, data: bytes) -> None:
        """Pass on what came at `side`; once we close, only to the end of the frame."""
        if self._closing is None:
            side.feed(data)
            side.there.write(data)
            return
        if not side.told:
            data = data[self._last(side, data) :]
        if side.told and side is self._from_client:  # only the client's answer to our Close matters now
            side.feed(data)
        if self._from_client.closed and self._from_app.told:
            self._client.close()
            self._app.close()

    def close(self, code: int, reason: str) -> None:
        """End it: a Close frame each way as soon as a frame ends there; cut after CLOSE_SECONDS."""
        if self._closing is not None:
            return
        self._closing = (code, reason.encode()[:120])
        for side in (self._from_app, self._from_client):
            side.slow()
            if side.between:
                self._last(side, b"")
        for end in (self._client, self._app):
            if not end.is_closing():
                end.resume_reading()
        self._loop.call_later(CLOSE_SECONDS, self.cut)

    def cut(self) -> None:
        """End it now."""
        self._client.abort()
        self._app.abort()

    def _last(self, side: Side, data: bytes) -> int:
        """Pass on the rest of the current frame, then our Close; how long that rest was. What comes after it is dropped."""
        taken = side.feed(data, stop=True)
        last = data[:taken]
        if side.between and self._closing is not None:
            last += _close_frame(*self._closing, masked=side.masks)
            side.told = True
        if last and not side.there.is_closing():  # the app may have gone, and the client still has time to answer
            side.there.write(last)
        return taken


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
