"""Site: the aiohttp application under every page: request ids, errors, templates, static files, security headers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import web

from aen.errors import AenError, Internal, Invalid, NotFound, NotSignedIn, new_id
from aen.languages import LANGUAGE, choose, said
from aen.links import without_secret
from aen.web.redirects import to_sign_in
from aen.web.security import SecurityHeaders
from aen.web.static import Assets
from aen.web.templates import Templates
from aen.web.turns import Turns

log = structlog.get_logger(__name__)

_JSON_PATHS = ("/api/", "/.aen/api/")
_BODY_LIMIT = 2 * 1024 * 1024  # bytes; pages and the API take small bodies only


@dataclass
class Site:
    """What a site's handlers share. A role may fill the hooks after `site()` returned.

    `frame(request)` gives what every page needs besides its own context: `me` (a User or None), `csrf`, `banner`, …
    `form_origins()` gives the origins besides our own that an answer to a form may lead to (gateways).
    `sign_in` is the path of the login page; empty: this site has none, and NotSignedIn is shown as an error.
    """

    templates: Templates
    assets: Assets
    security: SecurityHeaders
    frame: Callable[[web.Request], Mapping[str, Any]] = field(default=lambda request: {})
    form_origins: Callable[[], Iterable[str]] = field(default=lambda: ())
    sign_in: str = ""
    turns: Turns = field(default_factory=Turns)


SITE: web.AppKey[Site] = web.AppKey("site", Site)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)


def site(*, static_prefix: str = "/static/", secure: bool = False) -> web.Application:
    """An application to which a role adds its routes (and middlewares, which then run inside ours).

    `secure`: people reach it by https. Templates and static files are read into memory now.
    Handlers raise AenErrors; they never raise web.HTTPException. `render` makes a page.
    """
    assets = Assets(static_prefix)
    app = web.Application(middlewares=[_requests, _errors], client_max_size=_BODY_LIMIT)
    app[SITE] = Site(Templates(assets), assets, SecurityHeaders(secure))
    app.router.add_get(f"{static_prefix}{{path:.+}}", assets.serve)
    app.on_response_prepare.append(_headers)
    return app


def render(
    request: web.Request, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> web.Response:
    """The page that `template` makes of `context` and the site's frame."""
    here = request.config_dict[SITE]
    values = {
        "path": request.path,
        "here": request.path_qs if request.method == "GET" else "",
        "request_id": request.get(REQUEST_ID, ""),
        **here.frame(request),
        **(context or {}),
    }
    html = here.templates.render(template, values)
    return web.Response(
        text=html, status=status, content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-store"}
    )


def wants_json(request: web.Request) -> bool:
    """Whether this request is a script's: by its path, or because it accepts JSON and no HTML."""
    if request.path.startswith(_JSON_PATHS):
        return True
    accept = request.headers.get("Accept", "")
    return "application/json" in accept and "text/html" not in accept


def error_response(request: web.Request, error: AenError) -> web.StreamResponse:
    """`error` as JSON, as a way to the login page, or as a page."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if wants_json(request):
        told = {**error.to_wire(), "message": said(error.message)}
        return web.json_response({"error": told}, status=error.status, headers=headers)
    here = request.config_dict[SITE]
    if isinstance(error, NotSignedIn) and here.sign_in:
        return web.Response(status=303, headers={"Location": to_sign_in(here.sign_in, request.method, request.path_qs)})
    page = render(request, "error.html", {"error": error, "status": error.status}, status=error.status)
    page.headers.update(headers)
    return page


@web.middleware
async def _requests(request: web.Request, handler: Any) -> web.StreamResponse:
    """Give every request an id, on all its log lines and on its answer, and say in the log how it went."""
    request[REQUEST_ID] = new_id()
    LANGUAGE.set(choose("", request.headers.get("Accept-Language", "")))  # until it is known who asks
    began = time.monotonic()
    await request.config_dict[SITE].turns.take()
    with structlog.contextvars.bound_contextvars(request=request[REQUEST_ID]):
        response: web.StreamResponse = await handler(request)
        _say(request, response, time.monotonic() - began)
        return response


def _say(request: web.Request, response: web.StreamResponse, seconds: float) -> None:
    """The access log's line; without the query, which may hold secrets. Static files only at level debug."""
    static = request.path.startswith(request.config_dict[SITE].assets.prefix)
    say = log.debug if static else log.info
    say(
        "request",
        method=request.method,
        path=without_secret(request.path)[:200],
        status=response.status,
        ms=round(seconds * 1000, 1),
        address=(request.remote or "").removeprefix("::ffff:"),  # IPv4 at a listener on all interfaces
    )


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Turn whatever was raised into one of our error forms. A fault of ours gets an id that stands in the log too."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except AenError as error:
        if error.status >= 500:
            log.warning("request failed", code=error.code, error_id=error.id, message=error.message)
        return error_response(request, error)
    except web.HTTPException as error:
        return _from_aiohttp(request, error)
    except asyncio.CancelledError:
        raise
    except Exception:
        fault = Internal(
            "Something went wrong on our side. It has been noted; please try again, and if it stays, "
            "give your administrator the id below."
        )
        log.exception("request failed by a fault", error_id=fault.id)
        return error_response(request, fault)


def _from_aiohttp(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's own 404, 405 and 413 in our form; its redirects as they are."""
    if error.status < 400:
        return error
    if error.status == 404:
        return error_response(request, NotFound("There is no page at this address."))
    if error.status == 413:
        return _with_status(error_response(request, Invalid("That was too large.")), 413)
    if error.status == 405:
        answer = error_response(request, Invalid(f"This address does not take {request.method[:20]} requests."))
        answer.headers["Allow"] = error.headers.get("Allow", "")
        return _with_status(answer, 405)
    return _with_status(error_response(request, Invalid("The request was not well formed.")), error.status)


def _with_status(response: web.StreamResponse, status: int) -> web.StreamResponse:
    response.set_status(status)
    return response


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request id and the security headers on every answer."""
    here = request.config_dict[SITE]
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    here.security.put(response, request.host, here.form_origins())
