"""Answering: the answers of apps, relayed to a client."""

from __future__ import annotations

import asyncio

from aen.proxy import reasons
from aen.proxy.answers import framing_lines
from aen.proxy.body import LAST_CHUNK, chunk
from aen.proxy.exchange import LONGEST_KEPT, Answers, Known, Request
from aen.proxy.head import UNTIL_CLOSE
from aen.proxy.headers import ResponseFields
from aen.proxy.replying import IN_BODY, IN_HEAD, SENT, TUNNEL, Replying
from aen.proxy.tunnel import Tunnel
from aen.proxy.upstream import Upstream

_AGAIN = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))  # may be sent twice


class Answering(Replying):
    """The sending side. `downstream.py` is the receiving side of the same connection."""

    __slots__ = ()

    def connected(self, request: Request, app: Upstream) -> None:
        """A connection to the app is there."""
        raise NotImplementedError

    # ── the app's side ──────────────────────────────────────────────────────────────────────────────

    @property
    def sent_all(self) -> bool:
        """Whether the request has gone to the app to its end."""
        return self._state == SENT

    def interim(self, status: int, phrase: bytes, fields: ResponseFields) -> None:
        """An interim answer of the app: 100 to those who asked for it, 103 to those who know it."""
        request = self.request
        if request is None or request.old or (status == 100 and not request.fields.expect):
            return
        lines = b"" if status == 100 else fields.forwarded
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, phrase, lines))

    def respond(self, status: int, phrase: bytes, fields: ResponseFields, length: int, *, bodyless: bool) -> None:
        """The head of the app's answer. `length` as in head.py; `bodyless`: there is none, whatever the head says."""
        request = self.request
        assert request is not None
        self._started, self.deadline, request.status = True, 0.0, status
        self._chunked_out = length < 0 and not request.old
        if request.fields.websocket or not self.sent_all:
            self._ending = True
        if length == UNTIL_CLOSE and request.old:
            self._ending = True
        framing = framing_lines(status, length, fields, chunked=self._chunked_out, bodyless=bodyless)
        ending = b"Connection: close\r\n" if self._ending else b""
        # Written with the beginning of the body where that is here already: one system call instead of two.
        self._unsent = b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (status, phrase, fields.forwarded, framing, ending)

    def plain(self, request: Request) -> bool:
        """Whether what goes out for an answer's head depends on that head alone."""
        special = self._ending or request.old or request.fields.websocket or request.method == "HEAD"
        return not special and self._state == SENT

    def remember(self, head: bytes, status: int, length: int, answers: Answers) -> None:
        """The answer whose head has just been given to `respond` came as `head`: for when it comes again."""
        request = self.request
        if request is None or length < 0 or len(head) > LONGEST_KEPT or not self.plain(request):
            return
        if request.door is None or request.door.entry is None:
            return  # our own pages hardly say the same twice, and may set logins
        known = Known(head, status, length, self._unsent)
        answers.keep(known)
        if request.data:
            request.known = known

    def respond_again(self, request: Request, known: Known, data: bytes) -> None:
        """The answer of last time begins again, in `data`; more is to come."""
        self._started, self.deadline, request.status = True, 0.0, known.status
        self._chunked_out = False
        self.transport.write(data if known.same else known.out + data[known.size :])

    def answer_again(self, request: Request, known: Known, data: bytes) -> None:
        """The answer of last time, whole in `data`: what `respond`, `body` and `answered` do, in one go."""
        plane = self._plane
        request.status = known.status
        self._app = self.request = None
        self._state, self.deadline = IN_HEAD, plane.now + plane.limits.idle_seconds
        self.transport.write(data if known.same else known.out + data[known.size :])
        plane.ended(self, request)
        if self._buffer or self._paused:
            self._next()

    def body(self, data: bytes) -> None:
        """A part of the answer's body."""
        if self._chunked_out:
            data = chunk(data)
        if self._unsent:
            data, self._unsent = self._unsent + data, b""
        self.transport.write(data)

    def flush(self) -> None:
        """Write the answer's head, if that still waits for a body."""
        if self._unsent:
            head, self._unsent = self._unsent, b""
            self.transport.write(head)

    def finish_body(self) -> None:
        """The answer's body is whole."""
        if self._chunked_out:
            head, self._unsent = self._unsent, b""
            self.transport.write(head + LAST_CHUNK)
        else:
            self.flush()

    def answered(self) -> None:
        """The app has answered and its connection is given back: go on with the next request."""
        self._app = None
        unsent = self._state == IN_BODY
        self._done()
        if self._ending:
            self._finish(lingering=unsent or bool(self._buffer))
        else:
            self._next()

    def no_answer(self, *, again: bool) -> None:
        """The app's connection ended before an answer. `again`: it was a kept one, which may have been stale."""
        self._app = None
        request = self.request
        if request is None:
            return
        if again and request.method in _AGAIN and not request.fields.length and request.door is not None:
            self._plane.connect(self, request, request.door.pool)
        else:
            self._fail(502, reasons.SILENT)

    def bad_answer(self, why: str) -> None:
        """The app's answer can't be passed on."""
        self._app = None
        self._plane.complain(self, why)
        self._fail(502, why)

    def unreachable(self, request: Request, status: int, why: str) -> None:
        """No connection to the app could be made."""
        if self.request is request:
            self._fail(status, why)

    def cut_off(self) -> None:
        """The app went away in the middle of its answer: so do we, so that the client sees that it is not whole."""
        self._app = None
        if self.tunnel is None and not self._started:
            self._fail(502, reasons.CUT_OFF)
        elif self.tunnel is None or not self.tunnel.awaits_answer:
            self.flush()
            self.transport.close()

    def awaits_upgrade(self) -> bytes:
        """The key of the WebSocket handshake under way, or empty."""
        return self.request.fields.websocket if self.request is not None else b""

    def switched(self, fields: ResponseFields) -> None:
        """The app takes the WebSocket: from now on bytes pass as they are."""
        request, app = self.request, self._app
        assert request is not None
        assert app is not None
        lines = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n%b%b\r\n" % (lines, fields.forwarded))
        request.status, self._state, self.deadline, self._started = 101, TUNNEL, 0.0, True
        self._last, request.head = None, b""  # it may last for days
        self.tunnel = Tunnel(self.transport, app.transport, asyncio.get_running_loop())
        rest, self._buffer = self._buffer, b""
        if rest:
            self.tunnel.client_sent(rest)
        self._read()
