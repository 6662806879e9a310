"""Logins in a browser: the encrypted cookie that holds a login id and nothing else."""

from __future__ import annotations

import base64
import time
import warnings
from typing import Any

import aiohttp_session
from aiohttp import web
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY = "login"
_ASIDE = "aside"
_KEPT_SECONDS, _MOST_KEPT = 60.0, 5_000  # opened cookies


class LoginCookie(EncryptedCookieStorage):
    """The cookie's storage. Where the browser sends our name twice, only one that is ours counts.

    Somebody who runs code on this host can plant a twin at a deeper path: junk does no harm, and a second
    login that is good (theirs) makes nobody of both, since we can't tell which one the person meant.
    """

    def __init__(self, secret_key: Fernet, **options: Any) -> None:
        super().__init__(secret_key, **options)
        self._kept: dict[str, tuple[str, float]] = {}  # what a value holds, and until when (monotonic) that is believed

    async def load_session(self, request: web.Request) -> aiohttp_session.Session:
        """What the cookie says; nothing when none opens, or several."""
        said = {value: text for value in _values(request, self.cookie_name) if (text := self._opened(value))}
        if len(said) != 1:
            return aiohttp_session.Session(None, data=None, new=True, max_age=self.max_age)
        data = self._decoder(next(iter(said.values())))
        return aiohttp_session.Session(None, data=data, new=False, max_age=self.max_age)

    def _opened(self, value: str) -> str:
        """What a value holds; empty when it does not open. It is kept for a minute: a page asks for it in a hundred requests."""
        moment = time.monotonic()
        text, until = self._kept.get(value, ("", 0.0))
        if moment < until:
            return text
        try:
            text = self._fernet.decrypt(value.encode(), ttl=self.max_age).decode()
        except (InvalidToken, UnicodeError):
            return ""
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[value] = text, moment + _KEPT_SECONDS
        return text


def _values(request: web.Request, name: str) -> list[str]:
    pairs = (pair.partition("=") for header in request.headers.getall("Cookie", []) for pair in header.split(";"))
    return [value.strip().strip('"') for key, _, value in pairs if key.strip() == name][:10]


def cookie_name(secure: bool) -> str:
    """The login cookie's name; `__Host-` binds it to this very host where there is TLS."""
    return "__Host-aen-login" if secure else "aen-login"


def install(app: web.Application, *, secret: str, secure: bool, days: float) -> None:
    """Make `login_of`, `remember` and `forget` work in `app`. `secret`: `server.secret_key`, 32 characters or more."""
    # aiohttp-session keeps its state under string keys, which aiohttp 3.14 warns of; it is right all the same.
    warnings.filterwarnings("ignore", "It is recommended to use web.RequestKey", module="aiohttp_session")
    storage = LoginCookie(
        _fernet(secret),
        cookie_name=cookie_name(secure),
        max_age=int(days * 86400),
        path="/",
        httponly=True,
        secure=secure,
        samesite="Lax",
    )
    aiohttp_session.setup(app, storage)


async def login_of(request: web.Request) -> str:
    """The id of the login that the cookie names; empty when there is none (or it is not ours)."""
    session = await aiohttp_session.get_session(request)
    return str(session.get(_KEY, ""))


async def remember(request: web.Request, login_id: str) -> None:
    """Set the cookie to a new login; whatever was in it is gone."""
    session = await aiohttp_session.new_session(request)
    session[_KEY] = login_id


async def forget(request: web.Request) -> None:
    """Take the cookie away."""
    session = await aiohttp_session.get_session(request)
    session.invalidate()


async def set_aside(request: web.Request, what: dict[str, str]) -> None:
    """Keep something for this browser alone, in the encrypted cookie, until it is `taken` or somebody signs in."""
    session = await aiohttp_session.get_session(request)
    session[_ASIDE] = what


async def taken(request: web.Request) -> dict[str, str]:
    """What was set aside, and no more of it; empty when there is nothing."""
    session = await aiohttp_session.get_session(request)
    found = session.pop(_ASIDE, None)
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _fernet(secret: str) -> Fernet:
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"aen login cookie").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
