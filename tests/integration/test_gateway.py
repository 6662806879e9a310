"""The gateway role over a real bus, with a server that answers as the real one does, and a real app on a unix socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from yarl import URL

from aen import names
from aen.bus.local import LocalBus
from aen.config import Config
from aen.errors import NotFound, NotSignedIn
from aen.messages import (
    CheckToken,
    Keys,
    OpenSession,
    ReadKeys,
    ReadRevocations,
    ReadRoutes,
    RedeemTicket,
    RenewGrant,
    Revocations,
    Revoked,
    RouteAdded,
    RouteRemoved,
    Routes,
    SessionView,
    SignedGrant,
)
from aen.model import now
from aen.model.route import Grant, Revocation, RevocationKind, Route, TokenLogin
from aen.model.session import Phase
from aen.roles import Context
from aen.roles.gateway import Gateway
from aen.tickets import Signer, Verifier, hash_nonce

PATH = "/alice/genome/jupyter/"


class FakeServer:
    """What a gateway asks of a server."""

    def __init__(self, bus: LocalBus, signer: Signer) -> None:
        self.bus, self.signer = bus, signer
        self.log: list[Revocation] = []
        self.routes: list[Route] = []
        self.asked_tokens = self.renewed = 0
        known: dict[bytes, list[str]] = {b"secret-token": [], b"reader": ["read", "write"], b"runner": ["run"]}
        known[b"genome"] = ["sessions:write!project=alice/genome"]
        known[b"looker"] = ["sessions:look!project=alice/genome"]
        known[b"lookers"] = ["sessions:look"]
        known[b"other"] = ["sessions:write!project=alice/genom", "read"]
        self.tokens = {hashlib.sha256(token).hexdigest(): scope for token, scope in known.items()}
        self.phase = Phase.STOPPED
        self.reason = self.log_tail = ""
        self.language = ""  # that everybody has chosen
        self.hours = 12.0
        self._answers: list[Any] = []

    def answer(self) -> None:
        """Answer from now on."""
        table: dict[Any, Any] = {
            RedeemTicket: self.redeem, RenewGrant: self.renew, CheckToken: self.check, ReadKeys: self.keys,
            ReadRoutes: self.read_routes, ReadRevocations: self.read_log, OpenSession: self.open,
        }  # fmt: skip
        address = names.address("server")
        self._answers = [self.bus.respond(address, kind, handler) for kind, handler in table.items()]

    def silence(self) -> None:
        """The server is down."""
        for answer in self._answers:
            answer.cancel()

    def grant(self, user: str = "alice", login: str = "L1", audience: str = "") -> str:
        issued = now()
        expires = issued + int(self.hours * 3_600_000)
        grant = Grant(user=user, login=login, audience=audience, issued=issued, expires=expires, language=self.language)
        return self.signer.grant(grant)

    async def redeem(self, command: RedeemTicket) -> SignedGrant:
        claims = Verifier(self.signer.public_keys()).ticket(command.ticket, command.audience)
        if claims.nonce_hash != hash_nonce(command.nonce):
            raise NotSignedIn("Not this browser.")
        return SignedGrant(grant=self.grant(claims.user, claims.login, command.audience))

    async def renew(self, command: RenewGrant) -> SignedGrant:
        self.renewed += 1
        return SignedGrant(grant=self.grant(command.user, command.login, command.audience))

    async def check(self, command: CheckToken) -> TokenLogin:
        self.asked_tokens += 1
        scope = self.tokens.get(command.token_hash)
        if scope is None:
            raise NotSignedIn("No such token.")
        return TokenLogin(login="T1", user="alice", scope=scope, expires=now() + 3_600_000)

    async def keys(self, _: ReadKeys) -> Keys:
        return Keys(keys=self.signer.public_keys())

    async def read_routes(self, command: ReadRoutes) -> Routes:
        text = json.dumps([route.model_dump() for route in self.routes])
        version = hashlib.sha256(text.encode()).hexdigest()
        if command.have == version:
            return Routes(version=version, unchanged=True)
        rest = [route for route in self.routes if route.session > command.after]
        return Routes(version=version, routes=rest[:2], more=len(rest) > 2)

    async def read_log(self, command: ReadRevocations) -> Revocations:
        latest = self.log[-1].number if self.log else 0
        return Revocations(latest=latest, entries=[entry for entry in self.log if entry.number > command.after])

    async def open(self, command: OpenSession) -> SessionView:
        if command.user != "alice":
            raise NotFound("There is no such project, or you may not see it.")
        if not command.look:
            self.phase = Phase.STARTING
        tail = self.log_tail if command.tail or self.phase is Phase.PROBLEM else ""
        return SessionView(session="s1", phase=self.phase, title="JupyterLab", reason=self.reason, log_tail=tail)

    async def revoke(self, kind: RevocationKind, subject: str, *, tell: bool = True) -> None:
        entry = Revocation(number=len(self.log) + 1, kind=kind, subject=subject, at=now())
        self.log.append(entry)
        if tell:
            await self.bus.publish(Revoked(revocation=entry))


class House:
    """A gateway, its server, an app."""

    def __init__(self, tmp: Path, bus: LocalBus, server: FakeServer, stack: AsyncExitStack) -> None:
        self.tmp, self.bus, self.server, self._stack = tmp, bus, server, stack
        self.gateway: Gateway
        self.port = 0
        self.url = "http://127.0.0.1:PORT"
        self.options: dict[str, Any] = {}
        self.listeners: dict[str, socket.socket] = {}
        self.doors: dict[str, socket.socket] = {}  # of several workers

    @property
    def origin(self) -> str:
        return self.url.replace("PORT", str(self.port))

    def route(self, **changes: Any) -> Route:
        values: dict[str, Any] = {
            "session": "s1", "generation": 1, "owner": "alice", "project": "genome", "project_id": "p1",
            "app_server": "jupyter", "user": "alice", "users": ["alice"], "node": "n1",
            "upstream": f"unix:{self.tmp}/app", "uid": os.getuid(), "secret": "launch-secret",
        }  # fmt: skip
        return Route(**{**values, **changes})

    async def start(self) -> None:
        """Start the gateway (again, at the same port)."""
        doors = self.doors or {"gateway": socket.create_server(("127.0.0.1", self.port))}
        self.port = doors["gateway"].getsockname()[1]
        config = Config.model_validate(
            {
                "data_dir": self.tmp / "data", "run_dir": self.tmp / "run",
                "server": {"url": "http://server.test"}, "gateway": {"url": self.origin, "drain_seconds": 3, **self.options},
            }
        )  # fmt: skip
        self.gateway = Gateway(Context(config, ("gateway",), self.bus, None, {**doors, **self.listeners}))
        await self.gateway.start()

    def client(self, user: str = "", login: str = "L1", **headers: str) -> aiohttp.ClientSession:
        """Somebody's browser; signed in when `user` is said."""
        jar = aiohttp.CookieJar(unsafe=True)
        if user:
            jar.update_cookies({"aen-gateway": self.server.grant(user, login, self.origin)}, URL(self.origin))
        return aiohttp.ClientSession(self.origin, cookie_jar=jar, headers=headers)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path) as made:
        yield made


@asynccontextmanager
async def housed(
    tmp_path: Path, url: str = "http://127.0.0.1:PORT", doors: dict[str, socket.socket] | None = None, **options: Any
) -> AsyncIterator[House]:
    """A gateway at `url` with these options, its server, and an app."""
    async with AsyncExitStack() as stack:
        bus = LocalBus()
        await stack.enter_async_context(bus)
        server = FakeServer(bus, Signer.load_or_make(tmp_path / "key.pem"))
        server.answer()
        runner = web.AppRunner(_app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, str(tmp_path / "app")).start()
        made = House(tmp_path, bus, server, stack)
        made.url, made.options, made.doors, server.routes = url, options, doors or {}, [made.route()]
        await made.start()
        try:
            yield made
        finally:
            await made.gateway.stop()


def _app() -> web.Application:
    async def echo(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            ws = web.WebSocketResponse(protocols=["v1.kernel"])
            await ws.prepare(request)
            async for message in ws:
                await ws.send_str(f"{request.headers['X-AEN-User']}: {message.data}")
            return ws
        body = await request.read()
        return web.json_response({"path": request.raw_path, "headers": dict(request.headers), "bytes": len(body)})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{rest:.*}", echo)
    return app


async def until(fact: Any, seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it did not come to pass in time"
        await asyncio.sleep(0.02)


async def test_a_browser_is_led_to_the_server_and_back_to_the_very_address(house: House) -> None:
    async with house.client(Accept="text/html") as browser:
        async with browser.get(PATH + "lab?x=1", allow_redirects=False) as answer:
            assert answer.status == 303
            there = urlsplit(answer.headers["Location"])
        assert (there.netloc, there.path) == ("server.test", "/gateway/enter")
        query = {name: values[0] for name, values in parse_qs(there.query).items()}
        assert query["gateway"] == house.origin
        assert query["next"] == PATH + "lab?x=1"
        ticket = house.server.signer.ticket("alice", "L1", query["gateway"], query["nonce"])
        back = {"ticket": ticket, "next": query["next"]}
        async with browser.get("/.aen/enter", params=back, allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.headers["Location"] == PATH + "lab?x=1"
            cookie = answer.cookies["aen-gateway"]
            assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        async with browser.get(PATH + "lab?x=1") as answer:
            seen = await answer.json()
    assert seen["path"] == PATH + "lab?x=1"
    assert seen["headers"]["X-AEN-User"] == "alice"
    assert seen["headers"]["X-AEN-App-Token"] == "launch-secret"
    assert "Cookie" not in seen["headers"]


async def test_a_ticket_of_another_browser_is_refused(house: House) -> None:
    async with house.client() as browser:
        browser.cookie_jar.update_cookies({"aen-nonce": "n" * 32}, URL(house.origin))
        ticket = house.server.signer.ticket("alice", "L1", house.origin, hash_nonce("another"))
        async with browser.get("/.aen/enter", params={"ticket": ticket}, allow_redirects=False) as answer:
            assert answer.status == 401
            assert "aen-gateway" not in answer.cookies


async def test_without_a_nonce_no_sign_in(house: House) -> None:
    async with house.client() as browser, browser.get("/.aen/enter", params={"ticket": "x"}) as answer:
        assert answer.status == 400
        assert "not begun in this browser" in await answer.text()


NEXTS = ["https://evil", "//evil", "///evil", "/\\evil", "javascript:alert(1)", "/%5cevil", "/%0d%0aX:y", "/.aen/logout", "x", " /x"]  # fmt: skip


@pytest.mark.parametrize("wanted", NEXTS)
async def test_next_leads_nowhere_else(house: House, wanted: str) -> None:
    ask = {"params": {"next": wanted}, "allow_redirects": False}
    async with house.client("alice") as browser, browser.get("/.aen/renew", **ask) as answer:  # type: ignore[arg-type]
        assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_api_tokens_in_each_of_their_forms(house: House) -> None:
    forms: list[tuple[dict[str, str], str]] = [
        ({"Authorization": "Bearer secret-token"}, ""),
        ({"Authorization": "token secret-token"}, ""),
        ({}, "?token=secret-token&a=b"),
    ]
    for headers, query in forms:
        async with house.client(**headers) as script, script.get(PATH + "api/kernels" + query) as answer:
            seen = await answer.json()
            assert answer.status == 200
            assert seen["headers"]["X-AEN-Auth"] == "token"
            assert "secret-token" not in json.dumps(seen)
    assert house.server.asked_tokens == 1


async def test_a_narrowed_token_runs_nothing_unless_it_may(house: House) -> None:
    for token, status in (("reader", 403), ("reader", 403), ("runner", 200), ("genome", 200), ("other", 403)):
        async with house.client(Authorization=f"Bearer {token}") as script:
            async with script.get(PATH + "api/kernels") as answer:
                assert answer.status == status
                said = await answer.text()
                assert status == 200 or "scope 'run'" in said or (token == "other" and "other projects" in said)
            if status == 403:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await script.ws_connect(PATH + "ws")
                assert refused.value.status == 403


async def test_a_token_that_only_looks_opens_dashboards_of_its_projects(house: House) -> None:
    for project in ("genome", "other"):
        for server in ("board-b1", "viewer"):
            changes = {"session": f"{project} {server}", "project": project, "app_server": server}
            await house.bus.publish(RouteAdded(datacenter="main", route=house.route(**changes)))
    for token, project, opened in (
        ("looker", "genome", 200),
        ("looker", "other", 403),
        ("lookers", "other", 200),
        ("other", "genome", 403),
        ("genome", "genome", 200),
    ):
        async with house.client(Authorization=f"Bearer {token}") as script:
            for server in ("board-b1", "viewer"):
                async with script.get(f"/alice/{project}/{server}/api") as answer:
                    assert answer.status == opened, (token, project, server)
    async with house.client(Authorization="Bearer looker") as script:
        for server in ("jupyter", "board-", "viewer2", "board-b1%2Fjupyter", "shared-x"):
            async with script.get(f"/alice/genome/{server}/api") as answer:
                assert answer.status in (400, 403), server
        async with script.get(PATH) as answer:
            assert (answer.status, "only looks" in await answer.text()) == (403, True)


async def test_a_bad_token_is_401_and_an_unknown_one_503_without_the_server(house: House) -> None:
    async with house.client(Authorization="Bearer wrong") as script:
        async with script.get(PATH) as answer:
            assert answer.status == 401
        house.server.silence()
    async with house.client(Authorization="Bearer other") as script, script.get(PATH) as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers


async def test_websocket_through_and_closed_by_revocation(house: House) -> None:
    async with house.client("alice", Origin=house.origin) as browser:
        async with browser.ws_connect(PATH + "ws", protocols=["v1.kernel"]) as ws:
            assert ws.protocol == "v1.kernel"
            await ws.send_str("hello")
            assert await ws.receive_str(timeout=5) == "alice: hello"
            await house.server.revoke(RevocationKind.LOGIN, "L1")
            message = await ws.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        async with browser.get(PATH) as answer:
            assert answer.status == 401


async def test_a_revocation_whose_event_was_lost_is_found(house: House) -> None:
    async with house.client("alice", Origin=house.origin) as browser, browser.ws_connect(PATH + "ws") as ws:
        await house.server.revoke(RevocationKind.USER, "alice", tell=False)
        message = await ws.receive(timeout=8)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)


async def test_a_gap_in_the_log_is_filled(house: House) -> None:
    await house.server.revoke(RevocationKind.LOGIN, "L1", tell=False)
    await house.server.revoke(RevocationKind.LOGIN, "L9")
    await until(lambda: house.gateway.doorman.revoked.latest == 2)
    assert set(house.gateway.doorman.revoked.logins) == {"L1", "L9"}


async def test_a_removed_member_is_out_at_once_and_others_stay(house: House) -> None:
    shared = house.route(session="s2", app_server="board", user="*", users=["alice", "bob"])
    await house.bus.publish(RouteAdded(datacenter="main", route=shared))
    house.server.routes.append(shared)
    await until(lambda: len(house.gateway.routes) == 2)
    path = "/alice/genome/board/ws"
    async with house.client("bob", "L2", Origin=house.origin) as bob, house.client("alice", Origin=house.origin) as al:
        async with bob.ws_connect(path) as his, al.ws_connect(path) as hers:
            house.server.routes[-1] = shared.model_copy(update={"users": ["alice"]})
            await house.server.revoke(RevocationKind.MEMBER, "p1 bob")
            assert (await his.receive(timeout=5)).data == 1008
            await hers.send_str("still")
            assert await hers.receive_str(timeout=5) == "alice: still"
        async with bob.get("/alice/genome/board/") as answer:
            assert answer.status == 403


async def test_a_new_login_after_a_password_change_is_good(house: House) -> None:
    old = house.server.grant("alice", "L1", house.origin)
    await house.server.revoke(RevocationKind.USER, "alice")
    await until(lambda: house.gateway.doorman.revoked.latest == 1)
    await until(lambda: now() > house.server.log[0].at)
    async with house.client("alice", "L5") as browser, browser.get(PATH) as answer:
        assert answer.status == 200
    async with house.client(Cookie=f"aen-gateway={old}") as browser, browser.get(PATH) as answer:
        assert answer.status == 401


async def test_no_session_shows_the_start_page_and_opens_when_it_runs(house: House) -> None:
    await house.bus.publish(RouteRemoved(datacenter="main", session="s1", generation=1))
    house.server.routes.clear()
    await until(lambda: len(house.gateway.routes) == 0)
    ask = {"owner": "alice", "project": "genome", "server": "jupyter"}
    async with house.client("alice", Accept="text/html", Origin=house.origin) as browser:
        async with browser.get(PATH + "lab") as answer:
            assert answer.status == 200
            assert 'data-phase="STOPPED"' in await answer.text()
        async with browser.post("/.aen/api/session", params=ask) as answer:
            assert (await answer.json())["phase"] == "STARTING"
        house.server.phase = Phase.RUNNING
        async with browser.get("/.aen/api/session", params=ask) as answer:
            assert (await answer.json())["phase"] == "STARTING"  # running, but not reachable from here yet
        house.server.routes.append(house.route(generation=2))
        async with browser.get("/.aen/api/session", params=ask) as answer:
            assert (await answer.json())["phase"] == "RUNNING"
        async with browser.get(PATH + "lab") as answer:
            assert (await answer.json())["path"] == PATH + "lab"


async def test_a_stranger_sees_nothing(house: House) -> None:
    async with house.client("mallory", "L3", Accept="text/html", Origin=house.origin) as browser:
        for path in (PATH, "/alice/other/jupyter/"):
            async with browser.get(path) as answer:
                assert answer.status == 404
    async with house.client("mallory", "L3", Origin=house.origin) as script:
        for path in (PATH + "api/contents?content=1", "/alice/other/jupyter/api/contents?content=1"):
            async with script.get(path) as answer:
                assert answer.status == 403  # a 404 sends JupyterLab into a loop without a pause
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await script.ws_connect(PATH + "ws")
        async with script.post("/.aen/api/session?owner=alice&project=genome&server=jupyter") as answer:
            assert answer.status == 404


async def test_scripts_hear_503_while_nothing_runs_and_401_without_login(house: House) -> None:
    async with house.client("alice") as script, script.get("/alice/genome/board/api") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "2"
    async with house.client() as script, script.get(PATH + "api") as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "not_signed_in"


async def test_pages_believe_only_the_data_plane(house: House) -> None:
    ask = "/.aen/api/session?owner=alice&project=genome&server=jupyter"
    headers = {"X-AEN-User": "alice", "X-AEN-Login": "L1", "X-AEN-Page-Token": "guess", "X_AEN_User": "alice"}
    headers["X-Forwarded-For"] = "192.0.2.9"
    connector = aiohttp.UnixConnector(str(house.tmp / "run/gateway/pages"))
    direct = aiohttp.ClientSession(connector=connector)
    with capture_logs() as logs:
        async with house.client(**headers) as script, script.get(ask) as answer:
            assert answer.status == 401
        async with direct, direct.get("http://x" + ask, headers=headers) as answer:
            assert answer.status == 403
    assert [line["address"] for line in logs if line["event"] == "request"] == ["127.0.0.1", ""]


async def test_after_a_restart_without_the_server_known_people_reach_running_sessions(house: House) -> None:
    await house.server.revoke(RevocationKind.LOGIN, "L7")
    await until(lambda: house.gateway.doorman.revoked.latest == 1)
    good, ended = (house.server.grant("alice", login, house.origin) for login in ("L1", "L7"))
    await house.gateway.stop()
    state = house.tmp / "data/gateway/state.json"
    assert state.stat().st_mode & 0o777 == 0o600
    house.server.silence()
    await house.start()
    async with house.client(Cookie=f"aen-gateway={good}") as browser, browser.get(PATH) as answer:
        assert answer.status == 200
    async with house.client(Cookie=f"aen-gateway={ended}") as browser, browser.get(PATH) as answer:
        assert answer.status == 401
    assert house.gateway.health()["status"] == "degraded"


async def test_a_broken_snapshot_is_no_hindrance(house: House) -> None:
    await house.gateway.stop()
    (house.tmp / "data/gateway/state.json").write_text('{"version": 1, "routes": [{}]}')
    await house.start()
    async with house.client("alice") as browser, browser.get(PATH) as answer:
        assert answer.status == 200


async def test_a_grant_past_half_its_life_is_renewed_on_the_way(house: House) -> None:
    issued = now() - 7 * 3_600_000
    grant = Grant(user="alice", login="L1", audience=house.origin, issued=issued, expires=issued + 12 * 3_600_000)
    async with house.client(Accept="text/html") as browser:
        browser.cookie_jar.update_cookies({"aen-gateway": house.server.signer.grant(grant)}, URL(house.origin))
        async with browser.get(PATH + "lab?a=b%20c") as answer:
            assert (await answer.json())["path"] == PATH + "lab?a=b%20c"
            assert [str(one.status) for one in answer.history] == ["303", "303"]
        async with browser.get(PATH + "lab") as answer:
            assert answer.history == ()
    assert house.server.renewed == 1


async def test_without_the_server_an_old_grant_goes_on(house: House) -> None:
    issued = now() - 7 * 3_600_000
    grant = Grant(user="alice", login="L1", audience=house.origin, issued=issued, expires=issued + 12 * 3_600_000)
    house.server.silence()
    async with house.client(Accept="text/html") as browser:
        browser.cookie_jar.update_cookies({"aen-gateway": house.server.signer.grant(grant)}, URL(house.origin))
        async with browser.get(PATH) as answer:
            assert answer.status == 200


async def test_a_lost_route_event_is_repaired_and_pages_of_routes_are_read(house: House) -> None:
    house.server.routes = [house.route(session=f"s{n}", app_server=f"app{n}") for n in range(5)]
    await until(lambda: len(house.gateway.routes) == 5)
    async with house.client("alice") as browser:
        async with browser.get("/alice/genome/app4/") as answer:
            assert answer.status == 200
        async with browser.get(PATH + "api") as answer:
            assert answer.status == 503


async def test_drain_finishes_requests_and_closes_websockets(house: House) -> None:
    async with house.client("alice", Origin=house.origin) as browser, browser.ws_connect(PATH + "ws") as ws:
        draining = asyncio.create_task(house.gateway.drain())
        message = await ws.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        await draining
        with pytest.raises(aiohttp.ClientConnectorError):
            await browser.get(PATH)


async def test_logout_takes_a_post(house: House) -> None:
    async with house.client("alice", Origin=house.origin) as browser:
        async with browser.get("/.aen/logout", allow_redirects=False) as answer:
            assert "aen-gateway" not in answer.cookies
        async with browser.post("/.aen/logout", allow_redirects=False) as answer:
            assert answer.cookies["aen-gateway"].value == ""


async def test_the_access_log_holds_no_query(house: House) -> None:
    async with house.client("alice") as browser, browser.get(PATH + "x?token=secret-token") as answer:
        assert answer.status == 200
    log = house.tmp / "data/gateway/access.log"
    await until(lambda: log.exists() and PATH + "x" in log.read_text())
    assert "secret-token" not in log.read_text()
    assert "127.0.0.1 - alice [" in log.read_text()
    assert f'] "GET {PATH}x HTTP/1.1" 200 - "-" "Python/' in log.read_text()


async def test_the_access_log_as_json(tmp_path: Path) -> None:
    async with housed(tmp_path, access_log="json") as house:
        said = {"User-Agent": 'a"b\\', "Referer": f"{house.origin}{PATH}lab?token=secret-token"}
        async with house.client("alice", **said) as browser, browser.get(PATH + 'x"y?token=secret-token') as answer:
            assert answer.status == 200
        log = house.tmp / "data/gateway/access.log"
        await until(log.exists)
        entry = json.loads(log.read_text())
        assert 0 <= entry.pop("seconds") < 60
        assert time.strptime(entry.pop("time"), "%Y-%m-%dT%H:%M:%SZ")
        assert entry == {
            "address": "127.0.0.1", "user": "alice", "method": "GET", "path": PATH + "x%22y", "status": 200,
            "referer": f"{house.origin}{PATH}lab", "agent": 'a"b\\',
        }  # fmt: skip


async def test_nothing_that_a_client_says_breaks_a_line_of_the_log(house: House) -> None:
    evil = b'evil" 200 - "-" "\xff\\'
    head = f"GET {PATH}z HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nUser-Agent: ".encode() + evil + b"\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(head)
    assert b" 401 " in await reader.readline()
    writer.close()
    log = house.tmp / "data/gateway/access.log"
    await until(log.exists)
    (line,) = log.read_text().splitlines()
    assert r'"evil\x22 200 - \x22-\x22 \x22\xFF\x5C"' in line


async def test_metrics_count_what_happens(house: House) -> None:
    def metric(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    async with house.client("alice", Origin=house.origin) as browser:
        for _ in range(3):
            await browser.get(PATH + "x")
        async with browser.ws_connect(PATH + "ws"):
            assert metric("aen_gateway_websockets") == 1
            assert metric("aen_gateway_connections") >= 1
        await browser.get("/alice/other/jupyter/x")
        async with house.client() as nobody:
            await nobody.get(PATH)
        house.gateway.routes.add(house.route(session="s9", project="dead", project_id="p9", upstream="unix:/nowhere"))
        async with browser.get("/alice/dead/jupyter/x") as answer:
            assert answer.status == 503
    await until(lambda: metric("aen_gateway_websockets") == 0)
    assert metric("aen_gateway_requests_total", to="app", status="2xx") == 3
    assert metric("aen_gateway_requests_total", to="app", status="1xx") == 1
    assert metric("aen_gateway_requests_total", to="pages", status="5xx") == 1
    assert metric("aen_gateway_requests_total", to="own", status="4xx") == 1
    assert metric("aen_gateway_failures_total", what="unreachable", why="refused") == 1
    assert metric("aen_gateway_request_seconds_count", to="app") == 4  # a WebSocket lasts: it is not in it
    assert metric("aen_gateway_request_seconds_bucket", to="app", le="+Inf") == 4
    assert metric("aen_gateway_routes") == 2
    assert 0 <= metric("aen_gateway_lag_seconds") < 60


async def test_a_new_process_takes_over_where_the_old_one_stopped(house: House) -> None:
    """As an upgrade does it: WebSockets hear 1012 and come back to the same address, the server asleep all the while."""
    async with house.client("alice", Origin=house.origin) as browser:
        tabs = [await browser.ws_connect(PATH + "ws") for _ in range(20)]
        await until((house.tmp / "data/gateway/state.json").exists)
        house.server.silence()
        ending = asyncio.create_task(house.gateway.drain())
        codes = [(await tab.receive(timeout=8)).data for tab in tabs]
        assert codes == [1012] * 20
        await ending
        await house.gateway.stop()
        await house.start()
        async with browser.ws_connect(PATH + "ws") as tab:
            await tab.send_str("again")
            assert await tab.receive_str(timeout=5) == "alice: again"
