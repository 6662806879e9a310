"""API, search: results, tags, kept searches, related projects; copying, exporting and importing projects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.content import SavedSearch
from aen.roles.server.pages.api.api import PREFIX, Paging, answer, asked, body, listed, nothing, part, query
from aen.roles.server.pages.api.views import JobView, PageOf, ProjectView, job_view, project_view
from aen.roles.server.permissions import Actor, Permission, check
from aen.roles.server.search import LONGEST, Hit
from aen.roles.server.urls import Url


class SearchQuery(Paging):
    """What to search for. Without a kind, the first one that has results."""

    q: str = Field(max_length=LONGEST)
    kind: Literal["", "projects", "people", "tags", "files"] = ""


class SearchHit(Word):
    """One result. `before`, `hit` and `after` are a place in the file's text, where there is one."""

    kind: str
    title: str
    url: str
    detail: str = ""
    before: str = ""
    hit: str = ""
    after: str = ""


class SearchPage(Word):
    """One page of results of one kind; `counts` says how many there are of each (200 at most)."""

    kind: str
    counts: dict[str, int]
    items: list[SearchHit]
    next: str = ""


class TagQuery(Word):
    """Tags that begin so."""

    q: str = Field("", max_length=40)
    limit: int = Field(30, ge=1, le=200)


class TagView(Word):
    """A tag, and how many of the projects that the asker may see bear it."""

    name: str
    projects: int


class NewSearch(Word):
    """A search to keep."""

    q: str = Field(max_length=LONGEST)
    kind: Literal["", "projects", "people", "tags", "files"] = ""
    title: str = Field("", max_length=80)


class SavedView(Word):
    """A kept search."""

    id: str
    title: str
    q: str
    kind: str
    created: int


class CopyName(Word):
    """The copy's name; empty: the same one."""

    name: str = Field("", max_length=100)


class MadeView(Word):
    """A project that is being made, and the job that fills it."""

    project: ProjectView
    job: JobView


class ImportQuery(Word):
    """What the new project is called, and where it goes."""

    name: str = Field(max_length=100)
    datacenter: str = Field("", max_length=100)
    owner: str = Field("", max_length=64)  # for administrators: whose it becomes


def hit_view(hit: Hit) -> SearchHit:
    """A result as the API tells it."""
    before, found, after = hit.snippet
    detail = str(hit.number) if hit.kind == "tags" else hit.detail
    return SearchHit(
        kind=hit.kind, title=hit.title, url=hit.address, detail=detail, before=before, hit=found, after=after
    )


def _saved_view(one: SavedSearch) -> SavedView:
    return SavedView(id=one.id, title=one.title, q=one.words, kind=one.kind, created=one.created)


async def search(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, SearchQuery)
    found = await domain.search.find(actor, q.q, q.kind, q.most, q.cursor)
    items = [hit_view(hit) for hit in found.hits]
    return answer(SearchPage(kind=found.kind, counts=found.counts, items=items, next=found.next))


async def suggestions(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return listed([hit_view(hit) for hit in await domain.search.suggest(actor, query(request, SearchQuery).q)])


async def tags(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, TagQuery)
    return listed([TagView(name=tag, projects=n) for tag, n in await domain.tags.counts(actor, q.q, q.limit)])


async def saved(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return listed([_saved_view(one) for one in await domain.search.saved(actor)])


async def save(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewSearch)
    return answer(_saved_view(await domain.search.save(actor, new.q, new.kind, new.title)), 201)


async def forget(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await domain.search.forget(actor, part(request, "id"))
    return nothing()


async def related(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.related.of(actor, part(request, "owner"), part(request, "name"), 20)
    return listed([project_view(one.project, actor, domain.config.server.url) for one in found])


async def copy(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    name = (await body(request, CopyName)).name
    project, job = await domain.archives.copy(actor, part(request, "owner"), part(request, "name"), name)
    view = project_view(project, actor, domain.config.server.url)
    return answer(MadeView(project=view, job=job_view(job)), 202)


async def export(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    name, chunks = await domain.archives.export(actor, part(request, "owner"), part(request, "name"))
    return await send(request, name, chunks)


async def send(request: web.Request, name: str, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    """An archive as a download; when it fails on the way, the connection is cut, so that nobody takes it for a whole one."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/gzip",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    try:
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except BaseException:
        if request.transport is not None:
            request.transport.abort()
        raise
    return response


async def import_(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, ImportQuery)
    if q.owner and q.owner != actor.name:
        check(actor, Permission.ADMIN)
        actor = Actor(await domain.accounts.get(actor, q.owner))
    project, job = await domain.archives.import_(actor, q.name, request.content.iter_chunked(1 << 18), q.datacenter)
    view = project_view(project, actor, domain.config.server.url)
    return answer(MadeView(project=view, job=job_view(job)), 202)


P = Permission
_ONE = f"{PREFIX}/projects/{{owner}}/{{name}}"
_OWN = f"{PREFIX}/searches"
URLS = [
    Url("GET", f"{PREFIX}/search", search, P.SIGNED_IN, None, SearchPage, 200, SearchQuery, "Search"),
    Url(
        "GET",
        f"{PREFIX}/search/suggestions",
        suggestions,
        P.SIGNED_IN,
        None,
        PageOf[SearchHit],
        200,
        SearchQuery,
        "The best few of each kind, as one types",
    ),
    Url("GET", f"{PREFIX}/tags", tags, P.SIGNED_IN, None, PageOf[TagView], 200, TagQuery, "Tags, most used first"),
    Url("GET", _OWN, saved, P.SIGNED_IN, gives=PageOf[SavedView], summary="One's kept searches"),
    Url("POST", _OWN, save, P.ACCOUNT, NewSearch, SavedView, 201, summary="Keep a search"),
    Url("DELETE", f"{_OWN}/{{id}}", forget, P.ACCOUNT, status=204, summary="Remove a kept search"),
    Url("GET", f"{_ONE}/related", related, P.VIEW, gives=PageOf[ProjectView], summary="Related projects"),
    Url("POST", f"{_ONE}/copy", copy, P.LOOK, CopyName, MadeView, 202, summary="Copy a project"),
    Url("GET", f"{_ONE}/export", export, P.VIEW, summary="Download as one archive (tar, gzip)"),
    Url(
        "POST",
        f"{PREFIX}/imports",
        import_,
        P.CREATE,
        None,
        MadeView,
        202,
        ImportQuery,
        "Make a project of an archive, which is the body",
    ),
]
