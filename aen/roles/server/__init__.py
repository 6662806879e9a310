"""The server: accounts, projects, sessions, pages and API; it owns the store."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from aen.certificates import Certificate
from aen.config import Config
from aen.roles import Context, Role
from aen.roles.server import admin_socket, metrics
from aen.roles.server.account.secret import secret_of
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.middleware import behind_proxies, who_asks
from aen.roles.server.pages.frame import frame
from aen.roles.server.several import one_server, same_keys
from aen.roles.server.subpath import under_path
from aen.roles.server.urls import add_routes
from aen.store.moving import refuse_unfinished
from aen.store.open import open_store
from aen.tickets import Signer
from aen.web.logins import install as keep_logins
from aen.web.site import SITE, site

log = structlog.get_logger(__name__)

T = TypeVar("T")
_DRAIN_SECONDS = 5.0


class Server(Role):
    """The role. One event loop; everything it decides is in `domain`."""

    name = "server"
    domain: Domain

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._runner: web.AppRunner | None = None
        self._lag = metrics.Lag()

    async def open(self) -> None:
        """Open store, domain, and the site on its listeners; say where a fresh installation is set up."""
        config = self.context.config
        secret, signer = _keys(config)
        store = await self.enter(open_store(config.store.url))
        await refuse_unfinished(store)
        await same_keys(store, secret, signer.kid)
        if config.bus.mode == "managed":
            await one_server(store, f"{socket.gethostname()}:{config.data_dir}")
        self.domain = Domain(config, store, self.context.bus, signer, self.context.roles)
        self.domain.members.broker = self.context.broker
        self.domain.accounts.use_backends(self.context.launcher)
        admin = await self.enter(_sync(admin_socket.bound(admin_socket.path_of(config))))
        await self.domain.open(self)
        await self.enter(_sync(metrics.registered(self.domain, self._lag)))
        self.spawn(self._lag.watch(), "lag")
        app = make_site(self.domain, secret)
        self._runner = await self.enter(_running(app))
        await self._listen(self._runner, config, admin)
        self._say_where(config)

    async def drain(self) -> None:
        """Accept no more and end the streams; requests under way are finished when the role stops."""
        self.domain.events.drain()
        if self._runner is not None:
            for listening in list(self._runner.sites):
                await listening.stop()

    def health(self) -> dict[str, Any]:
        """State, the store's health, and whether a first administrator is waited for."""
        health = super().health()
        if hasattr(self, "domain"):
            health["store"] = self.domain.store.health()
            health["routes"] = len(self.domain.sessions.routes)
            health["lag"] = round(self._lag.last, 3)
            health["needs_setup"] = self.domain.accounts.needs_setup()
        return health

    async def _listen(self, runner: web.AppRunner, config: Config, admin: socket.socket) -> None:
        await web.SockSite(runner, admin).start()
        listener = self.context.listeners.get("server")
        if listener is not None:  # else only for a command of the machine's administrator
            await web.SockSite(runner, listener, ssl_context=self._tls(config)).start()
        redirect = self.context.listeners.get("server.redirect")
        if redirect is not None:
            leading = await self.enter(_running(_redirecting(config.server.url)))
            await web.SockSite(leading, redirect).start()

    def _tls(self, config: Config) -> ssl.SSLContext | None:
        tls = config.server.tls
        if tls.cert is None or tls.key is None:
            return None
        certificate = Certificate("server.tls", tls.cert, tls.key)
        self.spawn(certificate.keep(), "certificate")
        return certificate.context

    def _say_where(self, config: Config) -> None:
        log.info("server is up", url=config.server.url)
        code = self.domain.accounts.setup_code
        if code and "server" in self.context.listeners:
            where = f"{config.server.url}/setup"
            text = f"\n  AEN is not set up yet. Open {where} and enter this code:\n\n      {code}\n\n"
            text += f"  or open both at once: {where}?code={code}\n\n"
            sys.stdout.write(text)
            sys.stdout.flush()


def make_site(domain: Domain, secret: str) -> web.Application:
    """The application with every URL of the table."""
    config = domain.config
    secure = config.server.url.startswith("https:")
    app = site(secure=secure)
    app.middlewares.insert(0, behind_proxies(config))
    below = urlsplit(config.server.url).path.rstrip("/")
    if below:
        app.middlewares.insert(0, under_path(below))
    app[DOMAIN] = domain
    app[admin_socket.ADMIN_SOCKET] = str(admin_socket.path_of(config))
    app[admin_socket.ADMIN_UIDS] = admin_socket.allowed_uids(config)
    keep_logins(app, secret=secret, secure=secure, days=config.server.login.days)
    app.middlewares.append(who_asks)
    here = app[SITE]
    here.sign_in = "/login"
    here.frame = frame
    here.form_origins = lambda: _form_origins(domain)
    app.on_shutdown.append(_end_streams)
    add_routes(app)
    return app


async def _end_streams(app: web.Application) -> None:
    """Streams never end by themselves: they must not hold up the end."""
    app[DOMAIN].events.drain()


def _form_origins(domain: Domain) -> Iterable[str]:
    """Where forms may lead besides here: browsers check the redirect to an app, and that of signing out."""
    providers = [backend.origin for backend in domain.accounts.visits()]  # signing out leads on to there
    return [*providers, *(center.gateway_url.replace("{project}", "*") for center in domain.nodes.datacenters())]


def _keys(config: Config) -> tuple[str, Signer]:
    Path(config.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    return secret_of(config), Signer.load_or_make(Path(config.data_dir) / "signing-key.pem")


def _redirecting(url: str) -> web.Application:
    """An application that leads everybody to the server's address."""
    below = urlsplit(url).path.rstrip("/")

    async def lead(request: web.Request) -> web.StreamResponse:
        path = request.raw_path if request.raw_path.startswith("/") else "/"
        return web.Response(
            status=308, headers={"Location": url + (path[len(below) :] if path.startswith(below + "/") else path)}
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", lead)
    return app


@contextlib.asynccontextmanager
async def _running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_SECONDS, keepalive_timeout=75)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _sync(resource: contextlib.AbstractContextManager[T]) -> AsyncIterator[T]:
    with resource as entered:
        yield entered
