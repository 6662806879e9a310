"""Certificates: the TLS of a listener, from two PEM files; a renewed certificate is taken up without a restart."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import structlog

from aen.errors import Invalid

log = structlog.get_logger(__name__)
LOOK_SECONDS = 5.0  # between two looks at the files


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


def _stamp(path: Path) -> tuple[int, int, int]:
    """Differs when the file does. A link to another file (as ACME clients make) is another file."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
