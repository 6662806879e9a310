"""Planes: a data plane as the configuration asks for it; and what Following keeps true where there is just one."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any

from aen import names
from aen.config import Config
from aen.config.model import GatewayLimits
from aen.credentials import Credentials
from aen.errors import Invalid
from aen.model.route import Revocation, Route
from aen.proxy import Limits
from aen.proxy.peers import Network, networks
from aen.proxy.plane import Plane
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites
from aen.roles.gateway import ending
from aen.roles.gateway.accesslog import AccessLog
from aen.roles.gateway.admission import Doorman
from aen.roles.gateway.links import Links
from aen.roles.gateway.pages import Cookies
from aen.roles.trust import Trust


def build(
    config: Config, roles: tuple[str, ...], doorman: Doorman, routes: RouteTable, pages: str, token: str
) -> tuple[Plane, Coroutine[Any, Any, None] | None]:
    """A data plane (nothing listens yet), and what is to be run with it, if anything. Raises Invalid.

    `pages` is the unix socket of this gateway's own pages, `token` what they believe.
    """
    options, sites, links = config.gateway, Sites(config.gateway.url, config.gateway.api_url), _links(config, roles)
    log = AccessLog(config.data_dir / "gateway" / "access.log")
    plane = Plane(
        doorman,
        routes,
        sites,
        cookie=Cookies(sites.secure).grant.encode(),
        pages=(pages, os.geteuid()),
        page_token=token,
        limits=_limits(options.limits, options.workers),
        trusted_proxies=_networks(options.trusted_proxies),
        write_access=log.write if options.access_log != "off" else None,
        access_format=options.access_log,
        nodes=links,
        hsts_seconds=options.hsts_seconds,
    )
    return plane, links.trust.keep(plane.pools.leave_nodes) if links is not None else None


def _links(config: Config, roles: tuple[str, ...]) -> Links | None:
    """The way to compute nodes on other hosts; None in an installation that is one process."""
    credentials = Credentials.load(config.data_dir)
    if credentials is None or set(roles) >= {"server", "compute", "gateway"}:
        return None
    here = names.node(config.compute.name) if "compute" in roles else ""
    return Links(Trust(credentials), here)


class Alone:
    """See following.Led: the one data plane, in this process."""

    def __init__(self, plane: Plane, doorman: Doorman) -> None:
        self._plane, self._doorman = plane, doorman
        self.routes = plane.routes

    def keys_changed(self) -> None:
        """See Led."""
        self._plane.logins_changed()

    def forget(self, route: Route) -> None:
        """See Led."""
        self._plane.forget(route)

    def begin_anew(self) -> None:
        """See Led."""
        self._doorman.begin_anew()
        self._plane.logins_changed()

    def chose(self, user: str, at: int) -> None:
        """See Led."""
        self._doorman.chose(user, at)
        self._plane.logins_changed()

    def revoke(self, entry: Revocation) -> int:
        """See Led."""
        ending.take_in(entry, self._doorman, self.routes)
        return ending.cut_off(entry, self._doorman, self._plane)


def _limits(options: GatewayLimits, workers: int) -> Limits:
    return Limits(
        head_bytes=options.head_bytes,
        headers=options.headers,
        head_seconds=options.head_seconds,
        connect_seconds=options.connect_seconds,
        first_byte_seconds=options.first_byte_seconds,
        idle_seconds=options.idle_seconds,
        body_bytes=options.body_bytes,
        bodies=dict(options.bodies),
        # The kernel spreads connections evenly, so each worker lets a person have their share.
        connections=-(-options.connections // workers),
    )


def _networks(texts: list[str]) -> tuple[Network, ...]:
    try:
        return networks(texts)
    except ValueError as error:
        raise Invalid(f"gateway.trusted_proxies: {error}. Give addresses or networks, as 10.0.0.0/8.") from error
