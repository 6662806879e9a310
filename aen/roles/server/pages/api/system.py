"""API, system: jobs, the API's description; and where a gateway sends browsers to be let in."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.roles.server.openapi import describe
from aen.roles.server.pages.api.api import PREFIX, Nothing, Paging, answer, asked, body, listed, part, query
from aen.roles.server.pages.api.views import JobView, PageOf, job_view
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url, table


class JobQuery(Paging):
    """Which jobs; `subject` is what they are about, as `owner/name`."""

    subject: str = Field("", max_length=200)


class EnterQuery(Word):
    """What a gateway asks when it sends a browser."""

    gateway: str = Field(max_length=500)
    nonce: str = Field(max_length=128)
    next: str = Field("/", max_length=4096)


async def jobs(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, JobQuery)
    found, next = await domain.jobs.list(actor, subject=q.subject, limit=q.most, cursor=q.cursor)
    return listed([job_view(job) for job in found], next)


async def job(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(job_view(await domain.jobs.get(actor, part(request, "id"))))


async def cancel_job(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(job_view(await domain.jobs.cancel(actor, part(request, "id"))), 202)


async def description(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    return answer(describe(table(), domain.config.server.url))


async def enter(request: web.Request) -> web.StreamResponse:
    """A signed-in browser goes back to the gateway with a ticket; who is not signed in does that first."""
    domain, actor = asked(request)
    q = query(request, EnterQuery)
    there = await domain.gateways.enter(actor, q.gateway, q.nonce, q.next)
    return web.Response(status=303, headers={"Location": there, "Cache-Control": "no-store"})


P = Permission
_JOBS = PageOf[JobView]
URLS = [
    Url(
        "GET", f"{PREFIX}/jobs", jobs, P.SIGNED_IN, None, _JOBS, 200, JobQuery, "One's own jobs; for administrators all"
    ),
    Url("GET", f"{PREFIX}/jobs/{{id}}", job, P.SIGNED_IN, gives=JobView, summary="A job"),
    Url("DELETE", f"{PREFIX}/jobs/{{id}}", cancel_job, P.ACCOUNT, None, JobView, 202, summary="Cancel a job"),
    Url("GET", f"{PREFIX}/openapi.json", description, P.ANYBODY, summary="This description"),
    Url("GET", "/gateway/enter", enter, P.SIGNED_IN, summary="Where a gateway sends a browser to be let in"),
]
