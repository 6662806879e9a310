"""Middleware: before every handler: where the request comes from, who asks, and whether a browser was tricked into asking."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from yarl import URL

from aen.config import Config
from aen.errors import Invalid, NotSignedIn
from aen.languages import LANGUAGE, choose
from aen.roles.server.admin_socket import is_local_administrator
from aen.roles.server.domain import DOMAIN
from aen.roles.server.permissions import ACTOR, Actor
from aen.web import csrf, logins
from aen.web.site import wants_json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ONCE = "_other_host"  # in an address that we have led here already: no second time, it would never end
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def origin_of(config: Config) -> str:
    """The server's own origin, as browsers write it."""
    return _origin(config.server.url)


@lru_cache(maxsize=16)
def _origin(url: str) -> str:
    return str(URL(url).origin())


def behind_proxies(config: Config) -> Any:
    """A middleware: X-Forwarded-For, -Proto, -Host count from configured proxies (any peer on a unix socket), from nobody else."""
    trusted = [ipaddress.ip_network(text, strict=False) for text in config.server.trusted_proxies]
    by_socket = config.server.listen.startswith("unix:")

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote or ""
        believed = _within(peer, trusted) if peer else by_socket
        if believed:
            changes = _forwarded(request, trusted)
            if changes:
                request = request.clone(**changes)
        return await handler(request)

    return middleware


def _forwarded(request: web.Request, trusted: list[Network]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    hops = [hop.strip() for value in request.headers.getall("X-Forwarded-For", []) for hop in value.split(",")]
    for hop in reversed(hops):
        if not _is_address(hop):
            break
        changes["remote"] = hop
        if not _within(hop, trusted):
            break
    scheme = request.headers.get("X-Forwarded-Proto", "")
    if scheme in ("http", "https"):
        changes["scheme"] = scheme
    host = request.headers.get("X-Forwarded-Host", "")
    if host and "," not in host:
        changes["host"] = host
    return changes


@web.middleware
async def who_asks(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Set `request[ACTOR]`: by the admin socket, an API token, or the login cookie, in this order.

    An API token that is not valid is NotSignedIn at once: a script must not go on as nobody.
    Requests by cookie, or by nobody, are a browser's: they must come from our own pages if they change anything.
    """
    domain = request.config_dict[DOMAIN]
    request[ACTOR] = Actor()
    if is_local_administrator(request):
        request[ACTOR] = Actor(local=True)
        return await handler(request)
    token = _bearer(request)
    if token:
        request[ACTOR] = await _by_token(request, token)
        _speak(request)
        return await handler(request)
    login_id = await logins.login_of(request)
    actor = await domain.accounts.actor_of_login(login_id) if login_id else None
    request[ACTOR] = actor or Actor()
    _speak(request)
    elsewhere = _other_host(request, domain.config)
    if elsewhere is not None:
        return elsewhere
    if actor is None and request.path.startswith("/api/"):
        return await handler(request)  # nobody changes anything by the API: NotSignedIn is the better answer
    expected = actor.login.csrf if actor is not None and actor.login is not None else ""
    await csrf.guard(request, origin=origin_of(domain.config), expected=expected)
    return await handler(request)


def _speak(request: web.Request) -> None:
    """From here on, answer in the language of who asks."""
    user = request[ACTOR].user
    LANGUAGE.set(choose(user.language if user is not None else "", request.headers.get("Accept-Language", "")))


async def _by_token(request: web.Request, token: str) -> Actor:
    actor = await request.config_dict[DOMAIN].accounts.actor_of_token(token, request.remote or "")
    if actor is None:
        raise NotSignedIn("This API token is not valid: it was withdrawn, has expired, or never was. Make a new one.")
    return actor


def _bearer(request: web.Request) -> str:
    given = request.headers.getall("Authorization", [])
    if len(given) > 1:
        raise Invalid("There is more than one Authorization header.")
    scheme, _, token = (given[0] if given else "").partition(" ")
    if scheme.lower() != "bearer":
        return ""
    return token.strip() or "-"


def _other_host(request: web.Request, config: Config) -> web.StreamResponse | None:
    """Lead a person who came by another name (an address, a short name) to the one where logins work."""
    if request.method not in _SAFE or wants_json(request) or request.path.startswith("/static/"):
        return None
    ours = origin_of(config).partition("://")[2]
    if request.host == ours or _host(request, config) == ours or _ONCE in request.query:
        return None
    below = URL(config.server.url).raw_path.rstrip("/")
    there = URL(config.server.url).with_path(below + request.rel_url.raw_path, encoded=True)
    there = there.with_query(request.query).update_query({_ONCE: "1"})
    return web.Response(status=303, headers={"Location": str(there), "Cache-Control": "no-store"})


def _host(request: web.Request, config: Config) -> str:
    """The name that the browser used, without the port that its scheme means anyway."""
    scheme = urlsplit(config.server.url).scheme
    try:
        return str(URL(f"{scheme}://{request.host}").origin()).partition("://")[2]
    except ValueError:
        return request.host


def _within(address: str, networks: list[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
