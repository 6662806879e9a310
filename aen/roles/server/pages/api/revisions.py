"""API, revisions: a project's folders as git repositories."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.errand import ErrandReport
from aen.model.revision import Committed, Differences, GitKey, Restored, RevisionPage, RevisionStatus
from aen.roles.server.pages.api.api import PREFIX, Nothing, answer, asked, body, nothing, part, query
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class FolderQuery(Word):
    """Which folder of the project, percent-encoded; empty: the project itself."""

    folder: str = Field("", max_length=3000)


class HistoryQuery(FolderQuery):
    """From which revision on; of which file alone."""

    skip: int = Field(0, ge=0, le=1_000_000)
    path: str = Field("", max_length=3000)


class DifferenceQuery(FolderQuery):
    """Of which file alone."""

    path: str = Field("", max_length=3000)


class CompareQuery(DifferenceQuery):
    """`revision` against `other`; without `other` against the files as they are; without both the last revision."""

    revision: str = Field("", max_length=64)
    other: str = Field("", max_length=64)


class Folder(Word):
    """Which folder of the project, percent-encoded; empty: the project itself."""

    folder: str = Field("", max_length=3000)


class NewRevision(Folder):
    """What becomes a revision: files as the status tells them, percent-encoded."""

    message: str = Field(max_length=20_000)
    files: list[str]


class GoBack(Folder):
    """To which revision; one file (percent-encoded) or all; `keep`: what is not committed is kept as a branch."""

    revision: str = Field(max_length=64)
    path: str = Field("", max_length=3000)
    keep: bool = False


class Remote(Folder):
    """Where the other side is: https://…, ssh://… or user@host:path."""

    url: str = Field(max_length=1000)


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


async def status(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer((await domain.revisions.status(actor, *_where(request), query(request, FolderQuery).folder))[1])


async def begin(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(await domain.revisions.begin_here(actor, *_where(request), (await body(request, Folder)).folder), 201)


async def commit(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewRevision)
    return answer(await domain.revisions.commit(actor, *_where(request), new.message, new.files, new.folder), 201)


async def history(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = query(request, HistoryQuery)
    return answer(await domain.revisions.history(actor, *_where(request), wanted.folder, wanted.skip, wanted.path))


async def show(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = query(request, DifferenceQuery)
    revision = part(request, "revision")
    _, found = await domain.revisions.show(actor, *_where(request), revision, wanted.folder, wanted.path)
    return answer(found)


async def compare(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = query(request, CompareQuery)
    _, found = await domain.revisions.compare(
        actor, *_where(request), wanted.folder, wanted.path, wanted.revision, wanted.other
    )
    return answer(found)


async def restore(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    back = await body(request, GoBack)
    return answer(
        await domain.revisions.restore(actor, *_where(request), back.revision, back.path, back.folder, keep=back.keep)
    )


async def set_remote(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Remote)
    await domain.revisions.set_remote(actor, *_where(request), wanted.url, wanted.folder)
    return nothing()


async def clone(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Remote)
    return answer(await domain.revisions.talk(actor, *_where(request), "clone", wanted.folder, wanted.url), 202)


async def talk(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Folder)
    return answer(await domain.revisions.talk(actor, *_where(request), part(request, "act"), wanted.folder), 202)


async def under_way(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.revisions.under_way(actor, *_where(request))
    return answer(found) if found is not None else nothing()


async def key(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(await domain.revisions.key(actor, *_where(request)))


async def make_key(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(await domain.revisions.key(actor, *_where(request), make=True), 201)


P = Permission
_ALL = f"{PREFIX}/projects/{{owner}}/{{name}}/revisions"
URLS = [
    Url("GET", _ALL, history, P.LOOK, None, RevisionPage, 200, HistoryQuery, "Revisions of a folder, newest first"),
    Url("POST", _ALL, commit, P.RUN, NewRevision, Committed, 201, summary="Commit the chosen files"),
    Url("GET", f"{_ALL}/status", status, P.LOOK, None, RevisionStatus, 200, FolderQuery, "What is not committed"),
    Url("GET", f"{_ALL}/compare", compare, P.LOOK, None, Differences, 200, CompareQuery, "What differs"),
    Url("GET", f"{_ALL}/key", key, P.LOOK, gives=GitKey, summary="One's key for git on the project's node"),
    Url("POST", f"{_ALL}/key", make_key, P.RUN, Nothing, GitKey, 201, summary="Make that key"),
    Url("GET", f"{_ALL}/remote", under_way, P.LOOK, gives=ErrandReport, summary="How one's clone, pull, push is doing"),
    Url("PUT", f"{_ALL}/remote", set_remote, P.RUN, Remote, None, 204, summary="Say where the remote is"),
    Url("POST", f"{_ALL}/begin", begin, P.RUN, Folder, RevisionStatus, 201, summary="Make a repository of a folder"),
    Url("POST", f"{_ALL}/clone", clone, P.RUN, Remote, ErrandReport, 202, summary="Clone a remote into a folder"),
    Url("POST", f"{_ALL}/restore", restore, P.RUN, GoBack, Restored, summary="A file, or all, as it was then"),
    Url("POST", f"{_ALL}/remote/{{act}}", talk, P.RUN, Folder, ErrandReport, 202, summary="fetch, pull or push"),
    Url(
        "GET", f"{_ALL}/{{revision}}", show, P.LOOK, None, Differences, 200, DifferenceQuery, "What a revision changed"
    ),
]
