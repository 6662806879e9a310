"""Pages, admin: what goes on: sessions of everybody (why alive, stop many), and the queue of jobs with its workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from aen.languages import ngettext
from aen.model.job import JobState
from aen.model.session import Phase, Session
from aen.roles.server.admin.overseeing import SessionFilter
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.pages.forms import Form, again, asked_text, page_links, read, see_other
from aen.roles.server.pages.project import session_words
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render
from aen.web.words import JOBS

_PAGE = 50


async def sessions(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    domain, phase = request.config_dict[DOMAIN], asked_text(request, "phase", 20)
    wanted = SessionFilter(
        phase if phase == "live" or phase in list(Phase) else "",
        asked_text(request, "user", 64),
        asked_text(request, "node", 63),
    )
    found, cursor = await domain.overseeing.sessions(request[ACTOR], wanted, _PAGE, asked_text(request, "cursor", 500))
    shown = {"rows": rows(domain, found), "wanted": wanted, "problem": problem, **page_links(request, cursor)}
    return render(request, "admin/sessions.html", shown, status=status)


def rows(domain: Domain, found: Sequence[Session]) -> list[dict[str, Any]]:
    """Sessions with why each is alive and what it takes, as its node said last."""
    made = []
    for session in found:
        report = domain.sessions.reports.latest(session)
        told = (report.idle, report.activity, report.activity_source) if report is not None else ()
        use = session_words.use_text(report.use) if report is not None else ""
        why, title = session_words.why(session, *told), domain.sessions.title(session)
        made.append(
            {
                "session": session,
                "title": title,
                "entries": domain.sessions.sharing(session.app_server),
                "why": why,
                "use": use,
            }
        )
    return made


async def stop_session(request: web.Request) -> web.StreamResponse:
    await request.config_dict[DOMAIN].sessions.stop(request[ACTOR], request.match_info["id"])
    return see_other("/admin/sessions", "session-stopped")


async def stop_sessions(request: web.Request) -> web.StreamResponse:
    """Those that were ticked."""
    posted = await request.post()
    ids = [value[:128] for value in posted.getall("id", []) if isinstance(value, str)]
    told, problems = await request.config_dict[DOMAIN].overseeing.stop(request[ACTOR], ids)
    if not problems:
        return see_other("/admin/sessions", "sessions-stopped")
    text = ngettext("1 session is being stopped.", "{n} sessions are being stopped.", told)
    return await sessions(request, problem=f"{text} {' '.join(dict.fromkeys(problems))}", status=409)


async def jobs(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    part, actor = request.config_dict[DOMAIN].jobs, request[ACTOR]
    state, kind = asked_text(request, "state", 20), asked_text(request, "kind", 60)
    chosen = JobState(state) if state in list(JobState) else None
    found, cursor = await part.list(
        actor, state=chosen, kind=kind, limit=_PAGE, cursor=asked_text(request, "cursor", 500)
    )
    shown = {
        "jobs": found,
        "workers": await part.workers(actor),
        "state_asked": state if chosen else "",
        "kind": kind,
        "kinds": [*JOBS, *([kind] if kind and kind not in JOBS else [])],
        "states": [str(each) for each in JobState],
        "problem": problem,
        **page_links(request, cursor),
    }
    return render(request, "admin/jobs.html", shown, status=status)


@again(jobs)
async def cancel_job(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].jobs.cancel(request[ACTOR], request.match_info["id"])
    return see_other("/admin/jobs", "job-cancelled")


@again(jobs)
async def retry_job(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].jobs.retry(request[ACTOR], request.match_info["id"])
    return see_other("/admin/jobs", "job-again")


@again(jobs)
async def prioritize_job(request: web.Request, form: Form) -> web.StreamResponse:
    priority = form.number("priority", 0)
    await request.config_dict[DOMAIN].jobs.prioritize(request[ACTOR], request.match_info["id"], priority)
    return see_other("/admin/jobs", "job-priority")


async def projects(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    sort, state, search = (asked_text(request, name, 200) for name in ("sort", "state", "q"))
    sort = sort or "updated"
    found, cursor, total = await request.config_dict[DOMAIN].overseeing.projects(
        request[ACTOR], search, sort, state, _PAGE, asked_text(request, "cursor", 500)
    )
    shown = {
        "projects": found,
        "total": total,
        "sort": sort,
        "state_asked": state,
        "search": search,
        "problem": problem,
    }
    return render(request, "admin/projects.html", {**shown, **page_links(request, cursor)}, status=status)


async def stop_project(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    owner, _, name = form.text("project", 200).partition("/")
    await request.config_dict[DOMAIN].projects.stop(request[ACTOR], owner, name)
    return see_other("/admin/projects", "project-stopped")


A = Permission.ADMIN
URLS = [
    Url("GET", "/admin/sessions", sessions, A),
    Url("POST", "/admin/sessions/stop", stop_sessions, A),
    Url("POST", "/admin/sessions/{id}/stop", stop_session, A),
    Url("GET", "/admin/jobs", jobs, A),
    Url("POST", "/admin/jobs/{id}/cancel", cancel_job, A),
    Url("POST", "/admin/jobs/{id}/retry", retry_job, A),
    Url("POST", "/admin/jobs/{id}/priority", prioritize_job, A),
    Url("GET", "/admin/projects", projects, A),
    Url("POST", "/admin/projects/stop", stop_project, A),
]
