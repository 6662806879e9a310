"""Tickets and grants: what opens a gateway's door. Signed by the server (JWT, Ed25519), checked with the public key alone.

A ticket takes a browser from the server to a gateway: once, within 30 s. A grant is the gateway's cookie.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from aen.errors import Invalid, NotSignedIn
from aen.languages import LANGUAGES
from aen.model.route import Grant

ALGORITHM = "EdDSA"
TICKET_SECONDS = 30
GRANT_HOURS = 12
_TICKET, _GRANT = "aen-ticket+jwt", "aen-grant+jwt"  # one kind is never taken for the other
_LONGEST = 4096  # characters: what a cookie can hold; more is not ours


@dataclass(frozen=True)
class TicketClaims:
    """What a ticket says. `id` is remembered by whoever redeems it, so that it works once."""

    user: str
    login: str
    nonce_hash: str  # sha256 hex of the nonce in the browser's cookie at the gateway
    id: str
    expires: int  # ms since 1970: when `id` may be forgotten


class Signer:
    """The server's side: holds the private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = _pem(key.public_key())
        self.kid = hashlib.sha256(self._public.encode()).hexdigest()[:16]

    @classmethod
    def load_or_make(cls, path: Path) -> Signer:
        """The signer whose key is in the file `path`; made there (mode 0600) when there is none.

        Raises Invalid when the file is no Ed25519 key or others may read it; OSError when it can't be read or made.
        """
        try:
            opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return cls(_make(path))
        with open(opened, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise Invalid(
                    f"The signing key {path} can be read by others: chmod 600 it, or delete it to make a new one."
                )
            return cls(_read(file.read(), path))

    def public_keys(self) -> dict[str, str]:
        """The public keys (PEM by key id) that `Verifier` takes."""
        return {self.kid: self._public}

    def ticket(self, user: str, login: str, audience: str, nonce_hash: str) -> str:
        """A ticket for the gateway whose exact origin is `audience`; `nonce_hash` is the sha256 hex of its nonce."""
        now = int(time.time())
        claims = {"sub": user, "login": login, "aud": audience, "nonce": nonce_hash}
        return self._sign(
            _TICKET, {**claims, "jti": secrets.token_urlsafe(16), "iat": now, "exp": now + TICKET_SECONDS}
        )

    def grant(self, grant: Grant) -> str:
        """`grant` as it stands in the cookie."""
        claims = {"sub": grant.user, "login": grant.login, "aud": grant.audience}
        times = {"iat": grant.issued // 1000, "exp": grant.expires // 1000, "iat_ms": grant.issued}
        speaks = {"lang": grant.language} if grant.language else {}
        return self._sign(_GRANT, {**claims, **times, **speaks})

    def _sign(self, kind: str, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self.kid, "typ": kind})


class Verifier:
    """Checks with public keys (PEM by key id); `keys` may hold old ones while they are rotated out."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = {kid: _public(pem) for kid, pem in keys.items()}

    def grant(self, text: str, audience: str) -> Grant:
        """What the grant `text` says. Raises NotSignedIn when it is not good for `audience` now."""
        claims = self._claims(_GRANT, text, audience, ["sub", "login", "exp", "iat_ms"])
        issued, expires = claims["iat_ms"], claims["exp"] * 1000
        language = str(claims.get("lang", ""))
        return Grant(
            user=claims["sub"],
            login=claims["login"],
            audience=audience,
            issued=issued,
            expires=expires,
            language=language if language in LANGUAGES else "",
        )

    def ticket(self, text: str, audience: str) -> TicketClaims:
        """What the ticket `text` says. Raises NotSignedIn when it is not good for `audience` now.

        That it is redeemed once is the caller's to see to (`TicketClaims.id`).
        """
        claims = self._claims(_TICKET, text, audience, ["sub", "login", "exp", "nonce", "jti"])
        return TicketClaims(claims["sub"], claims["login"], claims["nonce"], claims["jti"], claims["exp"] * 1000)

    def _claims(self, kind: str, text: str, audience: str, require: list[str]) -> dict[str, Any]:
        if len(text) > _LONGEST:
            raise NotSignedIn("This sign-in is not one of ours. Please sign in again.")
        try:
            header = jwt.get_unverified_header(text)
            key = self._keys.get(str(header.get("kid", "")))
            if key is None or header.get("typ") != kind:
                raise jwt.InvalidTokenError("wrong kind or key")
            options: Any = {"require": [*require, "aud"], "verify_iat": False, "strict_aud": True}
            claims: dict[str, Any] = jwt.decode(text, key, algorithms=[ALGORITHM], audience=audience, options=options)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise NotSignedIn("This sign-in is not (or no longer) good here. Please sign in again.") from error
        if not _typed(claims, require):
            raise NotSignedIn("This sign-in is not one of ours. Please sign in again.")
        return claims


def hash_nonce(nonce: str) -> str:
    """What of a nonce goes over the wire and into the ticket: its sha256, hex."""
    return hashlib.sha256(nonce.encode()).hexdigest()


def _typed(claims: dict[str, Any], names: list[str]) -> bool:
    numbers = ("exp", "iat_ms")
    return all(type(claims[name]) is (int if name in numbers else str) for name in names)


def _make(path: Path) -> Ed25519PrivateKey:
    """A new key in `path`; whole or not there: it is linked into place only once it is on disk."""
    key = Ed25519PrivateKey.generate()
    kind, form, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(opened, "wb") as file:
            file.write(key.private_bytes(kind, form, plain))
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    except FileExistsError:  # another process was faster: its key counts
        return _read(path.read_bytes(), path)
    finally:
        beside.unlink()
    return key


def _read(data: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(
            f"{path} is not a private key: delete it to make a new one (everybody signs in again)."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid(f"{path} is not an Ed25519 key: delete it to make a new one (everybody signs in again).")
    return key


def _public(pem: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid("A verification key is not a public key in PEM form.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Invalid("A verification key is not an Ed25519 key.")
    return key


def _pem(key: Ed25519PublicKey) -> str:
    kind, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(kind, form).decode()
