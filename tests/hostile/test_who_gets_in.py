"""Who gets in at the gateway: everybody there is, at every kind of app, over HTTP and WebSocket, in both modes.

What the server lets them do is tests/integration/test_server_rights.py; which people a route names is the server's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aen.model import now
from aen.model.route import ANYONE, RevocationKind
from tests.hostile.test_paths import MODES
from tests.integration.test_gateway import House, housed, until
from tests.nginx import browser

#: Apps of alice's project `genome`: her own, the team's, one for looking that viewers may use too, one open to anyone.
DOORS: dict[str, dict[str, Any]] = {
    "jupyter": {"session": "s1", "user": "alice", "users": ["alice"]},
    "board": {"session": "s2", "user": "*", "users": ["alice", "bob"]},
    "viewer": {"session": "s3", "user": "*", "users": ["alice", "bob", "vera"]},
    "open": {"session": "s4", "user": ANYONE, "users": [ANYONE]},
}
NOBODY, BAD = "", "bad"
#: Everybody, and where they get in (with a WebSocket or anything that changes something: all but what is open to anyone).
PEOPLE: dict[str, set[str]] = {
    "anonymous": {"open"},
    "stranger": {"open"},
    "viewer": {"viewer", "open"},
    "member": {"board", "viewer", "open"},
    "former member": {"open"},
    "owner": {"jupyter", "board", "viewer", "open"},
    "administrator": {"open"},  # of AEN or of the data center: apps are the team's alone
    "signed out": {"open"},
    "locked": {"open"},
    "ended login": {"open"},
    "service token": {"jupyter", "board", "viewer", "open"},
    "token for reading": set(),
    "token of another project": set(),
    "ended token": set(),
    "token of a deleted person": set(),
}
NAMES = {
    "stranger": "eve",
    "viewer": "vera",
    "member": "bob",
    "former member": "rob",
    "owner": "alice",
    "administrator": "root",
}
TOKENS = {
    "service token": "secret-token",
    "token for reading": "reader",
    "token of another project": "other",
    "ended token": "was-good-once",
    "token of a deleted person": "of-nobody-now",
}


def _asks(house: House, who: str, origin: str) -> dict[str, str]:
    """The headers with which they come."""
    if who in TOKENS:
        return {"Authorization": f"Bearer {TOKENS[who]}"}
    if who == "anonymous":
        return {}
    login, user = who.replace(" ", "-"), NAMES.get(who, "alice" if who == "signed out" else "lola")
    if who == "ended login":
        house.server.hours = -1
    grant = house.server.grant(user, login, origin)
    house.server.hours = 12
    return {"Cookie": f"aen-gateway={grant}"}


async def _http(http: aiohttp.ClientSession, address: str, headers: dict[str, str], method: str) -> bool:
    async with http.request(method, address, headers=headers, allow_redirects=False) as answer:
        return answer.status == 200 and "X-AEN-Project" in (await answer.json())["headers"]


async def _ws(http: aiohttp.ClientSession, address: str, headers: dict[str, str], _: str) -> bool:
    try:
        async with http.ws_connect(address, headers=headers) as socket:
            await socket.send_str("hello")
            return (await socket.receive_str(timeout=5)).endswith(": hello")
    except aiohttp.WSServerHandshakeError:
        return False


KINDS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "page": (_http, "GET", "lab"),
    "files": (_http, "GET", "files/secret.txt?download=1"),
    "archive": (_http, "GET", "api/archive?path=/"),
    "terminal": (_http, "POST", "api/terminals"),
    "upload": (_http, "PUT", "api/contents/x"),
    "websocket": (_ws, "", "api/kernels/k/channels"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
async def test_who_gets_in(kind: str, mode: str, tmp_path: Path) -> None:
    ask, method, rest = KINDS[kind]
    changing = method not in ("GET",)
    url = "http://{project}.localhost:PORT" if mode == "host" else "http://localhost:PORT"
    async with housed(tmp_path, url) as house:
        house.server.routes = [house.route(app_server=name, **changes) for name, changes in DOORS.items()]
        await house.gateway._following.read_routes()  # type: ignore[union-attr]
        assert len(house.gateway.routes) == len(DOORS)
        origin = house.origin.replace("{project}", "alice--genome")
        for revoked, subject in (
            (RevocationKind.MEMBER, "p1 rob"),
            (RevocationKind.LOGIN, "signed-out"),
        ):
            await house.server.revoke(revoked, subject)
        people = {who: _asks(house, who, origin) for who in PEOPLE}
        await until(lambda: now() > house.server.log[0].at)
        await house.server.revoke(RevocationKind.USER, "lola")
        await until(lambda: house.gateway.doorman.revoked.latest == 3)
        found: dict[str, set[str]] = {}
        async with browser() as http:
            for who, headers in people.items():
                headers = {**headers, "Origin": origin, "Accept": "*/*"}
                doors = [f"{origin}/alice/genome/{door}/{rest}" for door in DOORS]
                ins = await asyncio.gather(*(ask(http, address, headers, method) for address in doors))
                found[who] = {door for door, let_in in zip(DOORS, ins, strict=True) if let_in}
    assert found == {who: doors - ({"open"} if changing else set()) for who, doors in PEOPLE.items()}
