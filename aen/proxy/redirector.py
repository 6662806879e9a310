"""Redirector: a listener that leads everybody to the gateway's real address and does nothing else."""

from __future__ import annotations

import asyncio
import re
import socket

from aen.proxy.answers import redirect, refusal
from aen.proxy.head import END, REQUEST_LINE
from aen.proxy.sites import Sites
from aen.service import Service

_MOST = 16384
_SECONDS = 10.0
_HOST = re.compile(rb"\r\nhost:[ \t]*([A-Za-z0-9.-]+)(?::[0-9]+)?[ \t]*\r\n", re.IGNORECASE)


class Redirector(Service):
    """Answers every request on `bound` with the same path at the gateway; a project's own host leads to its own."""

    name = "redirector"

    def __init__(self, bound: socket.socket, sites: Sites) -> None:
        super().__init__()
        self._bound, self._sites = bound, sites

    async def open(self) -> None:
        """Listen."""
        server = await asyncio.start_server(self._answer, sock=self._bound, limit=_MOST)
        self._stack.callback(server.close)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(END)
                line = REQUEST_LINE.fullmatch(head, 0, head.find(b"\r\n"))
                if line is None:
                    writer.write(refusal(400, "The request line is not well formed.", close=True))
                else:
                    host = _HOST.search(head)
                    origin = self._sites.at(host[1] if host else b"")
                    writer.write(redirect(origin + line[2], close=True, status=308))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            writer.close()
