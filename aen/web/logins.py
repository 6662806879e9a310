"""Logins in a browser: the encrypted cookie that holds a login id and nothing else."""

from __future__ import annotations

import base64
import warnings

import aiohttp_session
from aiohttp import web
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY = "login"


def cookie_name(secure: bool) -> str:
    """The login cookie's name; `__Host-` binds it to this very host where there is TLS."""
    return "__Host-aen-login" if secure else "aen-login"


def install(app: web.Application, *, secret: str, secure: bool, days: float) -> None:
    """Make `login_of`, `remember` and `forget` work in `app`. `secret`: `server.secret_key`, 32 characters or more."""
    # aiohttp-session keeps its state under string keys, which aiohttp 3.14 warns of; it is right all the same.
    warnings.filterwarnings("ignore", "It is recommended to use web.RequestKey", module="aiohttp_session")
    storage = EncryptedCookieStorage(
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


def _fernet(secret: str) -> Fernet:
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"aen login cookie").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
