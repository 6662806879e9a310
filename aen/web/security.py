"""Security headers: what a browser may do with our pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

_POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
    "img-src 'self' data:; connect-src 'self'; script-src 'self'; style-src 'self'"
)


@dataclass(frozen=True)
class SecurityHeaders:
    """The headers of every answer. No inline script or style runs anywhere; nobody may put us in a frame."""

    secure: bool

    def put(self, response: web.StreamResponse, form_origins: Iterable[str] = ()) -> None:
        """Set the headers. Forms may end at `form_origins` too: browsers check where their redirects lead."""
        headers = response.headers
        forms = " ".join(["'self'", *form_origins])
        headers.setdefault("Content-Security-Policy", f"{_POLICY}; form-action {forms}")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        if self.secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
