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

from aen.certificates import Certificate
from aen.config.model import Tls
from aen.credentials import Credentials
from aen.errors import Invalid
from aen.proxy.plane import Plane
from aen.proxy.redirector import Redirector
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites
from aen.roles import Context, Role
from aen.roles.gateway import planes, snapshot
from aen.roles.gateway.admission import Doorman, Revoked
from aen.roles.gateway.crew import Crew, setup
from aen.roles.gateway.datacenter import Presence, Relay
from aen.roles.gateway.figures import Figures, read
from aen.roles.gateway.following import Following, Led
from aen.roles.gateway.metrics import registered
from aen.roles.gateway.pages import Handler, Pages
from aen.service import Service

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
        self.crew: Crew | None = None  # where there are several workers, each with a plane of its own
        self._following: Following | None = None

    async def open(self) -> None:
        """Pages, data plane, what the server says; the front door opens last."""
        config = self.context.config
        options, sites = config.gateway, Sites(config.gateway.url, config.gateway.api_url)
        data, run = _private(config.data_dir / "gateway"), _private(config.run_dir / "gateway")
        pages_path, token = run / "pages", secrets.token_urlsafe(24)
        led = self._led(f"unix:{pages_path}", token)
        following = Following(self.context.bus, options.datacenter, led, self.doorman, data / "state.json")
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
        self._following = following
        self._stack.enter_context(registered(self.figures, lambda: len(self.routes)))
        await self.enter(_served(pages.application(self._relay()), pages_path))
        if self.plane is not None:
            await self._join(self.plane)
        await self._join(following)
        await self._open_doors(sites, options.tls)
        await self._be_known()

    def _led(self, pages: str, token: str) -> Led:
        """What leads people to their apps: the data plane in this process, or those of the workers."""
        config, roles = self.context.config, self.context.roles
        if config.gateway.workers == 1:
            self.plane, keep = planes.build(config, roles, self.doorman, self.routes, pages, token)
            if keep is not None:
                self.spawn(keep, "trust")
            return planes.Alone(self.plane, self.doorman)
        crew = Crew(setup(config, roles, pages, token), self._doors(), self.context.bus, self.doorman)
        self.crew, self.routes, self.doorman.on_postponed = crew, crew.routes, crew.postpone
        return crew

    def _doors(self) -> list[socket.socket]:
        """The listeners: one, or one for each worker."""
        names = ["gateway", *(f"gateway.{number}" for number in range(1, self.context.config.gateway.workers))]
        try:
            return [self.context.listeners[name] for name in names]
        except KeyError as error:
            raise Invalid("gateway.listen: nothing is bound for the gateway.") from error

    async def _join(self, part: Service) -> None:
        """Make `part` a part of this role, which fails when it does."""
        await self.enter(part)
        self.spawn(_failing(part), part.name)

    def figures(self) -> Figures:
        """What was counted here."""
        if self.crew is not None:
            return self.crew.figures()
        return read(self.plane) if self.plane is not None else Figures()

    def _relay(self) -> Handler | None:
        """Where compute nodes join; None in an installation that is one process."""
        config = self.context.config
        return Relay(self.context.bus, config.gateway.datacenter).join if config.bus.mode != "local" else None

    async def _be_known(self) -> None:
        """On a machine of its own: say that this data center is there. A compute role in this process does that too."""
        credentials = Credentials.load(self.context.config.data_dir)
        if credentials is not None and not {"server", "compute"} & set(self.context.roles):
            await self.enter(Presence(self.context, credentials.joined.node))

    async def _open_doors(self, sites: Sites, tls: Tls) -> None:
        if self.crew is not None:
            await self._join(self.crew)
        elif self.plane is not None:
            context = None
            if tls.cert is not None and tls.key is not None:
                certificate = Certificate("gateway.tls", tls.cert, tls.key)
                self.spawn(certificate.keep(), "certificate")
                context = certificate.context
            await self.plane.listen(self._doors()[0], context)
        redirecting = self.context.listeners.get("gateway.redirect")
        if redirecting is not None:
            await self.enter(Redirector(redirecting, sites))
        log.info("gateway ready", url=sites.url, routes=len(self.routes))

    async def drain(self) -> None:
        """Take no new connections, finish requests, close WebSockets over the grace period."""
        part = self.crew or self.plane
        if part is not None:
            await part.drain(self.context.config.gateway.drain_seconds)

    def health(self) -> dict[str, Any]:
        """How old the revocation log is, and how much is going on."""
        base = super().health()
        if self._following is None:
            return base
        heard = self._following.heard
        age = None if heard is None else round(time.monotonic() - heard, 1)
        if age is None or age > _OLD_SECONDS:
            base["status"] = "degraded"
        if self.crew is not None:
            base["workers"] = self.crew.health()
            base["status"] = "degraded" if base["workers"]["status"] != "ok" else base["status"]
        found = self.figures()
        return {
            **base,
            "revocations": {"latest": self.doorman.revoked.latest, "seconds_old": age},
            "routes": len(self.routes),
            "connections": found.connections,
            "websockets": found.websockets,
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


async def _failing(service: Service) -> None:
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
