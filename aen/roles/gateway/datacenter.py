"""Data center: what a gateway on a machine of its own does for it: makes it known, and passes on hosts that join."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from pydantic import ValidationError

from aen import __version__, names, reaching
from aen.errors import AenError, Invalid
from aen.messages import JoinNode, NodeJoined, NodeReported
from aen.model import now
from aen.model.node import Load
from aen.roles import Context
from aen.service import Service

if TYPE_CHECKING:
    from aen.bus import Bus

log = structlog.get_logger(__name__)

BEAT_SECONDS = 2.0
_MOST_BYTES = 32 * 1024
_SECONDS = 20.0  # for the server's answer


class Presence(Service):
    """The heartbeat of a gateway whose process has no compute role: with its address the data center becomes known."""

    name = "presence"

    def __init__(self, context: Context, node: str) -> None:
        super().__init__()
        self._context, self._node, self._started = context, node, now()

    async def open(self) -> None:
        """See Service."""
        self.spawn(self._beat_for_life(), "heartbeat")

    async def _beat_for_life(self) -> None:
        while True:
            try:
                await self._context.bus.publish(self._report())
            except AenError as error:
                log.warning("heartbeat not sent", reason=error.message)
            await asyncio.sleep(BEAT_SECONDS)

    def _report(self) -> NodeReported:
        gateway = self._context.config.gateway
        return NodeReported(
            node=self._node,
            datacenter=gateway.datacenter,
            roles=list(self._context.roles),
            version=__version__,
            load=Load(cpus=os.cpu_count() or 1, load1=round(os.getloadavg()[0], 2)),
            isolated=True,
            ready=True,
            sessions=[],
            started=self._started,
            gateway_url=gateway.url,
        )


class Relay:
    """Where a compute node joins: it can reach its gateway only, which asks the server and looks whether it reaches the host."""

    def __init__(self, bus: Bus, datacenter: str) -> None:
        self._bus, self._datacenter = bus, datacenter

    async def join(self, request: web.Request) -> web.StreamResponse:
        """POST: the host's wish, as JSON."""
        wish = await self._wish(request)
        answer: NodeJoined = await self._bus.request(names.address("server"), wish, _SECONDS)
        unreached = await reaching.look(wish.addresses, wish.nkey)
        told = answer.model_copy(update={"unreached": unreached})
        return web.Response(
            text=told.model_dump_json(), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    async def _wish(self, request: web.Request) -> JoinNode:
        if request.content_type != "application/json":
            raise Invalid("Send the body as JSON: use `aen node join`.")
        raw = await request.content.read(_MOST_BYTES + 1)
        try:
            data: dict[str, object] = json.loads(raw) if len(raw) <= _MOST_BYTES else {}
            given = {key: value for key, value in data.items() if key not in ("id", "datacenter", "address")}
            address = (request.remote or "")[:64]
            return JoinNode.model_validate({**given, "datacenter": self._datacenter, "address": address})
        except (ValueError, AttributeError, ValidationError) as error:
            raise Invalid("That is not what a host that joins sends: use `aen node join`.") from error
