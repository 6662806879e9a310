"""Security headers: what a browser may do with our pages."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

_POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
    "img-src 'self' data:; connect-src 'self'; script-src 'self'; style-src 'self'"
)

_PORT = re.compile(r":[0-9]*$")


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether a host (a name or address, perhaps with a port) is this very machine: browsers trust it as they trust HTTPS."""
    bare = host.count(":") > 1 and not host.startswith("[")  # an IPv6 address as it is
    name = host if bare else _PORT.sub("", host).strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


@dataclass(frozen=True)
class SecurityHeaders:
    """The headers of every answer. No inline script or style runs anywhere; nobody may put us in a frame."""

    secure: bool

    def put(self, response: web.StreamResponse, host: str, form_origins: Iterable[str] = ()) -> None:
        """Set the headers. `host`: as the browser calls us. Forms may end at `form_origins` too: browsers check where their
        redirects lead."""
        headers = response.headers
        forms = " ".join(["'self'", *form_origins])
        headers.setdefault("Content-Security-Policy", f"{_POLICY}; form-action {forms}")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        if self.secure or is_loopback(host):
            # Elsewhere browsers leave it out of account, and say so as an error in the console of every page.
            headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        if self.secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
