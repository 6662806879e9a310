"""Certificates: TLS of a listener, and between nodes, from PEM files; renewed ones are taken up without a restart."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import structlog

from aen.errors import Invalid

log = structlog.get_logger(__name__)
LOOK_SECONDS = 5.0  # between two looks at the files
NODE_PROTOCOL = "aen/1"  # ALPN: what nodes speak to each other


class Certificate:
    """A certificate (chain) and its key. `context` is what a listener uses; `option` names them in messages."""

    def __init__(self, option: str, cert: Path, key: Path) -> None:
        """Raises Invalid when they can't be used."""
        self.option, self.cert, self.key = option, cert, key
        self._seen = self._stamp()
        self.context = self._loaded()

    async def keep(self) -> None:
        """For life: take up new files. Whoever connects from then on gets them; open connections stay as they are."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Take up the files if they have changed and go together; else the old certificate stays, and the log says why."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._loaded()  # aside first: half a renewal must not take away what works
            self.context.load_cert_chain(self.cert, self.key)
        except (Invalid, OSError, ssl.SSLError) as error:
            log.error("the new certificate can't be used: the old one stays", option=self.option, why=str(error))
        else:
            log.info("a new certificate is in use", option=self.option)

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(path) for path in (self.cert, self.key))

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.cert, self.key, password="")
        except (OSError, ssl.SSLError) as error:
            raise Invalid(f"{self.option}: {self.cert} and {self.key} can't be used: {error}.") from error
        return context


class NodeTls:
    """TLS between nodes: 1.3, both sides show a certificate of AEN's own authority, no names are looked at here.

    `server` and `client` are made anew when a file changes, so that an authority that is gone is trusted no more and
    sessions of before can't be resumed. Open connections stay as they are.
    """

    def __init__(self, key: Path, certificate: Path, authority: Path) -> None:
        """Raises Invalid when the files can't be used."""
        self._key, self._certificate, self._authority = key, certificate, authority
        self._seen = self._stamps()
        self.server, self.client = self._made()

    def look(self) -> bool:
        """Take up the files if they have changed and go together; whether that was so."""
        seen = self._stamps()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.server, self.client = self._made()
        except Invalid as error:  # half a renewal: the other half is a change too
            log.error("the node's new certificate can't be used: the old one stays", why=error.message)
            return False
        log.info("the node's new certificate is in use")
        return True

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(path) for path in (self._key, self._certificate, self._authority))

    def _made(self) -> tuple[ssl.SSLContext, Resuming]:
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Resuming(ssl.PROTOCOL_TLS_CLIENT)
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.check_hostname = False  # a node is known by its URI, which whoever connects compares
            context.verify_mode = ssl.CERT_REQUIRED
            context.set_alpn_protocols([NODE_PROTOCOL])
            try:
                context.load_verify_locations(self._authority)
                context.load_cert_chain(self._certificate, self._key, password="")
            except (OSError, ssl.SSLError) as error:
                raise Invalid(
                    f"The node's certificate {self._certificate} can't be used ({error}). Let it join again: `aen node join`."
                ) from error
        server.num_tickets = 1
        return server, client


class Resuming(ssl.SSLContext):
    """A client's context that resumes the session it had with the same server: no signatures the next time."""

    def __init__(self, *_: Any) -> None:
        self._sessions: dict[str, ssl.SSLSession] = {}

    def remember(self, server: str, peer: ssl.SSLObject) -> None:
        """The server is who it must be, and has sent its ticket."""
        if peer.session is not None and peer.session.has_ticket:
            self._sessions[server] = peer.session

    def forget(self, server: str) -> None:
        """Begin anew with this server."""
        self._sessions.pop(server, None)

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """See ssl.SSLContext."""
        named.setdefault("session", self._sessions.get(named.get("server_hostname") or ""))
        return super().wrap_bio(*args, **named)


def _stamp(path: Path) -> tuple[int, int, int]:
    """Differs when the file does. A link to another file (as ACME clients make) is another file."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
