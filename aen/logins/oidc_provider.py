"""OpenID Connect, the provider: what it says of itself, its keys, and what is asked of it. Nothing it says is believed unchecked."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit

import aiohttp
import jwt
import structlog

from aen.config.logins import Oidc
from aen.errors import Denied, Unavailable

log = structlog.get_logger(__name__)

_KEPT = 3600.0  # seconds that the description and the keys are good
_AGAIN = 30.0  # seconds between two looks for a key that is not there: a stranger's token must not make us ask for ever
_LARGEST = 1 << 20
_LEEWAY = 60  # seconds that clocks may differ
#: Signatures by a key pair only. `none` and HS256 (our secret, or a public key taken for one) are not among them.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_BAD_PROOF = (
    "What your sign-in provider answered could not be verified ({why}). Try again; if it stays, ask your administrator."
)


class Provider:
    """One provider, by its issuer."""

    def __init__(self, options: Oidc) -> None:
        self._options = options
        self._tls = ssl.create_default_context(cafile=str(options.ca) if options.ca else None)
        self._described: tuple[float, dict[str, Any]] = (0.0, {})
        self._keys: tuple[float, jwt.PyJWKSet | None] = (0.0, None)
        self._lock = asyncio.Lock()

    async def described(self) -> dict[str, Any]:
        """Its description. Unavailable when there is none, or it is somebody else's."""
        async with self._lock:
            until, known = self._described
            if until > time.monotonic():
                return known
            issuer = self._options.issuer
            found = await self._json("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != issuer:
                raise _unusable("its description names another issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not safe_url(str(found.get(name, ""))):
                    raise _unusable(f"its {name} is no https address")
            self._described = (time.monotonic() + _KEPT, found)
            return found

    async def redeem(self, code: str, verifier: str, back: str) -> dict[str, Any]:
        """The tokens that a code stands for. Denied when the provider does not take it."""
        described = await self.described()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        secret, headers = self._options.client_secret.get_secret_value(), {}
        methods = described.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if not secret:
            form["client_id"] = self._options.client_id
        elif "client_secret_basic" in methods:
            pair = f"{quote_plus(self._options.client_id)}:{quote_plus(secret)}"  # RFC 6749, 2.3.1
            headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        else:
            form |= {"client_id": self._options.client_id, "client_secret": secret}
        return await self._json("POST", str(described["token_endpoint"]), data=form, headers=headers)

    async def claims(self, tokens: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """The claims of the id token, every one of them checked; with those of userinfo, where it is the same person's."""
        described = await self.described()
        claims = await self._verified(str(tokens.get("id_token", "")))
        if claims.get("nonce") != nonce:
            raise bad_proof("it belongs to another sign-in")
        audience = claims["aud"]
        others = isinstance(audience, list) and len(audience) > 1
        if (others or "azp" in claims) and claims.get("azp") != self._options.client_id:
            raise bad_proof("it was made for somebody else")
        place, access = str(described.get("userinfo_endpoint", "")), str(tokens.get("access_token", ""))
        if safe_url(place) and access:
            more = await self._json("GET", place, headers={"Authorization": f"Bearer {access}"})
            if more.get("sub") != claims["sub"]:
                raise bad_proof("it speaks of two people")
            claims = {**more, **claims}
        return claims

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise bad_proof("it is not signed by a key pair")
            key = await self._key(str(header.get("kid", "")), str(algorithm))
            found: dict[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=[algorithm],
                audience=self._options.client_id,
                issuer=self._options.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            log.warning("an id token was refused", reason=type(error).__name__)
            raise bad_proof("its signature, audience or time is wrong") from None
        return found

    async def _key(self, kid: str, algorithm: str) -> Any:
        """The key by which the provider signed; asked for anew, not too often, when it is one we don't know."""
        found = self._known(kid, algorithm)
        if found is None and (self._keys[1] is None or self._keys[0] + _AGAIN < time.monotonic()):
            await self._fetch_keys()
            found = self._known(kid, algorithm)
        if found is None:
            raise bad_proof("it is signed by a key that the provider does not name")
        return found

    def _known(self, kid: str, algorithm: str) -> Any:
        fetched, keys = self._keys
        if keys is None or fetched + _KEPT < time.monotonic():
            return None
        fitting = [
            key
            for key in keys.keys
            if (not kid or key.key_id == kid) and key.public_key_use in (None, "sig") and _fits(key, algorithm)
        ]
        return fitting[0].key if len(fitting) == 1 else None

    async def _fetch_keys(self) -> None:
        described = await self.described()
        found = await self._json("GET", str(described["jwks_uri"]))
        try:
            self._keys = (time.monotonic(), jwt.PyJWKSet.from_dict(found))
        except jwt.PyJWTError as error:
            raise _unusable("its keys can't be read") from error

    async def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=self._options.seconds)
        connector = aiohttp.TCPConnector(ssl=self._tls)
        jar = aiohttp.DummyCookieJar()
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector, cookie_jar=jar) as session,
                session.request(method, url, allow_redirects=False, **more) as response,
            ):
                text = await response.content.read(_LARGEST)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unusable(type(error).__name__) from error
        if status >= 500:
            raise _unusable(f"it answered {status}")
        if status != 200:
            log.warning("a sign-in provider refused", status=status, answer=text[:200].decode(errors="replace"))
            raise bad_proof("it was refused")
        try:
            found = json.loads(text)
        except ValueError as error:
            raise _unusable("it answered no JSON") from error
        if not isinstance(found, dict):
            raise _unusable("it answered no JSON object")
        return found


def safe_url(url: str) -> bool:
    """Whether secrets may go there: https, or this very machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))


def bad_proof(why: str) -> Denied:
    """What is said when an answer does not hold."""
    return Denied(_BAD_PROOF.format(why=why))


def _fits(key: jwt.PyJWK, algorithm: str) -> bool:
    families = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
    return key.key_type == families[algorithm[:2]]


def _unusable(why: str) -> Unavailable:
    log.warning("a sign-in provider can't be used", reason=why)
    return Unavailable(
        "Your sign-in provider can't be reached right now. Try again in a minute, or sign in another way."
    )
