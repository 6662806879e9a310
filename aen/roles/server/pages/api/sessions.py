"""API, sessions: opening apps, looking, stopping; live events (SSE) of projects, sessions and one's own account."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from aen.apps import catalog
from aen.errors import AenError, NotFound
from aen.model import Word
from aen.model.session import Session
from aen.roles.server.events import LOGIN_ENDED, Happened
from aen.roles.server.pages.api.api import PREFIX, Nothing, Paging, answer, asked, body, listed, part, query
from aen.roles.server.pages.api.views import AppView, PageOf, SessionViewOfApi
from aen.roles.server.permissions import Permission, check
from aen.roles.server.project.presence import topic as here_topic
from aen.roles.server.urls import Url

#: What a stream of a project or session tells of one's own account: that there is nothing more to see.
_ABOUT_ME = frozenset({LOGIN_ENDED, "project-left", "project-deleted"})


class NewSession(Word):
    """Which app to open: jupyterlab, notebook, terminal, or one of the site's own."""

    app: str = Field(max_length=100)


class Keep(Word):
    """For how many hours from now an idle session is not to be stopped; 0: no longer than others."""

    hours: float = Field(ge=0, le=100_000)


class SessionQuery(Paging):
    """`of`: one's own sessions, or (administrators) everybody's."""

    of: Literal["me", "all"] = "me"
    phase: Literal["", "QUEUED", "STARTING", "RUNNING", "STOPPING", "STOPPED", "PROBLEM", "LOST"] = ""


class LogQuery(Word):
    """How many of the last lines."""

    lines: int = Field(200, ge=1, le=5000)


class LogView(Word):
    """The end of an app server's log."""

    text: str


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


async def of_project(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.sessions.of_project(actor, *_where(request))
    return listed([domain.sessions.view(session) for session in found])


async def open_app(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, NewSession)
    session = await domain.sessions.open(actor, *_where(request), wanted.app)
    return answer(domain.sessions.view(session), 202)


async def sessions(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, SessionQuery)
    if q.of == "all":
        found, next = await domain.sessions.all(actor, q.phase, q.most, q.cursor)
    else:
        found, next = await domain.sessions.of_user(actor, actor.name), ""
        found = [session for session in found if q.phase in ("", session.phase)][: q.most]
    return listed([domain.sessions.view(session) for session in found], next)


async def session(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(domain.sessions.view(await domain.sessions.get(actor, part(request, "id"))))


async def stop(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(domain.sessions.view(await domain.sessions.stop(actor, part(request, "id"))), 202)


async def keep(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Keep)
    return answer(domain.sessions.view(await domain.sessions.keep(actor, part(request, "id"), wanted.hours)))


async def session_log(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, LogQuery)
    return answer(LogView(text=await domain.sessions.log(actor, part(request, "id"), q.lines)))


async def apps(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    found = catalog(domain.config).values()
    return listed([AppView.model_validate(_app(app)) for app in found])


def _app(app: Any) -> dict[str, str]:
    values = {name: getattr(app, name) for name in ("name", "title", "description", "icon")}
    return {**values, "app_server": app.server}


async def project_events(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    project = await domain.projects.get(actor, *_where(request))
    in_team = project.role_of(actor.name) is not None

    async def still() -> bool:
        now = await domain.projects.by_id(project.id)
        current = await _current(request)
        if now is None or current is None:
            return False
        check(current, Permission.VIEW, now)
        return True

    topics = [f"project:{project.id}"]
    if in_team or actor.admin:
        topics.append(here_topic(project.id))
    with contextlib.ExitStack() as stack:
        if in_team and actor.user is not None and not (actor.login and actor.login.acting):
            stack.enter_context(domain.presence.open(project.id, actor.name))
        return await _stream(request, topics, still)


async def session_events(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found: Session = await domain.sessions.get(actor, part(request, "id"))

    async def still() -> bool:
        current = await _current(request)
        if current is None:
            return False
        await domain.sessions.get(current, found.id)
        return True

    return await _stream(request, [f"session:{found.id}"], still)


async def my_events(request: web.Request) -> web.StreamResponse:
    _, actor = asked(request)

    async def still() -> bool:
        current = await _current(request)
        return current is not None and current.admin == actor.admin

    topics = [f"user:{actor.name}"] if actor.user is not None else []
    return await _stream(request, [*topics, "nodes", "jobs"] if actor.admin else topics, still)


async def _stream(request: web.Request, topics: list[str], still: Callable[[], Awaitable[bool]]) -> web.StreamResponse:
    """The stream; it ends at once with the login and with the right to see the project; within seconds when `still` says no else."""
    domain, actor = asked(request)

    async def still_allowed() -> bool:
        try:
            return await still()
        except AenError:
            return False

    def shown(event: Happened) -> bool:
        return event.topic in topics or event.kind in _ABOUT_ME

    return await domain.events.stream(request, {*topics, f"user:{actor.name}"}, still_allowed, shown=shown)


async def _current(request: web.Request) -> Any:
    """Who the asker is now: None when their login has ended since."""
    domain, actor = asked(request)
    if actor.local:
        return actor
    if actor.login is None:
        raise NotFound("This login has ended.")
    return await domain.accounts.actor_now(actor)


P = Permission
_PROJECT = f"{PREFIX}/projects/{{owner}}/{{name}}"
_ONE = f"{PREFIX}/sessions/{{id}}"
_LIST = PageOf[SessionViewOfApi]
URLS = [
    Url("GET", f"{_PROJECT}/sessions", of_project, P.VIEW, gives=_LIST, summary="A project's sessions"),
    Url("POST", f"{_PROJECT}/sessions", open_app, P.LOOK, NewSession, SessionViewOfApi, 202, summary="Open an app"),
    Url("GET", f"{PREFIX}/sessions", sessions, P.LIST, None, _LIST, 200, SessionQuery, "Sessions"),
    Url("GET", _ONE, session, P.VIEW, gives=SessionViewOfApi, summary="A session"),
    Url("DELETE", _ONE, stop, P.CONTROL, None, SessionViewOfApi, 202, summary="Stop a session"),
    Url("POST", f"{_ONE}/keep", keep, P.CONTROL, Keep, SessionViewOfApi, summary="Keep an idle session for some hours"),
    Url("GET", f"{_ONE}/log", session_log, P.VIEW, None, LogView, 200, LogQuery, "The end of its log"),
    Url("GET", f"{PREFIX}/apps", apps, P.SIGNED_IN, gives=PageOf[AppView], summary="What one can start"),
    Url("GET", f"{_PROJECT}/events", project_events, P.VIEW, summary="Live events of a project (text/event-stream)"),
    Url("GET", f"{_ONE}/events", session_events, P.VIEW, summary="Live events of a session (text/event-stream)"),
    Url("GET", f"{PREFIX}/events", my_events, P.SIGNED_IN, summary="Live events of one's account (text/event-stream)"),
]
