"""The Workbench's program as it runs for people, for tests: as accounts of its own, on their sockets, over one project."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from aen.acl.permissions import Grants
from aen.acl.tree import Report, Task, Walk
from aen.errors import Conflict
from aen.languages import USER_SIDE
from aen.launchers import passwd
from tests.waiting import until
from tests.world import ROOT

PACKAGE = ROOT / "aen/apps/user_side/aen_workbench"
ORIGIN = "http://gate.example:8089"
SITE = "http://site.example:8080"
ALICE, BOB, VERA = "aentwalice", "aentwbob", "aentwvera"  # owner, member, viewer


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.body)


@dataclass
class Bench:
    """One person's running Workbench."""

    user: str
    socket: Path
    secret: str
    prefix: str
    project: Path
    home: Path
    process: subprocess.Popen[bytes]
    log: Path
    http: aiohttp.ClientSession = field(init=False)

    @property
    def headers(self) -> dict[str, str]:
        """What the gateway says of a login by token."""
        return {"X-AEN-User": self.user, "X-AEN-App-Token": self.secret, "X-AEN-Auth": "token"}

    async def ask(self, method: str, address: str, *, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        """One request, `address` below the prefix."""
        url = f"http://localhost{self.prefix}{address}"
        given = self.headers if headers is None else headers
        given = given | more.pop("extra", {})
        async with self.http.request(method, url, headers=given, **more) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, address: str, path: Path | bytes | None = None, **query: str) -> Answer:
        """GET about a path."""
        given = {"path": wire(path)} | query if path is not None else query
        return await self.ask("GET", f"api/{address}", params=given)

    async def post(self, address: str, **data: Any) -> Answer:
        """POST of what paths are given in `data`."""
        told = {key: wire(value) if isinstance(value, Path | bytes) else value for key, value in data.items()}
        return await self.ask("POST", f"api/{address}", json=told)

    async def rows(self, path: Path | bytes, **query: str) -> list[dict[str, Any]]:
        """What is in a folder."""
        answer = await self.get("folder", path, **query)
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.json["rows"]
        return found

    async def names(self, path: Path | bytes) -> list[str]:
        """Their names."""
        return [row["name"] for row in await self.rows(path)]


def wire(path: Path | bytes) -> str:
    """A path as the API has it."""
    return quote(os.fsencode(path), safe="/")


class Stand:
    """A project of several people, each with a Workbench once asked for."""

    def __init__(self, top: Path, people: dict[str, pwd.struct_passwd]) -> None:
        self.top, self.people = top, people
        self.project = top / "projects" / ALICE / "genome"
        self.project.mkdir(parents=True)
        self.project.parent.chmod(0o711)
        os.chown(self.project, people[ALICE].pw_uid, people[ALICE].pw_gid)
        for package in (PACKAGE, USER_SIDE):
            shutil.copytree(package, top / "lib" / package.name, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def task(self) -> Task:
        """How AEN's walk sees the project."""
        alice, bob, vera = (self.people[name] for name in (ALICE, BOB, VERA))
        grants = Grants(alice.pw_uid, alice.pw_gid, {bob.pw_uid: True, vera.pw_uid: False}, group=True)
        return Task(grants, untouched=frozenset({0}), may_chown=True)

    def walk(self, task: Task | None = None) -> Report:
        """What happens at each start of the project."""
        fd = os.open(self.project, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return Walk(task or self.task).run(fd)
        finally:
            os.close(fd)

    def put(self, place: str, text: str | bytes = "", owner: str = ALICE) -> Path:
        """A file in the project."""
        path = self.project / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        for each in (path, *path.parents):
            if each != self.project and self.project in each.parents and each.stat().st_uid == 0:
                os.chown(each, self.people[owner].pw_uid, self.people[owner].pw_gid)
        return path

    @contextlib.asynccontextmanager
    async def bench(self, user: str) -> AsyncIterator[Bench]:
        """The Workbench of that person, answering."""
        made = self._start(user)
        connector = aiohttp.UnixConnector(str(made.socket))
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as made.http:
            try:
                await until(lambda: _answers(made), 20, "the Workbench answers")
                yield made
            finally:
                made.process.terminate()
                made.process.wait(10)

    def _start(self, user: str) -> Bench:
        entry = self.people[user]
        run = self.top / f"run-{user}-{secrets.token_hex(6)}"
        run.mkdir(mode=0o700)
        os.chown(run, entry.pw_uid, entry.pw_gid)
        secret, prefix = secrets.token_urlsafe(16), f"/{ALICE}/genome/workbench/"
        environ = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(self.top / "lib"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": entry.pw_dir,
            "USER": user,
            "AEN_USER": user,
            "AEN_PROJECT": f"{ALICE}/genome",
            "AEN_PROJECT_DIR": str(self.project),
            "AEN_APP_TOKEN": secret,
            "AEN_SERVER_URL": SITE,
        }
        log = self.top / f"{run.name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "aen_workbench", str(run / "s"), prefix],
                user=entry.pw_uid,
                group=entry.pw_gid,
                extra_groups=[],
                env=environ,
                cwd=entry.pw_dir,
                stdout=out,
                stderr=out,
            )
        return Bench(user, run / "s", secret, prefix, self.project, Path(entry.pw_dir), process, log)


async def _answers(bench: Bench) -> bool:
    assert bench.process.poll() is None, bench.log.read_text()
    if not bench.socket.exists():
        return False
    with contextlib.suppress(OSError):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(bench.socket))
        return True
    return False


@contextlib.contextmanager
def stand() -> Iterator[Stand]:
    """A project below /tmp and three accounts, all gone afterwards. One at a time: accounts are the whole machine's."""
    with open("/tmp/aentw.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        top = Path(tempfile.mkdtemp(prefix="aentw-", dir="/tmp"))
        top.chmod(0o755)
        try:
            made = Stand(top, {name: _account(top, name) for name in (ALICE, BOB, VERA)})
            made.walk()
            yield made
        finally:
            for name in (ALICE, BOB, VERA):
                with contextlib.suppress(Conflict):
                    passwd.run("userdel", "--force", name)
            shutil.rmtree(top, ignore_errors=True)


def _account(top: Path, name: str) -> pwd.struct_passwd:
    with contextlib.suppress(Conflict):
        passwd.run("userdel", "--force", name)  # of a run that was killed
    (top / "home").mkdir(exist_ok=True)
    command = ["useradd", "--user-group", "--create-home", "--home-dir", str(top / "home" / name), name]
    passwd.run(*command)
    return pwd.getpwnam(name)
