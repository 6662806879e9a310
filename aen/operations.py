"""The operations page of a node: /-/live, /-/ready, /-/health, /-/metrics."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Operations(AbstractAsyncContextManager["Operations"]):
    """Serves the page on a socket that was bound before. `ready` says why not yet (empty: ready)."""

    def __init__(self, sock: socket.socket, ready: Callable[[], str], health: Callable[[], dict[str, Any]]) -> None:
        self._sock = sock
        self._ready = ready
        self._health = health
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Operations:
        app = web.Application()
        app.add_routes(
            [
                web.get("/-/live", self._live),
                web.get("/-/ready", self._get_ready),
                web.get("/-/health", self._get_health),
                web.get("/-/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._sock).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, request: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def _get_ready(self, request: web.Request) -> web.Response:
        reason = self._ready()
        return web.Response(text=f"{reason or 'ready'}\n", status=503 if reason else 200)

    async def _get_health(self, request: web.Request) -> web.Response:
        found = self._health()
        return web.json_response(found, status=200 if found["status"] == "ok" else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
