"""API, scheduled runs: notebooks run at a time or at intervals, as their people."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.schedule import NEVER, Run, RunState, Schedule, Timing
from aen.roles.server.pages.api.api import PREFIX, Nothing, Paging, answer, asked, body, listed, nothing, part, query
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class NewSchedule(Word):
    """A notebook (percent-encoded path) and when it runs. `environment` empty: the active one of the project."""

    name: str = Field(max_length=80)
    notebook: str = Field(max_length=3000)
    environment: str = Field("", max_length=100)
    parameters: dict[str, Any] = Field(default_factory=dict)
    timing: Timing = Field(default_factory=Timing)
    hours: float = 4.0


class ScheduleView(NewSchedule):
    """A schedule. Times in ms since 1970; `next` 0: none."""

    id: str
    user: str
    next: int
    paused: bool
    why: str
    created: int


class RunView(Word):
    """A run. Times in ms since 1970; `path` is the notebook it left; `by` empty: the clock."""

    id: str
    user: str
    due: int
    by: str
    state: RunState
    reason: str
    note: str
    path: str
    output: str
    created: int
    started: int
    ended: int


class Paused(Word):
    """Whether it waits."""

    paused: bool


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


def _view(schedule: Schedule) -> ScheduleView:
    fields = schedule.model_dump(include=set(ScheduleView.model_fields))
    return ScheduleView(**fields, next=0 if schedule.due == NEVER else schedule.due)


def _run(run: Run) -> RunView:
    return RunView(**run.model_dump(include=set(RunView.model_fields)))


async def schedules(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    _, found = await domain.schedules.of_project(actor, *_where(request))
    return listed([_view(one) for one in found])


async def create(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewSchedule)
    wanted = Schedule(id="", project="", user="", **new.model_dump())
    return answer(_view(await domain.schedules.create(actor, *_where(request), wanted)), 201)


async def one(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    _, found = await domain.schedules.get(actor, *_where(request), part(request, "id"))
    return answer(_view(found))


async def pause(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Paused)
    return answer(_view(await domain.schedules.pause(actor, *_where(request), part(request, "id"), wanted.paused)))


async def remove(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.schedules.remove(actor, *_where(request), part(request, "id"))
    return nothing()


async def runs(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    paging = query(request, Paging)
    found, cursor = await domain.schedules.history(
        actor, *_where(request), part(request, "id"), paging.cursor, paging.most
    )
    return listed([_run(each) for each in found], cursor)


async def run_now(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(_run(await domain.schedules.run_now(actor, *_where(request), part(request, "id"))), 202)


async def stop(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.schedules.stop(actor, *_where(request), part(request, "id"))
    return nothing()


P = Permission
_ALL = f"{PREFIX}/projects/{{owner}}/{{name}}/schedules"
_ONE = f"{_ALL}/{{id}}"
URLS = [
    Url("GET", _ALL, schedules, P.LOOK, gives=PageOf[ScheduleView], summary="Scheduled notebooks"),
    Url("POST", _ALL, create, P.RUN, NewSchedule, ScheduleView, 201, summary="Schedule a notebook"),
    Url("GET", _ONE, one, P.LOOK, gives=ScheduleView, summary="One schedule"),
    Url("PUT", _ONE, pause, P.RUN, Paused, ScheduleView, summary="Pause it, or let it go on"),
    Url("DELETE", _ONE, remove, P.RUN, status=204, summary="Remove it and its history"),
    Url("GET", f"{_ONE}/runs", runs, P.LOOK, None, PageOf[RunView], 200, Paging, "Its runs, newest first"),
    Url("POST", f"{_ONE}/runs", run_now, P.RUN, Nothing, RunView, 202, summary="Run it now"),
    Url("DELETE", f"{_ONE}/runs", stop, P.RUN, status=204, summary="End the run that is under way"),
]
