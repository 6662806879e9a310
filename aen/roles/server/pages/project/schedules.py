"""Pages, scheduled runs: the list with the next time of each, making one, one with its history, run now, pause, remove."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from aiohttp import web

from aen.errors import Invalid
from aen.languages import gettext as _
from aen.languages import ngettext
from aen.model.revision import readable
from aen.model.schedule import NEVER, Schedule, Timing
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text, page_links, see_other
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_KINDS = ("daily", "weekly", "every", "once", "cron", "never")
_FIELDS = ("name", "notebook", "environment", "parameters", "kind", "at", "minutes", "time", "cron", "zone", "hours")


async def list_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """All of a project, and the form for a new one."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project, schedules = await domain.schedules.of_project(actor, *_where(request))
    latest = {one.id: await domain.schedules.history(actor, *_where(request), one.id, limit=1) for one in schedules}
    shown = {
        **context(request, project),
        "problem": problem,
        "schedules": schedules,
        "latest": {id: runs[0] if runs else None for id, (runs, _next) in latest.items()},
        "form": {name: form.raw(name, 30_000) if form else asked_text(request, name) for name in _FIELDS},
        "days": {int(day) for day in form.all("days") if day.isdecimal()} if form else {0},
        "timing_text": timing_text,
        "readable": readable,
        "never": NEVER,
    }
    return render(request, "project/runs.html", shown, status=status)


async def one_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """One with its runs."""
    domain, actor, id = request.config_dict[DOMAIN], request[ACTOR], request.match_info["id"]
    project, schedule = await domain.schedules.get(actor, *_where(request), id)
    runs, cursor = await domain.schedules.history(actor, *_where(request), id, asked_text(request, "cursor", 500), 25)
    shown = {
        **context(request, project),
        **page_links(request, cursor),
        "problem": problem,
        "schedule": schedule,
        "runs": runs,
        "timing_text": timing_text,
        "readable": readable,
        "never": NEVER,
    }
    return render(request, "project/run.html", shown, status=status)


@again(list_page)
async def create(request: web.Request, form: Form) -> web.StreamResponse:
    """From the form."""
    domain = request.config_dict[DOMAIN]
    wanted = Schedule(
        id="",
        project="",
        user="",
        name=form.text("name", 80),
        notebook=quote(form.text("notebook", 1000), safe="/"),
        environment=form.text("environment", 100),
        parameters=parameters(form.text("parameters", 20_000)),
        timing=_timing(form),
        hours=_hours(form.text("hours", 10)),
    )
    made = await domain.schedules.create(request[ACTOR], *_where(request), wanted)
    return see_other(await _address(request, made.id), "saved")


def _hours(text: str) -> float:
    try:
        return float(text or "4")
    except ValueError:
        raise Invalid("After how many hours is it ended? Give a number.") from None


def _timing(form: Form) -> Timing:
    kind = form.text("kind", 20) or "daily"
    if kind not in _KINDS:
        raise Invalid("Choose when it runs.")
    return Timing(
        kind=kind,
        at=form.text("at", 40),
        minutes=form.number("minutes", 60),
        time=form.text("time", 10) or "06:00",
        days=[int(day) for day in form.all("days") if day.isdecimal()],
        cron=form.text("cron", 200),
        zone=form.text("zone", 60) or "UTC",
    )


def parameters(text: str) -> dict[str, Any]:
    """Lines `name = value`, the value as JSON, else as text. Raises Invalid."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, equal, value = line.partition("=")
        if not equal:
            raise Invalid("Parameters are lines of the form name = value.")
        try:
            found[name.strip()] = json.loads(value.strip())
        except ValueError:
            found[name.strip()] = value.strip()
    return found


@again(one_page)
async def act(request: web.Request, form: Form) -> web.StreamResponse:
    """By the button that was pressed."""
    schedules, actor, id = request.config_dict[DOMAIN].schedules, request[ACTOR], request.match_info["id"]
    wanted, where = form.text("act", 20), _where(request)
    if wanted == "run":
        await schedules.run_now(actor, *where, id)
    elif wanted in ("pause", "resume"):
        await schedules.pause(actor, *where, id, wanted == "pause")
    elif wanted == "stop":
        await schedules.stop(actor, *where, id)
    elif wanted == "remove":
        await schedules.remove(actor, *where, id)
        return see_other((await _address(request, "")).rstrip("/"), "saved")
    else:
        raise Invalid("There is nothing of that kind to do with a schedule.")
    return see_other(await _address(request, id))


def timing_text(timing: Timing) -> str:
    """When, for people."""
    days = [_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday")]
    if timing.kind == "every":
        return ngettext("every minute", "every {n} minutes", timing.minutes)
    if timing.kind == "daily":
        return _("daily at {time} ({zone})", time=timing.time, zone=timing.zone)
    if timing.kind == "weekly":
        named = ", ".join(days[day] for day in sorted(set(timing.days)) if day in range(7))
        return _("{days} at {time} ({zone})", days=named, time=timing.time, zone=timing.zone)
    if timing.kind == "once":
        return _("once, {at} ({zone})", at=timing.at.replace("T", " "), zone=timing.zone)
    if timing.kind == "cron":
        return f"{timing.cron} ({timing.zone})"
    return _("only when somebody says so")


async def _address(request: web.Request, id: str) -> str:
    project = await request.config_dict[DOMAIN].projects.get(request[ACTOR], *_where(request))
    return f"{address(project)}/runs/{id}"


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ALL = "/{owner}/{project}/runs"
URLS = [
    Url("GET", _ALL, list_page, P.LOOK),
    Url("POST", _ALL, create, P.RUN),
    Url("GET", f"{_ALL}/{{id}}", one_page, P.LOOK),
    Url("POST", f"{_ALL}/{{id}}", act, P.RUN),
]
