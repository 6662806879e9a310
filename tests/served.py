"""A real server role inside the test's process: LocalBus, a real store, a real socket, and clients that behave like browsers and scripts."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from aen.bus import Bus
from aen.bus.local import LocalBus
from aen.config import Config
from aen.config.machine import Machine
from aen.config.resolve import resolve
from aen.messages import NodeReported
from aen.model import now
from aen.model.node import Load
from aen.model.user import User
from aen.roles import Context
from aen.roles.server import Server
from aen.roles.server.account.accounts import NewUser, Profile
from aen.roles.server.domain import Domain
from aen.roles.server.permissions import Actor

PASSWORD = "correct horse battery"
ROOT = Actor(local=True)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


@dataclass
class Client:
    """One browser (login cookie, CSRF token, Origin) or script (API token)."""

    url: str
    http: aiohttp.ClientSession
    token: str = ""
    csrf: str = ""
    origin: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request; `body` goes as JSON, `data` as it is."""
        headers = {**self.headers, **more.pop("headers", {})}
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if self.origin:
            headers.setdefault("Origin", self.origin)
        if self.csrf:
            headers.setdefault("X-CSRF-Token", self.csrf)
        if body is not None:
            more["data"] = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        async with self.http.request(
            method, self.url + path, headers=headers, allow_redirects=False, **more
        ) as response:
            return Answer(response.status, response.headers, await response.text(errors="replace"))

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.ask("POST", path, body, **more)


@dataclass
class Served:
    """A running server."""

    role: Server
    config: Config
    stack: contextlib.AsyncExitStack

    @property
    def domain(self) -> Domain:
        return self.role.domain

    @property
    def url(self) -> str:
        return self.config.server.url

    async def nobody(self, **more: Any) -> Client:
        """A script without a token."""
        http = await self.stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))
        return Client(self.url, http, **more)

    async def person(self, name: str, *, admin: bool = False, password: str = PASSWORD) -> User:
        """A person, made if there is none of that name."""
        found = await self.domain.accounts.find(name)
        new = NewUser(name=name, password=password, admin=admin)
        return found or await self.domain.accounts.create(ROOT, new)

    async def script(self, name: str, *, admin: bool = False, scope: tuple[str, ...] = ()) -> Client:
        """A client with an API token of that person (made if need be)."""
        await self.person(name, admin=admin)
        _, token = await self.domain.accounts.new_token(ROOT, name, scope=list(scope))
        return await self.nobody(token=token)

    async def browser(self, name: str, *, admin: bool = False) -> Client:
        """A client that has signed in by the login form."""
        await self.person(name, admin=admin)
        client = await self.nobody(origin=self.url, headers={"Accept": "text/html"})
        answer = await client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status == 303, answer.text
        me = await client.get("/api/v1/me")
        client.csrf = me.json["csrf"]
        return client

    async def actor(self, name: str) -> Actor:
        """That person, as an actor inside the domain."""
        user = await self.domain.accounts.find(name)
        assert user is not None
        return Actor(user)

    async def node(self, name: str = "n1", *, ready: bool = True) -> None:
        """A compute node is heard of, so that projects have a place to go. Nothing answers there."""
        report = NodeReported(
            node=name,
            datacenter="main",
            roles=["compute"],
            version="0",
            load=Load(),
            isolated=True,
            ready=ready,
            sessions=[],
            started=now(),
        )
        await self.role.context.bus.publish(report)


def configured(
    folder: Path, run_dir: Path, port: int, store: str = "", mail: dict[str, Any] | None = None, **server: Any
) -> Config:
    """A configuration of a server on this port, with everything below `folder`. `store`: its store.url."""
    config = Config.model_validate(
        {
            "data_dir": str(folder / "data"),
            "run_dir": str(run_dir),
            "envs_dir": str(folder / "envs"),
            "accounts": {"mode": "managed"},
            "store": {"url": store},
            "mail": mail or {},
            "server": {"listen": f"127.0.0.1:{port}", "url": f"http://127.0.0.1:{port}", **server},
            "gateway": {"listen": "127.0.0.1:1", "url": "http://127.0.0.2:1"},
            "compute": {"project_root": str(folder / "projects")},
        }
    )
    return resolve(config, roles=("server", "compute", "gateway"), machine=Machine.here())


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    *,
    set_up: bool = True,
    listeners: dict[str, socket.socket] | None = None,
    bus: Bus | None = None,
    store: str = "",
    **server: Any,
) -> AsyncIterator[Served]:
    """A running server; with `set_up`, its administrator is `root1`. `listeners`: bound already, else one is.

    `bus`: one that several servers share. `store`: a store.url; SQLite below `folder` without one.
    """
    async with contextlib.AsyncExitStack() as stack:
        listeners = listeners or {"server": socket.create_server(("127.0.0.1", 0))}
        for each in listeners.values():
            stack.enter_context(each)
        listener = listeners["server"]
        run_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="aen-", dir="/tmp"))  # sockets: a short path
        config = configured(folder, Path(run_dir), listener.getsockname()[1], store, **server)
        carrier: Bus = bus if bus is not None else await stack.enter_async_context(LocalBus())
        context = Context(config, ("server", "gateway"), carrier, None, listeners)
        role = Server(context)
        await stack.enter_async_context(role)
        running = Served(role, config, stack)
        if set_up:
            accounts = role.domain.accounts
            await accounts.set_up(accounts.setup_code, "root1", PASSWORD, Profile())
        yield running
