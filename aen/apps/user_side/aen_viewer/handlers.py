"""Handlers: an address below the prefix is a path in the project. Folders are listed, files shown, `?raw=1` gives them as they are."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
import os
import stat
import time
from dataclasses import dataclass, field, replace
from urllib.parse import quote_from_bytes

from aen_languages import gettext as _
from aen_languages import said
from aen_workbench import sending
from aen_workbench.doors import Door, speak
from aen_workbench.paths import Places, from_wire, listable
from aen_workbench.words import Trouble, shown, trouble
from aiohttp import web

from .pages import Entry, Frame, error_page, file_page, folder_page

_LARGEST_NOTEBOOK, _LARGEST_TEXT = 32 << 20, 2 << 20  # bytes
_MOST_ENTRIES = 5000
_README = (b"README.md", b"readme.md", b"Readme.md")
_PICTURES = (b".png", b".jpg", b".jpeg", b".gif", b".webp", b".avif", b".bmp", b".svg")
#: No script, no form, nothing from elsewhere. `allow-same-origin` lets pictures of the project come with the login.
_POLICY = (
    "sandbox allow-same-origin allow-popups allow-downloads; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass
class Viewer:
    """What is shown, to whom, below which prefix; and when somebody last looked."""

    places: Places
    door: Door
    prefix: str
    project: str  # owner/name
    only: bytes = b""  # the one thing that is shown, below the project; its page's addresses begin with a secret
    base: bytes = b""  # where the addresses begin, below the project
    home: str = ""  # the address of the project's page
    hash: str = ""  # sha256 of that secret, hex
    active: int = field(default_factory=lambda: int(time.time() * 1000))

    @property
    def frame(self) -> Frame:
        """What is around each page."""
        return Frame(self.project, self.prefix, self.home)


VIEWER = web.AppKey("viewer", Viewer)


async def answer(request: web.Request) -> web.StreamResponse:
    """Any address. What goes wrong becomes a page."""
    viewer = request.app[VIEWER]
    speak(request)
    try:
        response = await _answered(request, viewer)
    except OSError as error:
        response = _failed(viewer, trouble(error))
    except Trouble as error:
        response = _failed(viewer, error)
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    return response


async def _answered(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    viewer.door.check(request)
    asked = request.raw_path.partition("?")[0]
    if not asked.startswith(viewer.prefix):
        raise Trouble(404, "gone", "There is nothing here.")
    inside = asked[len(viewer.prefix) :]
    if inside == ".aen/ready":
        return web.json_response({"last_activity": viewer.active})
    viewer.active = int(time.time() * 1000)
    if viewer.only:
        return await _linked(request, viewer, inside)
    return await _shown(request, viewer, inside)


async def _linked(request: web.Request, viewer: Viewer, inside: str) -> web.StreamResponse:
    """What a link is for: a folder below the link's address, or a file under its own name."""
    secret, slash, inside = inside.partition("/")
    if not hmac.compare_digest(hashlib.sha256(secret.encode()).hexdigest(), viewer.hash):
        raise Trouble(404, "gone", "There is nothing at this address, or the link has ended.")
    here = f"{viewer.prefix}{secret}/"
    if not slash:
        return web.Response(status=302, headers={"Location": here})
    whole = viewer.places.project + b"/" + viewer.only
    above, _slash, name = viewer.only.rpartition(b"/")
    if await asyncio.to_thread(_is_folder, viewer.places, whole):
        base, called = viewer.only, shown(name)
    else:
        address = quote_from_bytes(name, safe="")
        if not inside:
            return web.Response(status=302, headers={"Location": here + address})
        if from_wire("/" + inside) != b"/" + name:
            raise Trouble(404, "gone", "There is nothing of that name here.")
        base, called = above, _("Shared file")
    seen = replace(viewer, prefix=here, project=called, base=b"/" + base if base else b"")
    try:
        return await _shown(request, seen, inside)
    except Trouble as error:
        return _failed(seen, error)
    except OSError as error:
        return _failed(seen, trouble(error))


async def _shown(request: web.Request, viewer: Viewer, inside: str) -> web.StreamResponse:
    path = from_wire("/" + inside)
    if any(part.startswith(b".") for part in path.split(b"/")):
        raise Trouble(404, "gone", "There is nothing of that name here (hidden files are not shown).")
    whole = viewer.places.project + viewer.base + (path if path != b"/" else b"")
    if await asyncio.to_thread(_is_folder, viewer.places, whole):
        return await _folder(viewer, path, whole, inside)
    if inside.endswith("/"):
        raise Trouble(404, "gone", "It is no folder.")
    if request.query.get("raw") == "1" or request.headers.get("Sec-Fetch-Dest") == "image":
        return await _raw(request, viewer, whole)
    return _page(file_page(viewer.frame, path, await asyncio.to_thread(_content, viewer, whole)))


def _is_folder(places: Places, whole: bytes) -> bool:
    if whole == places.project:
        return True
    with places.parent(whole) as (folder, name):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        raise Trouble(404, "link", "This is a link: it is not followed here. Open what it leads to instead.")
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise Trouble(404, "no-file", "This is no file that can be shown.")
    return stat.S_ISDIR(mode)


async def _folder(viewer: Viewer, path: bytes, whole: bytes, inside: str) -> web.StreamResponse:
    if inside and not inside.endswith("/"):  # so that relative addresses in its README are right
        return web.Response(status=301, headers={"Location": _address(viewer, path) + "/"})
    entries, more = await asyncio.to_thread(_listed, viewer.places, whole)
    readme = next((each.raw for each in entries if each.raw in _README and not each.folder), None)
    below = await asyncio.to_thread(_rendered, viewer.places, whole + b"/" + readme) if readme else ""
    return _page(folder_page(viewer.frame, path, entries, more, below))


def _listed(places: Places, whole: bytes) -> tuple[list[Entry], bool]:
    """What a folder holds, folders first, hidden files and links left out; and whether there is more."""
    with places.folder(whole) as pinned:
        fd = listable(pinned)
        try:
            names = sorted(os.fsencode(name) for name in os.listdir(fd) if not name.startswith("."))
            entries = [_entry(fd, name) for name in names[:_MOST_ENTRIES]]
        finally:
            os.close(fd)
    found = sorted((each for each in entries if each), key=lambda each: (not each.folder, each.name.lower()))
    return found, len(names) > _MOST_ENTRIES


def _entry(fd: int, name: bytes) -> Entry | None:
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return None
    folder = stat.S_ISDIR(status.st_mode)
    if not folder and not stat.S_ISREG(status.st_mode):
        return None
    return Entry(shown(name), name, quote_from_bytes(name, safe=""), folder, status.st_size, int(status.st_mtime))


def _content(viewer: Viewer, whole: bytes) -> str:
    """A file as HTML. Runs in a thread."""
    name = whole.rpartition(b"/")[2]
    if name.lower().endswith(_PICTURES):
        return f'<p class="picture"><img alt="{html.escape(shown(name))}" src="{_raw_address(name)}"></p>'
    return _rendered(viewer.places, whole)


def _rendered(places: Places, whole: bytes) -> str:
    from . import rendering

    name = shown(whole.rpartition(b"/")[2])
    lower = name.lower()
    most = _LARGEST_NOTEBOOK if lower.endswith(".ipynb") else _LARGEST_TEXT
    text = _text(places, whole, most)
    if text is None:
        return _note(_("This can't be shown as text, or is too large for it. Download it instead."))
    if lower.endswith(".ipynb"):
        try:
            return rendering.notebook(text)
        except ValueError:
            return _note(_("This is no notebook that can be read.")) + rendering.code(text, "x.json")
    return rendering.markdown(text) if lower.endswith((".md", ".markdown")) else rendering.code(text, name)


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _text(places: Places, whole: bytes, most: int) -> str | None:
    """What is in a file, or None when it is too long or no text."""
    with places.file(whole) as fd:
        if os.fstat(fd).st_size > most:
            return None
        data = bytearray()
        while len(data) <= most and (piece := os.read(fd, 1 << 20)):
            data += piece
    if len(data) > most or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


async def _raw(request: web.Request, viewer: Viewer, whole: bytes) -> web.StreamResponse:
    """The file as it is: pictures and text to look at, the rest to keep. Nothing of it can act here."""
    if whole.lower().endswith(_PICTURES):
        return await sending.picture(request, viewer.places, whole)
    text = await asyncio.to_thread(_text, viewer.places, whole, _LARGEST_TEXT)
    if text is None:
        return await sending.file(request, viewer.places, whole)
    return web.Response(text=text, content_type="text/plain", charset="utf-8")


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def _failed(viewer: Viewer, error: Trouble) -> web.Response:
    return _page(error_page(viewer.frame, error.status, said(error.message)), error.status)


def _address(viewer: Viewer, path: bytes) -> str:
    return viewer.prefix + quote_from_bytes(path.lstrip(b"/"), safe="/")


def _raw_address(name: bytes) -> str:
    return "./" + quote_from_bytes(name, safe="") + "?raw=1"
