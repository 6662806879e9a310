"""Starts the Viewer: `python -m aen_viewer SOCKET PREFIX`, the rest from the environment that AEN gives apps."""

from __future__ import annotations

import json
import os
import socket
import sys
from urllib.parse import unquote_to_bytes

from aen_workbench.doors import Door, OpenDoor
from aen_workbench.paths import Places
from aiohttp import web

from .handlers import VIEWER, Viewer, answer


def application(viewer: Viewer) -> web.Application:
    """One handler: every address is a file or a folder."""
    app = web.Application(client_max_size=1)
    app[VIEWER] = viewer
    app.router.add_get(r"/{place:[\s\S]*}", answer)
    return app


def main() -> None:
    """Serve until SIGTERM."""
    path, prefix = sys.argv[1:3]
    environ = os.environ
    project = os.fsencode(environ["AEN_PROJECT_DIR"])
    places = Places(project, project)  # nothing outside of the project
    told = json.loads(environ.pop("AEN_TOLD", "") or "{}")
    kind = OpenDoor if told.get("open") else Door  # the gateway lets in anyone, who are told apart by nothing
    door = kind(environ.pop("AEN_APP_TOKEN"), environ["AEN_USER"])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o660)  # its folder lets in the gateway's side and us only
    server, slug = environ.get("AEN_SERVER_URL", "").rstrip("/"), environ["AEN_PROJECT"]
    viewer = Viewer(places, door, prefix, slug, home=f"{server}/{slug}" if server else "")
    if told.get("open") == "share":
        viewer.home = ""
        viewer.only, viewer.hash = unquote_to_bytes(told.get("path", "")) or b".", told.get("hash", "")
    app = application(viewer)
    web.run_app(app, sock=listener, print=None, access_log=None, shutdown_timeout=3)


if __name__ == "__main__":
    main()
