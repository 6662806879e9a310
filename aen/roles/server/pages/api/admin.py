"""API, administration: settings, faults, the daily report, jobs tried again, sessions stopped together."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.fault import Fault
from aen.model.report import Period
from aen.roles.server.admin.security import Wanted
from aen.roles.server.admin.settings import InForce
from aen.roles.server.node.loads import Loads
from aen.roles.server.pages.api.api import PREFIX, Nothing, Paging, answer, asked, body, listed, part, query
from aen.roles.server.pages.api.views import ActivityView, JobView, PageOf, activity_view, job_view
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class SettingView(Word):
    """A setting: what is in force, what the configuration says, and who changed it (`at` 0: nobody)."""

    name: str
    value: Any
    configured: Any
    by: str = ""
    at: int = 0


class SettingsView(Word):
    """All settings."""

    items: list[SettingView]


class KeptView(Word):
    """For how many days records of a log are kept (0: for ever), and of when the oldest is (0: there is none)."""

    log: str
    days: int
    oldest: int


class KeptLogs(Word):
    """Every log."""

    items: list[KeptView]


class NewValue(Word):
    """What a setting is to be."""

    value: Any


class ReportQuery(Word):
    """Of which period."""

    period: Literal["today", "yesterday", "week", "month"] = "today"


class FaultQuery(Paging):
    """Which faults; `search`: those that hold it, as the id that somebody was told."""

    unread: bool = False
    search: str = Field("", max_length=100)


class Read(Word):
    """Which kind of fault was read; none: all."""

    id: str = Field("", max_length=16)


class Counted(Word):
    """How many."""

    count: int


class Chosen(Word):
    """Which sessions."""

    ids: list[str] = Field(min_length=1, max_length=200)


class Stopped(Word):
    """How many sessions were told to stop, and why others were not."""

    stopping: int
    problems: list[str]


class Priority(Word):
    """A place in the queue: higher comes first, 0 is usual."""

    priority: int = Field(ge=-100, le=100)


class RecordQuery(Paging):
    """Which records of the security log; times in ms since 1970."""

    who: str = Field("", max_length=200)
    actor: str = Field("", max_length=200)
    act: str = Field("", max_length=60)
    address: str = Field("", max_length=64)
    low: int = Field(0, ge=0)
    high: int = Field(0, ge=0)


async def settings(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(SettingsView(items=[_setting(one) for one in await domain.settings.list(actor)]))


async def set_setting(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, NewValue)
    return answer(_setting(await domain.settings.set(actor, part(request, "name"), wanted.value)))


async def take_back(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(_setting(await domain.settings.take_back(actor, part(request, "name"))))


def _setting(one: InForce) -> SettingView:
    return SettingView(name=one.kind.name, value=one.value, configured=one.configured, by=one.by, at=one.at)


async def faults(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, FaultQuery)
    found, next = await domain.faults.list(actor, q.most, q.cursor, q.unread, q.search)
    return listed(found, next)


async def read_faults(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    which = await body(request, Read)
    return answer(Counted(count=await domain.faults.mark_read(actor, which.id)))


async def report(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(await domain.daily.report(actor, query(request, ReportQuery).period))


async def load(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(await domain.loads.of(actor, part(request, "node")))


async def records(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, RecordQuery)
    wanted = Wanted(q.who, q.actor, q.act, q.address, q.low, q.high)
    found, next = await domain.security.page(actor, wanted, q.most, q.cursor)
    return listed([activity_view(entry) for entry in found], next)


async def kept(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(KeptLogs(items=[KeptView(**vars(one)) for one in await domain.retention.kept(actor)]))


async def stop_sessions(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    chosen = await body(request, Chosen)
    told, problems = await domain.overseeing.stop(actor, chosen.ids)
    return answer(Stopped(stopping=told, problems=problems), 202)


async def retry_job(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(job_view(await domain.jobs.retry(actor, part(request, "id"))), 202)


async def prioritize_job(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Priority)
    return answer(job_view(await domain.jobs.prioritize(actor, part(request, "id"), wanted.priority)))


P = Permission
A, S = P.ADMIN, P.STAFF
_HERE = f"{PREFIX}/admin"
URLS = [
    Url("GET", f"{_HERE}/settings", settings, A, gives=SettingsView, summary="Settings that are changed live"),
    Url("PUT", f"{_HERE}/settings/{{name}}", set_setting, A, NewValue, SettingView, summary="Change a setting"),
    Url("DELETE", f"{_HERE}/settings/{{name}}", take_back, A, None, SettingView, summary="As configured again"),
    Url("GET", f"{_HERE}/exceptions", faults, S, None, PageOf[Fault], 200, FaultQuery, "Faults of AEN, grouped"),
    Url("POST", f"{_HERE}/exceptions/read", read_faults, S, Read, Counted, summary="Mark faults as read"),
    Url("GET", f"{_HERE}/report", report, S, None, Period, 200, ReportQuery, "The daily report"),
    Url("GET", f"{_HERE}/nodes/{{node}}/load", load, A, gives=Loads, summary="How busy a node was"),
    Url(
        "GET", f"{_HERE}/security", records, A, None, PageOf[ActivityView], 200, RecordQuery, "Find in the security log"
    ),
    Url("GET", f"{_HERE}/records", kept, A, gives=KeptLogs, summary="How long records of the logs are kept"),
    Url("POST", f"{_HERE}/sessions/stop", stop_sessions, A, Chosen, Stopped, 202, summary="Stop sessions together"),
    Url("PUT", f"{_HERE}/jobs/{{id}}/priority", prioritize_job, A, Priority, JobView, summary="Order the queue"),
    Url("POST", f"{PREFIX}/jobs/{{id}}/retry", retry_job, P.ACCOUNT, Nothing, JobView, 202, summary="Try a job again"),
]
