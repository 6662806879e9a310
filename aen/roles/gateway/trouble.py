"""Trouble: what a person is shown who was not let through, or whose app is not running, or runs and can't be had."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from aen import names
from aen.bus import Bus
from aen.errors import KINDS, AenError, Invalid, NotFound, Unavailable
from aen.languages import said
from aen.messages import OpenSession, SessionView
from aen.model.session import Phase
from aen.proxy.answers import cleared
from aen.roles.gateway.caller import CALLER
from aen.web.redirects import safe_next
from aen.web.site import error_response, render

SERVER_URL = web.AppKey("server_url", str)  # where people find their projects
_ASK_SECONDS = 3.0  # for more than the reason, nobody waits long
_AGAIN_SECONDS = "2"
_BUSY_SECONDS = 5.0
_BY_STATUS = {kind.status: kind for kind in KINDS.values()} | {421: NotFound}


def refusal(request: web.Request, cookie: str, *, secure: bool) -> web.StreamResponse:
    """The data plane let this through to nothing, and says why. `cookie`: our grant's; when it came twice, neither counts."""
    status, _, why = request[CALLER].trouble.partition(" ")
    kind = _BY_STATUS.get(int(status), Invalid)
    response = error_response(request, kind(why, retry_after=_BUSY_SECONDS if status == "429" else None))
    response.set_status(int(status))
    if status == "400":
        key = "/".join(request.path.split("/")[1:4]).encode()
        for line in cleared(cookie.encode(), key, secure=secure).decode().splitlines():
            response.headers.add(*line.split(": ", 1))
    return response


def start_page(
    request: web.Request, owner: str, project: str, server: str, view: SessionView, status: int = 200
) -> web.Response:
    """Nothing runs at this address yet: it starts, and then the very address asked for opens."""
    context = {"owner": owner, "project": project, "app_server": server, "app": "", "view": view}
    context["server_url"] = request.config_dict[SERVER_URL]
    context["next"] = safe_next(request.raw_path, f"/{owner}/{project}/{server}/")
    return render(request, "session/start.html", context, status=status)


def in_their_words(view: SessionView) -> dict[str, Any]:
    """How a session is doing, as the start page's script shows it: in the language of who asks."""
    steps = [{**step.model_dump(mode="json"), "detail": said(step.detail)} for step in view.steps]
    return {**view.model_dump(mode="json"), "reason": said(view.reason), "steps": steps}


async def page(request: web.Request, bus: Bus, owner: str, project: str, server: str) -> web.Response:
    """The data plane could not reach the app that is said to run here. Raises Unavailable for who has no login."""
    caller = request[CALLER]
    status, _, why = caller.trouble.partition(" ")
    if not caller.user:
        raise Unavailable("It can't be shown now. Try again later.", retry_after=5)
    view = await _asked(request, bus, owner, project, server)
    if view is not None and view.phase is not Phase.RUNNING:  # the server knows by now: it ended, and this is why
        response = start_page(request, owner, project, server, view, 503)
    else:
        context = {
            "owner": owner,
            "project": project,
            "app_server": server,
            "view": view,
            "why": why,
            "server_url": request.config_dict[SERVER_URL],
        }
        response = render(request, "session/trouble.html", context, status=int(status))
    response.headers["Retry-After"] = _AGAIN_SECONDS
    return response


async def _asked(request: web.Request, bus: Bus, owner: str, project: str, server: str) -> SessionView | None:
    """What the server knows of the session, with the end of its log; None when it can't be heard."""
    caller = request[CALLER]
    command = OpenSession(
        user=caller.user, login=caller.login, owner=owner, project=project, app_server=server, look=True, tail=True
    )
    try:
        view: SessionView = await bus.request(names.address("server"), command, _ASK_SECONDS)
    except AenError:
        return None
    return view
