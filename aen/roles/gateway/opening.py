"""Opening: leading people without a login here to what is open to them: a public project, what a link is for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from aen import names
from aen.bus import Bus
from aen.errors import Unavailable
from aen.links import SHARED
from aen.messages import OpenPublic, PublicView
from aen.model.session import Phase
from aen.proxy.routes import RouteTable
from aen.roles.gateway.addresses import see

_LOOK_SECONDS, _LOOKS = 0.5, 50  # between two looks at a start, and how many a visitor waits for
_MOST_WAITING = 64  # visitors at the same time: the rest are asked to come again
_LONGEST = 200
_SOON = "It is being opened. Load this page again in a moment."


class Opening:
    """Asks the server, waits for the start, leads on. The server decides, and the route says what is open."""

    def __init__(self, bus: Bus, routes: RouteTable, repair: Callable[[], Awaitable[None]]) -> None:
        self._bus, self._routes, self._repair = bus, routes, repair
        self._waiting = asyncio.Semaphore(_MOST_WAITING)

    async def lead(self, request: web.Request, owner: str, project: str, server: str) -> web.StreamResponse:
        """Started if need be, then on to where it is now (projects are renamed). Raises NotFound, Unavailable."""
        command = OpenPublic(owner=owner, project=project, app_server=server, secret=_secret(request, server))
        if self._waiting.locked():
            raise Unavailable(_SOON, retry_after=5)
        async with self._waiting:
            for _ in range(_LOOKS):
                view: PublicView = await self._bus.request(names.address("server"), command)
                if view.phase in (Phase.PROBLEM, Phase.LOST):
                    raise Unavailable("It can't be shown now. Try again later.", retry_after=30)
                if view.phase is Phase.RUNNING:
                    await self._repair()
                if self._routes.find(f"{view.path[1:]}{server}".encode(), "") is not None:
                    return see(view.path + request.raw_path.split("/", 3)[3])
                await asyncio.sleep(_LOOK_SECONDS)
        raise Unavailable(_SOON, retry_after=5)


def _secret(request: web.Request, server: str) -> str:
    """What stands after a link's name."""
    rest = request.raw_path.split("/", 4)[4:]
    if not rest or not server.startswith(SHARED):
        return ""
    return re.split(r"[/?]", rest[0], maxsplit=1)[0][:_LONGEST]
