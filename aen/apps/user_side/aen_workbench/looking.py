"""Looking: the addresses that change nothing. Work on disk is done in threads."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path

from aen_languages import LANGUAGE, gettext, spoken
from aiohttp import web

from . import access, folders, sending, texts, trash
from .doors import DOOR
from .paths import from_wire, to_wire
from .state import STATE, answer, path_of, root_of
from .words import Trouble, shown

PAGE = Path(__file__).with_name("page")
_PLACES = re.compile(r"""\{\{ (?:(?P<name>\w+)|_\("(?P<text>[^"]*)"\)) \}\}""")  # as in AEN's templates


async def page(request: web.Request) -> web.Response:
    """The page, in the reader's language. Its token is what other sites can't know."""
    given = {"xsrf": request.app[DOOR].xsrf, "language": LANGUAGE.get(), "words": spoken(PAGE)}

    def put(found: re.Match[str]) -> str:
        return html.escape(given[found["name"]] if found["name"] else gettext(found["text"]))

    text = _PLACES.sub(put, (PAGE / "index.html").read_text())
    return web.Response(text=text, content_type="text/html")


async def about(request: web.Request) -> web.Response:
    """Where we are: the project, the home, the person."""
    state = request.app[STATE]
    return web.json_response(
        {
            "user": state.user,
            "project": state.project,
            "site": state.site,
            "root": to_wire(state.places.project),
            "home": to_wire(state.places.home),
            "isolated": state.isolated,
            "largest_text": texts.LARGEST,
        }
    )


async def ready(request: web.Request) -> web.Response:
    """When somebody last did something here, for those who stop forgotten sessions. They say how much room there is."""
    state = request.app[STATE]
    if "X-Forwarded-For" not in request.headers:  # the node itself asks
        told = request.headers.get("X-AEN-Room", "")
        state.uploads.room = int(told) if told.isascii() and told.isdigit() else None
    return web.json_response({"last_activity": state.active, "busy": state.uploads.under_way})


async def folder(request: web.Request) -> web.Response:
    """What is in a folder."""
    query = request.query
    view = folders.View(query.get("sort", "name"), query.get("desc") == "1", query.get("hidden") == "1")
    return await answer(folders.look, request.app[STATE].places, path_of(request), view)


async def resolve(request: web.Request) -> web.Response:
    """Where a link, or a path that somebody typed, leads."""
    typed = request.query.get("typed")
    path = typed.strip().encode() if typed is not None else path_of(request)
    if not path.startswith(b"/") or b"\0" in path:
        raise Trouble(400, "path", "A path begins with a slash, like /home/bob/data.")
    real = await asyncio.to_thread(folders.resolve, path)
    kind = "folder" if await asyncio.to_thread(Path(real.decode(errors="surrogateescape")).is_dir) else "file"
    return web.json_response({"path": to_wire(real), "name": shown(real), "kind": kind})


async def search(request: web.Request) -> web.Response:
    """What has such a name, below a folder."""
    transport = request.transport

    def stopped() -> bool:
        return transport is None or transport.is_closing()

    words = request.query.get("q", "")[:200]
    return await answer(folders.search, request.app[STATE].places, path_of(request), words, stopped)


async def file(request: web.Request) -> web.StreamResponse:
    """Download a file."""
    return await sending.file(request, request.app[STATE].places, path_of(request))


async def picture(request: web.Request) -> web.StreamResponse:
    """Show a picture."""
    return await sending.picture(request, request.app[STATE].places, path_of(request))


async def archive(request: web.Request) -> web.StreamResponse:
    """Download what `path` (given once or more) names as a zip."""
    paths = [from_wire(text) for text in request.query.getall("path", [])][:1000]
    if not paths:
        raise Trouble(400, "request", "Nothing was named.")
    return await sending.archive(request, request.app[STATE].places, paths)


async def trash_look(request: web.Request) -> web.Response:
    """What is in the trash."""
    return await answer(trash.look, request.app[STATE].places, root_of(request, request.query.get("root", "")))


async def text_read(request: web.Request) -> web.Response:
    """A text to be edited."""
    return await answer(texts.read, request.app[STATE].places, path_of(request))


async def text_stamp(request: web.Request) -> web.Response:
    """Whether somebody changed it."""
    known = request.query.get("known", "0")
    number = int(known) if known.isdigit() and len(known) < 20 else 0
    return await answer(texts.stamp, request.app[STATE].places, path_of(request), number)


async def access_look(request: web.Request) -> web.Response:
    """Who may what."""
    state = request.app[STATE]
    return await answer(access.look, state.places, path_of(request), state.isolated)
