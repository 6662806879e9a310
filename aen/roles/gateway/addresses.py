"""Addresses: where the gateway's own pages lead to."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from aen.web.redirects import safe_next


def see(location: str) -> web.Response:
    """Lead the browser on."""
    return web.Response(status=303, headers={"Location": location, "Cache-Control": "no-store"})


def netloc(origin: str, host: str) -> str:
    """`host` as it would stand in an origin: without the port that its scheme means anyway."""
    usual = {"http": ":80", "https": ":443"}[urlsplit(origin).scheme]
    return host.lower().removesuffix(usual)


def next_of(request: web.Request) -> str:
    """Where to go on to: below this origin, and none of our own addresses that do something."""
    wanted = safe_next(request.query.get("next"))
    own = urlsplit(wanted).path.startswith("/.aen")
    return "/" if own else wanted
