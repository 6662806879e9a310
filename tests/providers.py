"""OpenID providers for tests: a real one (oidc-provider under Node), and one of ours that lies as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.served import Client

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = ROOT / ".dev" / "provider"
NODE = shutil.which("node")
needs_provider = pytest.mark.skipif(
    NODE is None or not (INSTALLED / "node_modules" / "oidc-provider").is_dir(),
    reason="the OpenID provider is not installed: ./dev test installs it where there is npm",
)
SECRET = "a secret of the tests, long enough"


def options(issuer: str, **more: object) -> dict[str, object]:
    """The section `server.login.oidc` that fits."""
    return {"issuer": issuer, "client_id": "aen", "client_secret": SECRET, "title": "Example SSO", **more}


@contextlib.asynccontextmanager
async def real(server_port: int, port: int) -> AsyncIterator[str]:
    """The certified provider, for an AEN on that port; yields the issuer."""
    assert NODE is not None
    back = f"http://127.0.0.1:{server_port}/login/oidc/callback"
    out = f"http://127.0.0.1:{server_port}/login?done=signed-out"
    argv = (NODE, str(INSTALLED / "server.mjs"), str(port), back, out)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"up\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def sign_in_at(client: Client, url: str, person: str) -> str:
    """Go through the provider's own forms as `person`, in the same browser; the address at AEN that it leads back to."""
    for _ in range(12):
        async with client.http.get(url, allow_redirects=False) as answer:
            if answer.status in (302, 303):
                url = _joined(url, answer.headers["Location"])
                if url.startswith(client.url):
                    return url
                continue
            page = await answer.text()
        action = re.search(r'action="([^"]+)"', page)
        assert action is not None, page
        prompt = re.search(r'name="prompt" value="([^"]+)"', page)
        form = {"prompt": prompt[1] if prompt else "consent", "login": person, "password": "x"}
        async with client.http.post(_joined(url, action[1]), data=form, allow_redirects=False) as answer:
            assert answer.status in (302, 303), await answer.text()
            url = _joined(url, answer.headers["Location"])
            if url.startswith(client.url):
                return url
    raise AssertionError(f"no way back from {url}")


def _joined(base: str, place: str) -> str:
    parts = urlsplit(base)
    return place if "://" in place else f"{parts.scheme}://{parts.netloc}{place}"


@dataclass
class Liar:
    """A provider of ours. What it says is right unless a test bends it."""

    port: int
    description: dict[str, Any] = field(default_factory=dict)  # over the right one
    claims: dict[str, Any] = field(default_factory=dict)  # over the right ones; None takes one out
    userinfo: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)  # over the right answer to the browser
    algorithm: str = "RS256"
    kid: str = "one"
    published: list[str] = field(default_factory=lambda: ["one"])
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)
    verifiers: list[dict[str, str]] = field(default_factory=list)
    asked_for_keys: int = 0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self, kid: str) -> rsa.RSAPrivateKey:
        return self.keys.setdefault(kid, rsa.generate_private_key(65537, 2048))

    def back(self, url: str, code: str = "") -> str:
        """What it sends the browser to when that has visited `url` and proved who it is."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        code = code or f"code{len(self.nonces)}"
        self.nonces[code] = asked["nonce"]
        given = {"code": code, "state": asked["state"], "iss": self.issuer, **self.answer}
        query = "&".join(f"{key}={value}" for key, value in given.items() if value)
        return f"{urlsplit(asked['redirect_uri']).path}?{query}"

    def _describe(self) -> dict[str, Any]:
        here = self.issuer
        return {
            "issuer": here,
            "authorization_endpoint": f"{here}/auth",
            "token_endpoint": f"{here}/token",
            "jwks_uri": f"{here}/keys",
            "userinfo_endpoint": f"{here}/me",
            "end_session_endpoint": f"{here}/end",
            "authorization_response_iss_parameter_supported": True,
            **self.description,
        }

    def _token(self, code: str) -> str:
        right = {
            "iss": self.issuer,
            "aud": "aen",
            "sub": "1",
            "exp": int(time.time()) + 300,
            "iat": int(time.time()),
            "nonce": self.nonces.pop(code),
            "preferred_username": "ada",
            "name": "Ada Lovelace",
            "email": "ada@example.org",
            "email_verified": True,
        }
        claims = {key: value for key, value in {**right, **self.claims}.items() if value is not None}
        key: Any = {"none": None, "HS256": SECRET.ljust(64, "x")}.get(self.algorithm, self.key(self.kid))
        return jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": self.kid})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/keys":
            self.asked_for_keys += 1
            keys = [
                json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key(kid).public_key())) for kid in self.published
            ]
            named = [{**key, "kid": kid, "use": "sig"} for key, kid in zip(keys, self.published, strict=True)]
            return web.json_response({"keys": named})
        if request.path == "/token":
            form = dict(parse_qsl(await request.text()))
            self.verifiers.append(form)
            if form.get("code") not in self.nonces:
                return web.json_response({"error": "invalid_grant"}, status=400)
            return web.json_response(
                {"access_token": "t", "token_type": "Bearer", "id_token": self._token(form["code"])}
            )
        if request.path == "/me":
            return web.json_response({"sub": "1", "groups": ["aen"], **self.userinfo})
        return web.json_response(self._describe())


@contextlib.asynccontextmanager
async def liar() -> AsyncIterator[Liar]:
    """A provider of ours on a free port."""
    made = Liar(0)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made._handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()


async def begin(client: Client, path: str = "/login/oidc") -> str:
    """Press the button; where AEN sends the browser."""
    answer = await client.get(path)
    assert answer.status == 303, answer.text
    return str(answer.headers["Location"])


__all__ = ["Liar", "begin", "liar", "needs_provider", "options", "real", "sign_in_at"]
