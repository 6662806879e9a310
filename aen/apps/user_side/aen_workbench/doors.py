"""Doors: who is let in, which requests may change something, how errors and headers look."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aen_languages import LANGUAGE, of_request, said
from aiohttp import web

from .words import Trouble, trouble

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SAFE = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass
class Door:
    """The secret of this launch, whose session it is, and the token that the page sends back with what it changes."""

    secret: str
    user: str
    xsrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def check(self, request: web.Request) -> None:
        """Raises Trouble unless the gateway says that it is the person whose session this is, and they meant it."""
        headers = request.headers
        given, name = headers.get("X-AEN-App-Token", ""), headers.get("X-AEN-User", "")
        if not self.secret or not hmac.compare_digest(given.encode(), self.secret.encode()):
            raise Trouble(401, "not-signed-in", "Requests come through AEN only. Open it from its project’s page.")
        if name != self.user:
            raise Trouble(403, "denied", "This is somebody else's session.")
        if request.method not in _SAFE and headers.get("X-AEN-Auth") != "token":
            self._check_meant(request)

    def _check_meant(self, request: web.Request) -> None:
        """A browser adds the login to requests that other sites make it send: those carry no token of ours."""
        headers = request.headers
        own = f"{headers.get('X-Forwarded-Proto', '')}://{headers.get('X-Forwarded-Host', '')}"
        if headers.get("Origin") != own:
            raise Trouble(403, "origin", "This request did not come from the Workbench's own page.")
        if not hmac.compare_digest(headers.get("X-XSRF-Token", "").encode(), self.xsrf.encode()):
            raise Trouble(403, "xsrf", "This page is from an earlier start of the Workbench. Load it again.")


class OpenDoor(Door):
    """The door of what is open to anyone: the gateway says that it is, and lets nobody do anything but look."""

    def check(self, request: web.Request) -> None:
        """Raises Trouble unless it is the gateway, for somebody who only looks."""
        given = request.headers.get("X-AEN-App-Token", "")
        if not self.secret or not hmac.compare_digest(given.encode(), self.secret.encode()):
            raise Trouble(401, "not-signed-in", "Requests come through AEN only.")
        if request.method not in _SAFE:
            raise Trouble(405, "request", "This can be looked at, and nothing else.")


DOOR = web.AppKey("door", Door)


def speak(request: web.Request) -> None:
    """From now on this task speaks the language of who asks."""
    LANGUAGE.set(of_request(request.headers))


@web.middleware
async def headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as JSON, for people; security headers on what is sent whole (what streams has its own)."""
    speak(request)
    try:
        response = await _answered(request, handler)
    except Trouble as error:
        body = {"error": error.code, "message": said(error.message), **error.more}
        response = web.json_response(body, status=error.status)
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        request.app[DOOR].check(request)
        return await handler(request)
    except ConnectionError:  # they went away
        raise
    except OSError as error:
        raise trouble(error) from error
    except web.HTTPRequestEntityTooLarge:
        raise Trouble(413, "too-large", "The request is too large.") from None
    except web.HTTPException as error:
        raise Trouble(error.status, "request", error.reason) from None
