"""Relay: one connection of a gateway to an app of this node: let in by its preface, then bytes both ways, untouched.

Memory stays flat: who takes no more for now is not sent more, and the other side is not read meanwhile.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, cast

import structlog

from aen.errors import Denied
from aen.proxy.dialing import dial
from aen.proxy.peers import Stranger

if TYPE_CHECKING:
    from aen.roles.compute.endpoint import Endpoint

log = structlog.get_logger(__name__)

PREFACE_SECONDS = 5.0
_CONNECT_SECONDS = 4.0  # less than a gateway waits: so it hears why
_LONGEST_PREFACE = 256
_WRITE_BUFFER = 256 * 1024  # bytes waiting to be written before the other side is no longer read
_PREFACE = re.compile(rb"AEN1 ([a-z0-9]{1,64}) ([0-9]{1,19})\n")
_IN_PREFACE, _CONNECTING, _RELAY, _OVER = range(4)


class Outer(asyncio.Protocol):
    """A gateway's connection."""

    __slots__ = ("_app", "_endpoint", "_preface", "_state", "_timer", "_told", "peer", "serial", "transport")

    transport: asyncio.Transport

    def __init__(self, endpoint: Endpoint, peer: str) -> None:
        self._endpoint, self.peer = endpoint, peer
        self._preface, self._state, self._told, self.serial = b"", _IN_PREFACE, False, 0
        self._app: Inner | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol: TLS has found a certificate of our authority; whose, is looked at here."""
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._endpoint.connections.add(self)
        try:
            seen = self._endpoint.trust.meet(transport.get_extra_info("ssl_object"), "gateway")
        except Denied as denied:
            self._refuse("refused", denied.message)
            return
        self.serial = seen.serial
        self._timer = asyncio.get_running_loop().call_later(PREFACE_SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._state == _RELAY:
            assert self._app is not None
            self._app.transport.write(data)
        elif self._state == _IN_PREFACE:
            self._preface += data
            self._read_preface()
        elif self._state == _CONNECTING:
            self._refuse("bad-preface", "it went on before it was let in")

    def eof_received(self) -> None:
        """See asyncio.Protocol: the gateway's own word that all was sent. TLS ends both ways at once."""
        self._told = True
        if self._app is not None:
            self._app.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._endpoint.connections.discard(self)
        self._stop_timer()
        self._state = _OVER
        app, self._app = self._app, None
        if app is not None:
            app.outer = None
            if not self._told:  # what it sent may not be whole: the app must not take it for that
                app.transport.abort()

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the gateway takes no more for now, so the app is not read."""
        if self._app is not None and not self._app.transport.is_closing():
            self._app.transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._app is not None and not self._app.transport.is_closing():
            self._app.transport.resume_reading()

    def joined(self, app: Inner) -> bool:
        """The app is there: bytes pass from now on. False when the gateway is gone."""
        if self._state != _CONNECTING or self.transport.is_closing():
            return False
        self._app, self._state = app, _RELAY
        self._endpoint.served += 1
        self.transport.write(b"OK\n")
        return True

    def _read_preface(self) -> None:
        end = self._preface.find(b"\n") + 1
        if not end and len(self._preface) < _LONGEST_PREFACE:
            return
        match = _PREFACE.fullmatch(self._preface)
        if match is None:
            self._refuse("bad-preface", repr(self._preface[:40]))
            return
        self._stop_timer()
        session, generation = match[1].decode(), int(match[2])
        trouble = self._endpoint.trouble(session, generation)
        if trouble:
            self._refuse(trouble, f"session {session}, generation {generation}")
            return
        self._state = _CONNECTING
        record = self._endpoint.find(session)
        assert record is not None
        self._endpoint.run(self._connect(record.upstream, record.uid))

    async def _connect(self, upstream: str, uid: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                plain = await dial(upstream, uid)
                try:
                    await loop.create_connection(lambda: Inner(self), sock=plain)
                except BaseException:
                    plain.close()
                    raise
        except Stranger as stranger:
            log.error("somebody else listens where an app should be", why=str(stranger))
            self._refuse("stranger", str(stranger))
        except OSError as error:
            self._refuse("no-app", str(error) or type(error).__name__)

    def _refuse(self, code: str, why: str) -> None:
        if self._state == _OVER:
            return
        self._state = _OVER
        self._stop_timer()
        self._endpoint.count(code, self.peer, why)
        if not self.transport.is_closing():
            self.transport.write(f"ERR {code}\n".encode())
            self.transport.close()

    def _late(self) -> None:
        if self._state == _IN_PREFACE:
            self._refuse("late", "no preface came")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Inner(asyncio.Protocol):
    """The connection to the app."""

    __slots__ = ("_told", "outer", "transport")

    transport: asyncio.Transport

    def __init__(self, outer: Outer) -> None:
        self.outer: Outer | None = outer
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        if self.outer is None or not self.outer.joined(self):
            self.outer = None
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.outer is not None:
            self.outer.transport.write(data)

    def eof_received(self) -> None:
        """See asyncio.Protocol: the app has said all: so have we, after what is waiting was written."""
        self._told = True

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        outer, self.outer = self.outer, None
        if outer is None or outer.transport.is_closing():
            return
        if self._told and error is None:
            outer.transport.close()
        else:  # without TLS's word for the end: so that the gateway sees that something is missing
            outer.transport.abort()

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the app takes no more for now, so the gateway is not read."""
        if self.outer is not None and not self.outer.transport.is_closing():
            self.outer.transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.outer is not None and not self.outer.transport.is_closing():
            self.outer.transport.resume_reading()
