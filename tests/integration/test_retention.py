"""How long records are kept: old ones are taken out, the log says so, and the last weeks stay whatever is set."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aen.errors import Denied, Invalid
from aen.model import new_id, now
from aen.model.activity import Activity
from aen.model.job import JobState
from aen.model.report import Day
from aen.roles.server.admin.retention import PRUNE
from aen.roles.server.permissions import Actor
from aen.store import Query
from aen.web.filters import when
from tests.served import ROOT, Served, served
from tests.waiting import until

DAY = 86_400_000


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


def date(back: int) -> str:
    """The date of so many days ago."""
    return str(datetime.datetime.fromtimestamp((now() - back * DAY) / 1000, datetime.UTC).date())


async def ran(server: Served, *back: int) -> None:
    """AEN ran on these days, so many ago; of one more it is only known that nothing was done."""
    days = [Day(id=date(one), sampled=now() - one * DAY) for one in back]
    for day in (*days, Day(id=date(max(back) + 1), complete=True)):
        await server.domain.store.insert("days", day.model_dump(mode="json"))


async def records(server: Served, back: int, count: int, *, security: bool) -> None:
    """So many records of so many days ago."""
    made = [
        Activity(id=new_id(), at=now() - back * DAY, who="x", actor="x", act="login.failed", security=security)
        for _ in range(count)
    ]
    await asyncio.gather(*(server.domain.store.insert("activity", one.model_dump(mode="json")) for one in made))


async def pruned(server: Served) -> str:
    """The day's job is done; returns what it says."""
    job = await server.domain.jobs.add(PRUNE)

    async def over() -> bool:
        return (await server.domain.jobs.get(ROOT, job.id)).state is JobState.DONE

    await until(over, 30, "the old records are taken out")
    return (await server.domain.jobs.get(ROOT, job.id)).message


async def left(server: Served, *, security: bool) -> list[int]:
    """How many days ago the records of failed sign-ins are that are left, each once."""
    page = await server.domain.store.find("activity", Query((("security", security),), sort="at", limit=10_000))
    return sorted({round((now() - doc["at"]) / DAY) for doc in page.items if doc["act"] == "login.failed"})


async def test_old_records_go_and_the_log_says_so(server: Served) -> None:
    await server.domain.settings.set(ROOT, "records.security_days", 30)
    await server.domain.settings.set(ROOT, "records.activity_days", 40)
    await ran(server, *range(50))
    for back, count in (45, 250), (35, 1), (31, 1), (30, 1), (1, 1):
        await records(server, back, count, security=True)
        await records(server, back, 1, security=False)
    assert await pruned(server) == "Old records were taken out of the log: security: 252, activity: 1."
    assert await left(server, security=True) == [1, 30]
    assert await left(server, security=False) == [1, 30, 31, 35]
    log, _ = await server.domain.activity.security(ROOT, 10)
    told = [(entry.actor, entry.object, entry.detail) for entry in log if entry.act == "log.pruned"]
    assert told == [
        ("aen", "activity", f"{date(45)} – {date(41)}"),
        ("aen", "security", f"{date(45)} – {date(31)}"),
    ]
    assert await pruned(server) == "Nothing is so old."
    assert len([entry for entry in (await server.domain.activity.security(ROOT))[0] if entry.act == "log.pruned"]) == 2


async def test_days_on_which_aen_did_not_run_take_nothing_away(server: Served) -> None:
    """A machine that was off for a year, or whose clock jumped: the records are as old as before."""
    await server.domain.settings.set(ROOT, "records.security_days", 30)
    await ran(server, 0, *range(400, 430))
    for back in (415, 429, 431):
        await records(server, back, 1, security=True)
    assert "security: 1" in await pruned(server)
    assert await left(server, security=True) == [415, 429]


async def test_for_ever_is_for_ever(server: Served) -> None:
    await server.domain.settings.set(ROOT, "records.security_days", 0)
    await ran(server, *range(50))
    await records(server, 4000, 1, security=True)
    assert await pruned(server) == "Nothing is so old."
    assert await left(server, security=True) == [4000]


async def test_nobody_sets_it_below_a_month(server: Served) -> None:
    for days in (1, 29, -1):
        with pytest.raises(Invalid):
            await server.domain.settings.set(ROOT, "records.security_days", days)
    page = await server.browser("boss", admin=True)
    answer = await page.post("/admin/settings/records.security_days", data={"csrf": page.csrf, "value": "1"})
    assert answer.status == 400
    assert "Records are kept for at least 30 days" in answer.text
    assert server.domain.settings.value("records.security_days") == 400


async def test_one_job_a_day_however_many_ask(server: Served) -> None:
    made = await asyncio.gather(*(server.domain.retention.due() for _ in range(4)))
    assert len([job for job in made if job is not None]) == 1


async def test_the_oldest_is_told_to_administrators(server: Served) -> None:
    await records(server, 100, 1, security=True)
    boss, ada = await server.script("boss", admin=True), await server.script("ada")
    security, activity = (await boss.get("/api/v1/admin/records")).json["items"]
    assert (security["log"], security["days"]) == ("security", 400)
    assert round((now() - security["oldest"]) / DAY) == 100
    assert activity["log"] == "activity"
    assert (await ada.get("/api/v1/admin/records")).status == 403
    with pytest.raises(Denied):
        await server.domain.retention.kept(Actor((await server.actor("ada")).user))
    browser = await server.browser("boss")
    for path in ("/admin/security", "/admin/settings"):
        page = (await browser.get(path, headers={"Accept-Language": "en"})).text
        assert f"The oldest record is of {when(security['oldest'])}." in page
    german = (await browser.get("/admin/security", headers={"Accept-Language": "de"})).text
    assert "Einträge werden 400 Tage aufbewahrt." in german
