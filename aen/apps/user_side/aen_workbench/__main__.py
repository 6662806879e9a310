"""Starts the Workbench: `python -m aen_workbench SOCKET PREFIX`, the rest from the environment that AEN gives apps."""

from __future__ import annotations

import os
import socket
import sys
import time

from aiohttp import web

from . import doors
from .handlers import ROUTES
from .looking import PAGE
from .paths import Places
from .state import STATE, State
from .uploads import Uploads


def application(state: State, door: doors.Door, prefix: str) -> web.Application:
    """The whole site, below `prefix`."""
    inner = web.Application(middlewares=[doors.headers, _seen], client_max_size=1 << 20)
    inner[STATE], inner[doors.DOOR] = state, door
    inner.add_routes(ROUTES)
    inner.router.add_static("/static/", PAGE)
    outer = web.Application()
    outer.add_subapp(prefix.rstrip("/"), inner)
    return outer


@web.middleware
async def _seen(request: web.Request, handler: doors.Handler) -> web.StreamResponse:
    """Remember that somebody did something. What an open tab asks by itself doesn't count, nor does AEN's own question."""
    if "X-Workbench-Alone" not in request.headers and not request.path.endswith("/api/ready"):
        request.app[STATE].active = int(time.time() * 1000)
    return await handler(request)


def _listener(path: str) -> socket.socket:
    """The socket, in a folder that lets in the gateway's side and us only."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o660)
    return listener


def main() -> None:
    """Serve until SIGTERM."""
    path, prefix = sys.argv[1:3]
    environ = os.environ
    places = Places(os.fsencode(environ["AEN_PROJECT_DIR"]), os.fsencode(environ["HOME"].rstrip("/") or "/"))
    user = environ["AEN_USER"]
    project, server = environ["AEN_PROJECT"], environ.get("AEN_SERVER_URL", "").rstrip("/")
    site = f"{server}/{project}" if server else ""
    state = State(places, user, project, environ["USER"] == user, Uploads(places), site)
    door = doors.Door(environ.pop("AEN_APP_TOKEN"), user)
    app = application(state, door, prefix)
    web.run_app(app, sock=_listener(path), print=None, access_log=None, shutdown_timeout=3)


if __name__ == "__main__":
    main()
