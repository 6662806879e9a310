"""Cookies: how a browser is remembered: an encrypted cookie that holds only a login id, and the CSRF token of that login."""

from __future__ import annotations

from aiohttp import web

from aen.model.user import Login


async def remember(request: web.Request, login: Login) -> None:
    """Sign this browser in as `login`: a fresh cookie, whatever it held before (no fixation). Call before answering."""
    raise NotImplementedError


async def forget(request: web.Request) -> None:
    """Clear this browser's cookie. Call `accounts.sign_out` too."""
    raise NotImplementedError


def csrf_of(request: web.Request) -> str:
    """The CSRF token that this page's forms send as field `csrf` and scripts as `X-CSRF-Token`; empty when not signed in.

    Forms without a login (sign in, sign up, set-up) need none: their Origin is checked.
    """
    raise NotImplementedError


def address_of(request: web.Request) -> str:
    """The client's address: of the peer, or what a trusted proxy says in X-Forwarded-For."""
    raise NotImplementedError
