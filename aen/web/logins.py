"""Logins in a browser: the encrypted cookie that holds a login id and nothing else."""

from __future__ import annotations

import base64
import warnings

import aiohttp_session
from aiohttp import web
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY = "login"
_ASIDE = "aside"


class LoginCookie(EncryptedCookieStorage):
    """The cookie's storage. Where the browser sends our name twice, only one that is ours counts.

    Somebody who runs code on this host can plant a twin at a deeper path: junk does no harm, and a second
    login that is good (theirs) makes nobody of both, since we can't tell which one the person meant.
    """

    def load_cookie(self, request: web.Request) -> str | None:
        """The value that opens; None when none does, or several."""
        good = {value for value in _values(request, self.cookie_name) if self._opens(value)}
        return good.pop() if len(good) == 1 else None

    def _opens(self, value: str) -> bool:
        try:
            self._fernet.decrypt(value.encode(), ttl=self.max_age)
        except (InvalidToken, UnicodeEncodeError):
            return False
        return True


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
