"""Changing: the addresses that make, move, delete, upload and save. Work on disk is done in threads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aen_languages import size as size_text
from aiohttp import web

from . import access, changes, texts, trash
from .paths import from_wire, new_name
from .state import STATE, answer, data_of, path_of, root_of, word
from .uploads import Upload
from .words import Trouble

_PIECE = 1 << 20


async def make(request: web.Request) -> web.Response:
    """A new file or folder."""
    data = await data_of(request)
    places, name = request.app[STATE].places, new_name(word(data, "name"))
    return await answer(changes.make, places, from_wire(word(data, "folder")), name, word(data, "kind"))


async def rename(request: web.Request) -> web.Response:
    """Another name."""
    data = await data_of(request)
    path, name = from_wire(word(data, "path")), new_name(word(data, "name"))
    return await answer(changes.rename, request.app[STATE].places, path, name)


async def move(request: web.Request) -> web.Response:
    """Into another folder."""
    data = await data_of(request)
    places, path, into = request.app[STATE].places, from_wire(word(data, "path")), from_wire(word(data, "folder"))
    return await answer(changes.move, places, path, into)


async def copy(request: web.Request) -> web.Response:
    """A copy."""
    data = await data_of(request)
    places, path, into = request.app[STATE].places, from_wire(word(data, "path")), from_wire(word(data, "folder"))
    request.app[STATE].uploads.check_room(into, 1)  # how much it will be is known only when it is done
    return await answer(changes.copy, places, path, into)


async def delete(request: web.Request) -> web.Response:
    """To the trash, or with `forever` for good."""
    data = await data_of(request)
    work = trash.remove if data.get("forever") is True else trash.put
    return await answer(work, request.app[STATE].places, from_wire(word(data, "path")))


async def trash_restore(request: web.Request) -> web.Response:
    """Put one thing back."""
    data = await data_of(request)
    root = root_of(request, word(data, "root"))
    return await answer(trash.restore, request.app[STATE].places, root, word(data, "entry"))


async def trash_empty(request: web.Request) -> web.Response:
    """Delete all of it, or one thing, for good."""
    data = await data_of(request)
    root = root_of(request, word(data, "root"))
    return await answer(trash.empty, request.app[STATE].places, root, word(data, "entry"))


def _upload(request: web.Request) -> Upload:
    query = request.query
    size = query.get("size", "")
    if not size.isdigit() or len(size) > 15 or len(query.get("key", "")) > 200:
        raise Trouble(400, "request", "The upload's size or key is missing.")
    return Upload(path_of(request, "folder"), new_name(query.get("name", "")), int(size), query.get("key", ""))


async def upload_begin(request: web.Request) -> web.Response:
    """How much of a file is here already."""
    return await answer(request.app[STATE].uploads.begin, _upload(request))


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
    return await answer(request.app[STATE].uploads.finish, _upload(request), request.query.get("taken", ""))


async def upload_cancel(request: web.Request) -> web.Response:
    """It is not wanted any more."""
    return await answer(request.app[STATE].uploads.cancel, _upload(request))


async def upload_forget(request: web.Request) -> web.Response:
    """Remove what uploads that were broken off left in a folder."""
    return await answer(request.app[STATE].uploads.forget, path_of(request, "folder"))


async def text_save(request: web.Request) -> web.Response:
    """Save it, if it is still the one that If-Match names."""
    match = request.headers.get("If-Match", "").strip('"')
    if not match:
        raise Trouble(428, "request", "If-Match is missing: it says which version was edited.")
    parts, size = [], 0
    async for piece in request.content.iter_chunked(_PIECE):
        size += len(piece)
        if size > texts.LARGEST:
            raise Trouble(413, "too-large", f"A text of more than {size_text(texts.LARGEST)} can't be saved here.")
        parts.append(piece)
    keep = request.query.get("keep") == "1"
    return await answer(texts.save, request.app[STATE].places, path_of(request), b"".join(parts), match, keep=keep)


async def access_change(request: web.Request) -> web.Response:
    """Give it other rights; with `dry=1` only tell what that would do."""
    asked = access.Asked.of(await data_of(request))
    dry = request.query.get("dry") == "1"
    return await answer(access.change, request.app[STATE].places, path_of(request), asked, dry)
