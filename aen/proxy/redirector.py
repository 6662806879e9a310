"""Redirector: a listener that only says where the gateway is."""

from __future__ import annotations

import asyncio
import socket

from aen.proxy.answers import redirect, refusal
from aen.proxy.head import END, REQUEST_LINE
from aen.service import Service

_MOST = 16384
_SECONDS = 10.0


class Redirector(Service):
    """Answers every request on `bound` with the same path at `url` (which may hold `{project}`: then without it)."""

    name = "redirect"

    def __init__(self, bound: socket.socket, url: str) -> None:
        super().__init__()
        self._bound, self._url = bound, url.replace("{project}.", "").encode()

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
                    writer.write(redirect(self._url + line[2], close=True, status=308))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            writer.close()
