"""Gateway: leads people to their apps. Owns nothing that it cannot ask for again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from aen import names
from aen.certificates import Certificate
from aen.config.model import GatewayLimits, Tls
from aen.credentials import Credentials
from aen.errors import Invalid
from aen.proxy import Limits
from aen.proxy.peers import Network, networks
from aen.proxy.plane import Plane
from aen.proxy.redirector import Redirector
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites
from aen.roles import Context, Role
from aen.roles.gateway import snapshot
from aen.roles.gateway.accesslog import AccessLog
from aen.roles.gateway.admission import Doorman, Revoked
from aen.roles.gateway.datacenter import Presence, Relay
from aen.roles.gateway.following import Following
from aen.roles.gateway.links import Links
from aen.roles.gateway.metrics import registered
from aen.roles.gateway.pages import Cookies, Handler, Pages
from aen.roles.trust import Trust

log = structlog.get_logger(__name__)

_OLD_SECONDS = 10.0  # a revocation log not heard of for so long is worth saying


class Gateway(Role):
    """The data plane, who may come in, where they go, and the pages for when they can't."""

    name = "gateway"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.routes = RouteTable()
        self.doorman = Doorman(context.bus, Revoked())
        self.plane: Plane | None = None
        self._following: Following | None = None

    async def open(self) -> None:
        """Pages, data plane, what the server says; the front door opens last."""
        config = self.context.config
        options, sites = config.gateway, Sites(config.gateway.url, config.gateway.api_url)
        data, run = _private(config.data_dir / "gateway"), _private(config.run_dir / "gateway")
        pages_path, token = run / "pages", secrets.token_urlsafe(24)
        links = self._links()
        plane = self._data_plane(sites, f"unix:{pages_path}", token, data, links)
        following = Following(self.context.bus, options.datacenter, plane, self.doorman, data / "state.json")
        following.start_from(snapshot.load(data / "state.json"))
        pages = Pages(
            self.context.bus,
            self.doorman,
            self.routes,
            server_url=config.server.url,
            secure=sites.secure,
            token=token,
            repair=following.read_routes,
            refresh_keys=following.read_keys,
        )
        self.plane, self._following = plane, following
        self._stack.enter_context(registered(plane))
        await self.enter(_served(pages.application(self._relay()), pages_path))
        await self.enter(plane)
        self.spawn(_failing(plane), "data plane")
        if links is not None:
            self.spawn(links.trust.keep(plane.pools.leave_nodes), "trust")
        await self.enter(following)
        self.spawn(_failing(following), "following")
        await self._listen(plane, sites, options.tls)
        await self._be_known()

    def _data_plane(self, sites: Sites, pages: str, token: str, data: Path, links: Links | None) -> Plane:
        options = self.context.config.gateway
        return Plane(
            self.doorman,
            self.routes,
            sites,
            cookie=Cookies(sites.secure).grant.encode(),
            pages=(pages, os.geteuid()),
            page_token=token,
            limits=_limits(options.limits),
            trusted_proxies=_networks(options.trusted_proxies),
            write_access=AccessLog(data / "access.log").write if options.access_log != "off" else None,
            access_format=options.access_log,
            nodes=links,
        )

    def _relay(self) -> Handler | None:
        """Where compute nodes join; None in an installation that is one process."""
        config = self.context.config
        return Relay(self.context.bus, config.gateway.datacenter).join if config.bus.mode != "local" else None

    async def _be_known(self) -> None:
        """On a machine of its own: say that this data center is there. A compute role in this process does that too."""
        credentials = Credentials.load(self.context.config.data_dir)
        if credentials is not None and not {"server", "compute"} & set(self.context.roles):
            await self.enter(Presence(self.context, credentials.joined.node))

    def _links(self) -> Links | None:
        """The way to compute nodes on other hosts; None in an installation that is one process."""
        credentials = Credentials.load(self.context.config.data_dir)
        if credentials is None or set(self.context.roles) >= {"server", "compute", "gateway"}:
            return None
        here = names.node(self.context.config.compute.name) if "compute" in self.context.roles else ""
        return Links(Trust(credentials), here)

    async def _listen(self, plane: Plane, sites: Sites, tls: Tls) -> None:
        bound = self.context.listeners.get("gateway")
        if bound is None:
            raise Invalid("gateway.listen: nothing is bound for the gateway.")
        context = None
        if tls.cert is not None and tls.key is not None:
            certificate = Certificate("gateway.tls", tls.cert, tls.key)
            self.spawn(certificate.keep(), "certificate")
            context = certificate.context
        await plane.listen(bound, context)
        redirecting = self.context.listeners.get("gateway.redirect")
        if redirecting is not None:
            await self.enter(Redirector(redirecting, sites))
        log.info("gateway ready", url=sites.url, routes=len(self.routes))

    async def drain(self) -> None:
        """Take no new connections, finish requests, close WebSockets over the grace period."""
        if self.plane is not None:
            await self.plane.drain(self.context.config.gateway.drain_seconds)

    def health(self) -> dict[str, Any]:
        """How old the revocation log is, and how much is going on."""
        base = super().health()
        if self.plane is None or self._following is None:
            return base
        heard = self._following.heard
        age = None if heard is None else round(time.monotonic() - heard, 1)
        if age is None or age > _OLD_SECONDS:
            base["status"] = "degraded"
        return {
            **base,
            "revocations": {"latest": self.doorman.revoked.latest, "seconds_old": age},
            "routes": len(self.routes),
            "connections": len(self.plane.connections),
            "websockets": self.plane.open_sockets(),
        }


@asynccontextmanager
async def _served(app: web.Application, path: Path) -> AsyncIterator[None]:
    """Our pages on their socket."""
    bound = _bound(path)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=3600, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, bound).start()
        yield
    finally:
        await runner.cleanup()
        _unlink(path)


def _bound(path: Path) -> socket.socket:
    """A unix socket at `path` that nobody else reaches (its directory is ours alone). Raises Invalid."""
    if len(os.fsencode(path)) > 107:
        raise Invalid(f"run_dir: {path} is too long for a socket's path (107 bytes). Choose a shorter run_dir.")
    _unlink(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(str(path))
    return bound


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _failing(service: Plane | Following) -> None:
    """Fail as `service` fails: what it is made of is ours too."""
    raise await asyncio.shield(service.failed)


def _private(path: Path) -> Path:
    """A directory for our own eyes. Raises Invalid when it can't be had."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):
            path.chmod(0o700)
    except OSError as error:
        raise Invalid(f"{path} can't be used ({error.strerror}): see data_dir and run_dir.") from error
    return path


def _limits(options: GatewayLimits) -> Limits:
    return Limits(
        head_bytes=options.head_bytes,
        headers=options.headers,
        head_seconds=options.head_seconds,
        connect_seconds=options.connect_seconds,
        first_byte_seconds=options.first_byte_seconds,
        idle_seconds=options.idle_seconds,
        body_bytes=options.body_bytes,
        connections=options.connections,
    )


def _networks(texts: list[str]) -> tuple[Network, ...]:
    try:
        return networks(texts)
    except ValueError as error:
        raise Invalid(f"gateway.trusted_proxies: {error}. Give addresses or networks, as 10.0.0.0/8.") from error
