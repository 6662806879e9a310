"""Handlers: each address of the Workbench's API. Paths come as `path`, percent-encoded bytes; work on disk is done in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from . import access, changes, folders, sending, texts, trash
from .doors import DOOR
from .paths import Places, from_wire, new_name, to_wire
from .uploads import Upload, Uploads
from .words import Trouble, shown

PAGE = Path(__file__).with_name("page")
_PIECE = 1 << 20


@dataclass
class State:
    """What this Workbench is: whose, where, and when somebody last did something."""

    places: Places
    user: str
    project: str  # owner/name
    isolated: bool
    uploads: Uploads
    active: int = field(default_factory=lambda: int(time.time() * 1000))


STATE = web.AppKey("state", State)


def _path(request: web.Request, name: str = "path") -> bytes:
    return from_wire(request.query.get(name, ""))


async def _data(request: web.Request) -> dict[str, Any]:
    try:
        data = await request.json()
    except ValueError:
        raise Trouble(400, "request", "The request is no JSON.") from None
    if not isinstance(data, dict):
        raise Trouble(400, "request", "The request is no JSON object.")
    return data


def _word(data: dict[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str):
        raise Trouble(400, "request", f"{name} must be text.")
    return value


async def _answer(work: Callable[..., Any], *arguments: Any, **more: Any) -> web.Response:
    return web.json_response(await asyncio.to_thread(work, *arguments, **more))


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────


async def page(request: web.Request) -> web.Response:
    """The page. Its token is what other sites can't know."""
    text = (PAGE / "index.html").read_text().replace("{{xsrf}}", request.app[DOOR].xsrf)
    return web.Response(text=text, content_type="text/html")


async def about(request: web.Request) -> web.Response:
    """Where we are: the project, the home, the person."""
    state = request.app[STATE]
    return web.json_response(
        {
            "user": state.user,
            "project": state.project,
            "root": to_wire(state.places.project),
            "home": to_wire(state.places.home),
            "isolated": state.isolated,
            "largest_text": texts.LARGEST,
        }
    )


async def ready(request: web.Request) -> web.Response:
    """When somebody last did something here, for those who stop forgotten sessions."""
    state = request.app[STATE]
    return web.json_response({"last_activity": state.active, "busy": state.uploads.under_way})


async def folder(request: web.Request) -> web.Response:
    """What is in a folder."""
    query = request.query
    view = folders.View(query.get("sort", "name"), query.get("desc") == "1", query.get("hidden") == "1")
    return await _answer(folders.look, request.app[STATE].places, _path(request), view)


async def resolve(request: web.Request) -> web.Response:
    """Where a link, or a path that somebody typed, leads."""
    typed = request.query.get("typed")
    path = typed.strip().encode() if typed is not None else _path(request)
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
    return await _answer(folders.search, request.app[STATE].places, _path(request), words, stopped)


async def file(request: web.Request) -> web.StreamResponse:
    """Download a file."""
    return await sending.file(request, request.app[STATE].places, _path(request))


async def picture(request: web.Request) -> web.StreamResponse:
    """Show a picture."""
    return await sending.picture(request, request.app[STATE].places, _path(request))


async def archive(request: web.Request) -> web.StreamResponse:
    """Download what `path` (given once or more) names as a zip."""
    paths = [from_wire(text) for text in request.query.getall("path", [])][:1000]
    if not paths:
        raise Trouble(400, "request", "Nothing was named.")
    return await sending.archive(request, request.app[STATE].places, paths)


# ── changing ────────────────────────────────────────────────────────────────────────────────────────


async def make(request: web.Request) -> web.Response:
    """A new file or folder."""
    data = await _data(request)
    places, name = request.app[STATE].places, new_name(_word(data, "name"))
    return await _answer(changes.make, places, from_wire(_word(data, "folder")), name, _word(data, "kind"))


async def rename(request: web.Request) -> web.Response:
    """Another name."""
    data = await _data(request)
    path, name = from_wire(_word(data, "path")), new_name(_word(data, "name"))
    return await _answer(changes.rename, request.app[STATE].places, path, name)


async def move(request: web.Request) -> web.Response:
    """Into another folder."""
    data = await _data(request)
    places, path, into = request.app[STATE].places, from_wire(_word(data, "path")), from_wire(_word(data, "folder"))
    return await _answer(changes.move, places, path, into)


async def copy(request: web.Request) -> web.Response:
    """A copy."""
    data = await _data(request)
    places, path, into = request.app[STATE].places, from_wire(_word(data, "path")), from_wire(_word(data, "folder"))
    return await _answer(changes.copy, places, path, into)


async def delete(request: web.Request) -> web.Response:
    """To the trash, or with `forever` for good."""
    data = await _data(request)
    work = trash.remove if data.get("forever") is True else trash.put
    return await _answer(work, request.app[STATE].places, from_wire(_word(data, "path")))


def _root(request: web.Request, text: str) -> bytes:
    """The project or the home: each has a trash."""
    places, root = request.app[STATE].places, from_wire(text)
    if root not in (places.project, places.home):
        raise Trouble(404, "gone", "There is no trash here.")
    return root


async def trash_look(request: web.Request) -> web.Response:
    """What is in the trash."""
    return await _answer(trash.look, request.app[STATE].places, _root(request, request.query.get("root", "")))


async def trash_restore(request: web.Request) -> web.Response:
    """Put one thing back."""
    data = await _data(request)
    root = _root(request, _word(data, "root"))
    return await _answer(trash.restore, request.app[STATE].places, root, _word(data, "entry"))


async def trash_empty(request: web.Request) -> web.Response:
    """Delete all of it, or one thing, for good."""
    data = await _data(request)
    root = _root(request, _word(data, "root"))
    return await _answer(trash.empty, request.app[STATE].places, root, _word(data, "entry"))


# ── uploads ─────────────────────────────────────────────────────────────────────────────────────────


def _upload(request: web.Request) -> Upload:
    query = request.query
    size = query.get("size", "")
    if not size.isdigit() or len(size) > 15 or len(query.get("key", "")) > 200:
        raise Trouble(400, "request", "The upload's size or key is missing.")
    return Upload(_path(request, "folder"), new_name(query.get("name", "")), int(size), query.get("key", ""))


async def upload_begin(request: web.Request) -> web.Response:
    """How much of a file is here already."""
    return await _answer(request.app[STATE].uploads.begin, _upload(request))


async def upload_piece(request: web.Request) -> web.Response:
    """A piece of it, at `offset`."""
    offset = request.query.get("offset", "")
    if not offset.isdigit() or len(offset) > 15:
        raise Trouble(400, "request", "The offset is missing.")

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in request.content.iter_chunked(_PIECE):
            yield piece

    return web.json_response(await request.app[STATE].uploads.take(_upload(request), int(offset), pieces()))


async def upload_finish(request: web.Request) -> web.Response:
    """It is whole."""
    return await _answer(request.app[STATE].uploads.finish, _upload(request), request.query.get("taken", ""))


async def upload_cancel(request: web.Request) -> web.Response:
    """It is not wanted any more."""
    return await _answer(request.app[STATE].uploads.cancel, _upload(request))


async def upload_forget(request: web.Request) -> web.Response:
    """Remove what uploads that were broken off left in a folder."""
    return await _answer(request.app[STATE].uploads.forget, _path(request, "folder"))


# ── texts, access ───────────────────────────────────────────────────────────────────────────────────


async def text_read(request: web.Request) -> web.Response:
    """A text to be edited."""
    return await _answer(texts.read, request.app[STATE].places, _path(request))


async def text_stamp(request: web.Request) -> web.Response:
    """Whether somebody changed it."""
    known = request.query.get("known", "0")
    number = int(known) if known.isdigit() and len(known) < 20 else 0
    return await _answer(texts.stamp, request.app[STATE].places, _path(request), number)


async def text_save(request: web.Request) -> web.Response:
    """Save it, if it is still the one that If-Match names."""
    match = request.headers.get("If-Match", "").strip('"')
    if not match:
        raise Trouble(428, "request", "If-Match is missing: it says which version was edited.")
    parts, size = [], 0
    async for piece in request.content.iter_chunked(_PIECE):
        size += len(piece)
        if size > texts.LARGEST:
            raise Trouble(413, "too-large", f"A text of more than {texts.LARGEST >> 20} MB can't be saved here.")
        parts.append(piece)
    keep = request.query.get("keep") == "1"
    return await _answer(texts.save, request.app[STATE].places, _path(request), b"".join(parts), match, keep=keep)


async def access_look(request: web.Request) -> web.Response:
    """Who may what."""
    state = request.app[STATE]
    return await _answer(access.look, state.places, _path(request), state.isolated)


async def access_change(request: web.Request) -> web.Response:
    """Give it other rights; with `dry=1` only tell what that would do."""
    asked = access.Asked.of(await _data(request))
    dry = request.query.get("dry") == "1"
    return await _answer(access.change, request.app[STATE].places, _path(request), asked, dry)


ROUTES = [
    web.get("/", page),
    web.get("/api/about", about),
    web.get("/api/ready", ready),
    web.get("/api/folder", folder),
    web.get("/api/resolve", resolve),
    web.get("/api/search", search),
    web.get("/api/file", file),
    web.get("/api/picture", picture),
    web.get("/api/zip", archive),
    web.post("/api/make", make),
    web.post("/api/rename", rename),
    web.post("/api/move", move),
    web.post("/api/copy", copy),
    web.post("/api/delete", delete),
    web.get("/api/trash", trash_look),
    web.post("/api/trash/restore", trash_restore),
    web.post("/api/trash/empty", trash_empty),
    web.get("/api/upload", upload_begin),
    web.put("/api/upload", upload_piece),
    web.post("/api/upload", upload_finish),
    web.delete("/api/upload", upload_cancel),
    web.delete("/api/uploads", upload_forget),
    web.get("/api/text", text_read),
    web.get("/api/text/stamp", text_stamp),
    web.put("/api/text", text_save),
    web.get("/api/access", access_look),
    web.post("/api/access", access_change),
]
