"""The server with 50,000 users and 5,000 projects: start, pages, logins."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aen.logins.local import LocalLogin, hashed
from aen.model import new_id, now
from aen.model.project import Member, Project, Role, Visibility
from aen.model.user import User
from aen.store.sqlite import SqliteStore
from tests.bench.row import Row, percentile
from tests.served import PASSWORD, Client
from tests.world import World

#: A log as AEN keeps it when nothing else is asked for, but as JSON also on a terminal.
AS_SHIPPED = {"log": {"format": "json", "level": "info"}}
USERS = 50_000
PROJECTS = 5_000
REQUESTS = 300
LOGINS = 40


async def measure() -> AsyncIterator[Row]:
    """Fill a store, start the real program on it, ask as a browser would."""
    world = World(options=AS_SHIPPED)
    data = Path(world.config["data_dir"])
    await _fill(data, world)
    begun = time.monotonic()
    with world:
        yield Row(f"start with {USERS:,} users, {PROJECTS:,} projects", time.monotonic() - begun, "s", aim="<= 5")
        async with world.client() as client:
            client.headers["Accept"] = "text/html"
            client.origin = world.server
            await sign_in(client, "u00000")
            for name, path in (("home page", "/"), ("admin user list", "/admin/users")):
                times = await _times(client, path)
                yield Row(f"{name} p50", percentile(times, 0.5) * 1000, "ms")
                yield Row(f"{name} p99", percentile(times, 0.99) * 1000, "ms", aim="<= 100")
        async for row in _logins(world):
            yield row


async def _fill(data: Path, world: World) -> None:
    data.mkdir(parents=True)
    password = await hashed(PASSWORD)
    async with SqliteStore(data / "aen.db") as store:
        for start in range(0, USERS, 1000):
            await asyncio.gather(*(store.insert("users", make_user(n, password)) for n in range(start, start + 1000)))
        for start in range(0, PROJECTS, 1000):
            await asyncio.gather(*(store.insert("projects", make_project(n)) for n in range(start, start + 1000)))
    hand_over(data)


def hand_over(data: Path) -> None:
    """What was put there belongs to the account that the program runs as."""
    if os.geteuid() == 0:
        from aen.privileges import ensure_service_account

        uid, gid = ensure_service_account("aen")
        for path in (data, *data.iterdir()):
            os.chown(path, uid, gid)
    data.chmod(0o700)


def make_user(number: int, password: str) -> dict[str, object]:
    name = f"u{number:05}"
    made = User(
        id=name,
        incarnation=new_id(),
        full_name=f"Person {number}",
        email=f"{name}@example.org",
        admin=number == 0,
        password=password,
        created=now() - number,
        search=f"{name} person {number} {name}@example.org",
    )
    return made.model_dump(mode="json")


def make_project(number: int) -> dict[str, object]:
    owner = f"u{number % 500:05}"
    team = [owner, *(f"u{(number * 7 + step) % USERS:05}" for step in range(1, 4))]
    made = Project(
        id=new_id(),
        slug=f"{owner}/p{number}",
        owner=owner,
        name=f"p{number}",
        summary=f"Project number {number}",
        visibility=Visibility.PUBLIC if number % 5 == 0 else Visibility.PRIVATE,
        tags=[f"tag{number % 20}"],
        team=[Member(user=user, role=Role.OWNER if user == owner else Role.MEMBER) for user in team],
        members=team,
        datacenter="main",
        search=f"p{number} project number {number}",
    )
    return made.model_dump(mode="json")


async def sign_in(client: Client, name: str) -> None:
    answer = await client.post("/login", data={"name": name, "password": PASSWORD})
    assert answer.status == 303, f"login answered {answer.status}"


async def _times(client: Client, path: str) -> list[float]:
    times = []
    for _ in range(REQUESTS):
        begun = time.monotonic()
        answer = await client.get(path)
        times.append(time.monotonic() - begun)
        assert answer.status == 200, f"{path} answered {answer.status}"
    return times


async def _logins(world: World) -> AsyncIterator[Row]:
    user = User(id="x", incarnation="x", password=await hashed(PASSWORD))
    kdf, whole = [], []
    for number in range(LOGINS):  # in turns, so that both meet the same machine
        begun = time.monotonic()
        assert await LocalLogin().check("x", PASSWORD, user)
        kdf.append(time.monotonic() - begun)
        async with world.client() as client:
            client.origin = world.server
            begun = time.monotonic()
            await sign_in(client, f"u{number + 1:05}")
            whole.append(time.monotonic() - begun)
    ours = percentile(whole, 0.5) - percentile(kdf, 0.5)
    yield Row("Argon2id, median", percentile(kdf, 0.5) * 1000, "ms")
    yield Row("login by the form, median", percentile(whole, 0.5) * 1000, "ms")
    if ours > 0:  # on a busy machine the difference drowns
        yield Row("logins, Argon2id left out", 1 / ours, "1/s")
