"""Pages with 50,000 users, 20,000 projects and 1,000,000 audit records on SQLite, 50 requests in flight.

Home and project pages are asked for by 50 people, each for their own; lists of administrators by one of them. A search is timed alone.
AEN, all roles of it, has one processor; who asks has another. Pages are asked for in rounds, one after the other; medians of the
rounds, and ± half of what lies between the lowest and the highest of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import json
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from aen.logins.local import hashed
from aen.model import new_id, now
from aen.model.activity import Activity
from aen.model.report import Day
from aen.store import Store
from aen.store.sqlite import SqliteStore
from tests.bench.row import Row, percentile, spread
from tests.bench.server import AS_SHIPPED, make_project, make_user, sign_in
from tests.bench.visitors import Visitor, cookie_of, visiting
from tests.served import PASSWORD, Client
from tests.world import World

USERS, PROJECTS, RECORDS = 50_000, 20_000, 1_000_000
IN_FLIGHT, REQUESTS, ALONE = 50, 2_000, 200
ROUNDS = 5
REST_LOOKS = 24  # of 5 s each: AEN is at rest by then
ACTS = (
    "login.succeeded",
    "login.failed",
    "login.ended",
    "token.created",
    "team.added",
    "user.changed",
    "password.changed",
)
SPAN = 90 * 86_400_000  # ms over which records lie

#: Name → what people ask for; `{me}` is who asks, `{mine}` a project of theirs.
OWN = (
    ("home", "/"),
    ("home, team projects", "/?show=team"),
    ("home, public projects", "/?show=public"),
    ("a project", "/{me}/{mine}"),
)
#: Name → what an administrator asks for; `{n}` becomes another number each time.
PAGES = (
    ("home, all projects", "/?show=all"),
    ("admin: users", "/admin/users"),
    ("admin: users, by last login", "/admin/users?sort=last_login&order=down"),
    ("admin: users, one word", "/admin/users?q=u{n}"),
    ("admin: projects", "/admin/projects"),
    ("admin: projects, by size", "/admin/projects?sort=size"),
    ("admin: security log", "/admin/security"),
    ("admin: security log, one act", "/admin/security?act=login.failed"),
    ("admin: security log, one person", "/admin/security?who=u{n}"),
    ("admin: daily report", "/admin/report"),
)
#: Name → what is searched for.
SEARCHES = (
    ("search of projects, one word", "/?q=p{n}"),
    ("search of projects, a word of all", "/?q=project"),
    ("search of everything, a word of all", "/search?q=project"),
    ("suggestions while typing", "/api/v1/search/suggestions?q=proj"),
    ("admin: users, a word of all", "/admin/users?q=person"),
    ("admin: projects, a word of all", "/admin/projects?q=project"),
)


async def measure() -> AsyncIterator[Row]:
    """Fill a store, start the real program on it, ask as administrators' browsers would."""
    world = World(options=AS_SHIPPED)
    data = Path(world.config["data_dir"])
    began = time.monotonic()
    await fill(data)
    yield Row(f"filled with {RECORDS:,} records", time.monotonic() - began, "s")
    with world:
        pid = json.loads((Path(world.config["run_dir"]) / "node.json").read_text())["pid"]
        _apart(pid)
        await _at_rest(pid)
        async with contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(world.client()) for _ in range(IN_FLIGHT)]
            for number, client in enumerate(people):
                client.headers["Accept"] = "text/html"
                client.origin = world.server
                await sign_in(client, f"u{number:05}")
            visitors = await stack.enter_async_context(visiting(world.server, IN_FLIGHT))
            cookies = [cookie_of(client) for client in people]
            gc.collect()
            gc.freeze()  # what was filled in: looking through it would hold up all who ask, and be measured
            for row in await _in_rounds(visitors, cookies, pid):
                yield row
            client = people[0]
            for name, path in SEARCHES:
                alone = await _times(visitors[:1], cookies[:1], path, range(ALONE))
                yield Row(f"{name}: alone, median", percentile(alone, 0.5) * 1000, "ms")
                yield Row(f"{name}: alone, p99", percentile(alone, 0.99) * 1000, "ms", aim="<= 100")
            seconds, size = await _export(client)
            yield Row("admin: security log, CSV of all", seconds, "s")
            yield Row("admin: security log, CSV of all, size", size / 2**20, "MB")


def _apart(pid: int) -> None:
    """Give AEN a processor, and ourselves another: else the kernel moves both to and fro, and that is what is measured."""
    mine, *others = sorted(os.sched_getaffinity(0))
    if not others:
        return
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {others[0]})
    os.sched_setaffinity(0, {mine})


async def _at_rest(pid: int) -> None:
    """What a start brings with it (an examination of the node after 3 s, environments that are looked at, an index) is over."""
    for _ in range(REST_LOOKS):
        used = _busy(pid)
        await asyncio.sleep(5)  # what it uses within them is the fact
        if _busy(pid) - used <= 0.1:
            return
    raise RuntimeError("AEN did not come to rest after its start: what keeps it busy would be measured.")


@dataclass(frozen=True)
class _Round:
    """What one round found of a page, in ms."""

    alone: float  # median
    wait: float  # p99, with others in flight
    cost: float  # processor time of AEN


async def _in_rounds(visitors: list[Visitor], cookies: list[str], pid: int) -> list[Row]:
    asked = [(name, path, cookies) for name, path in OWN] + [(name, path, cookies[:1]) for name, path in PAGES]
    found: dict[str, list[_Round]] = {name: [] for name, *_ in asked}
    for number in range(ROUNDS):
        for name, path, those in asked:
            found[name].append(await _round(visitors, those, path, pid, number * REQUESTS))
    return [row for name, rounds in found.items() for row in _rows(name, rounds)]


async def _round(visitors: list[Visitor], cookies: list[str], path: str, pid: int, first: int) -> _Round:
    alone = await _times(visitors[:1], cookies, path, range(50))
    before, ours = _busy(pid), time.process_time()
    times = await _times(visitors, cookies, path, range(first, first + REQUESTS))
    each, ours = (_busy(pid) - before) / REQUESTS, (time.process_time() - ours) / REQUESTS
    assert ours < each, "who asks has more to do than who answers: that would be measured"
    return _Round(percentile(alone, 0.5) * 1000, percentile(times, 0.99) * 1000, each * 1000)


def _rows(name: str, rounds: list[_Round]) -> Iterator[Row]:
    for what, part, aim in (
        ("alone, median", "alone", ""),
        (f"{IN_FLIGHT} in flight, p99", "wait", "<= 100"),
        ("processor time of a request", "cost", ""),
    ):
        values = [getattr(one, part) for one in rounds]
        yield Row(f"{name}: {what}", median(values), "ms", aim=aim, spread=spread(values))


async def fill(data: Path) -> None:
    """A store with everything in it, readable by the service account."""
    data.mkdir(parents=True)
    password = await hashed(PASSWORD)
    async with SqliteStore(data / "aen.db") as store:
        await _put(store, "users", (make_user(n, password) for n in range(USERS)))
        await _put(store, "projects", (make_project(n) for n in range(PROJECTS)))
        await _put(store, "days", _days())
    _put_records(data / "aen.db")
    if os.geteuid() == 0:
        from aen.privileges import ensure_service_account

        uid, gid = ensure_service_account("aen")
        for path in (data, *data.iterdir()):
            os.chown(path, uid, gid)
    data.chmod(0o700)


async def _put(store: Store, collection: str, docs: object) -> None:
    batch: list[dict[str, object]] = []
    for doc in docs:  # type: ignore[attr-defined]
        batch.append(doc)
        if len(batch) == 5000:
            await asyncio.gather(*(store.insert(collection, one) for one in batch))
            batch = []
    await asyncio.gather(*(store.insert(collection, one) for one in batch))


def _put_records(path: Path) -> None:
    """A million records as one transaction: one by one would take most of the benchmark's time."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        rows = ((doc["id"], 1, json.dumps({**doc, "rev": 1})) for doc in map(_record, range(RECORDS)))
        connection.executemany("INSERT INTO activity(id, rev, body) VALUES (?, ?, ?)", rows)


def _days() -> Iterator[dict[str, object]]:
    """Days that are over, counted as they were when AEN ran on them."""
    today = datetime.datetime.now(datetime.UTC).date()
    for back in range(1, SPAN // 86_400_000 + 1):
        day = Day(id=str(today - datetime.timedelta(days=back)), complete=True, sampled=now(), users=USERS)
        yield day.model_dump(mode="json")


def _record(number: int) -> dict[str, object]:
    chance = random.Random(number)
    who = f"u{chance.randrange(USERS):05}"
    made = Activity(
        id=new_id(),
        at=now() - SPAN + number * SPAN // RECORDS,
        who=who,
        actor=who,
        act=ACTS[number % len(ACTS)],
        object=who,
        address=f"10.{number % 7}.{number % 251}.{number % 241}",
        security=True,
    )
    return made.model_dump(mode="json")


def _busy(pid: int) -> float:
    """Seconds of processor time that AEN has used: what a busy machine does not change much."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def _times(visitors: list[Visitor], cookies: list[str], path: str, numbers: range) -> list[float]:
    """How long each took, as many at once as there are visitors. `cookies`: of u00000, u00001 …, who own p0, p1 … and ask in turn."""
    times: list[float] = []
    left = iter(numbers)

    async def ask(visitor: Visitor) -> None:
        for number in left:
            who = number % len(cookies)
            asked = path.replace("{n}", f"{number * 37 % USERS:05}")
            asked = asked.replace("{me}", f"u{who:05}").replace("{mine}", f"p{who}")
            begun = time.monotonic()
            status = await visitor.ask(asked, cookies[who])
            times.append(time.monotonic() - begun)
            assert status == 200, f"{path} answered {status}"

    await asyncio.gather(*map(ask, visitors))
    return times


async def _export(client: Client) -> tuple[float, int]:
    begun, size = time.monotonic(), 0
    async with client.http.get(f"{client.url}/admin/security/export.csv", headers=client.headers) as answer:
        assert answer.status == 200
        async for chunk in answer.content.iter_any():
            size += len(chunk)
    return time.monotonic() - begun, size
