"""Sending: files with ranges, pictures for a look, and folders as a zip that is made while it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import stat
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

from aen_languages import gettext as _
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from .paths import HIDDEN, O_LIST, O_READ, PARTIAL, Places, proc
from .words import Trouble, shown

LARGEST_PICTURE = 32 << 20  # bytes
_CHUNK = 256 << 10
_DEEPEST = 200
_NOTE = "LEFT OUT.txt"
_QUIET = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-cache",
}
_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


async def file(request: web.Request, places: Places, path: bytes) -> web.StreamResponse:
    """The file to keep: never shown by the browser, because it shares its origin with apps. Ranges are served."""
    return await _sent(request, places, path, "application/octet-stream", path.rpartition(b"/")[2])


async def picture(request: web.Request, places: Places, path: bytes) -> web.StreamResponse:
    """A picture to be shown. Told by its first bytes; a drawing (SVG) can't run scripts here. Raises Trouble for others."""
    with places.file(path) as fd:
        first = os.read(fd, 512)
        if os.fstat(fd).st_size > LARGEST_PICTURE:
            raise Trouble(413, "too-large", "The picture is too large to be shown here. It can be downloaded.")
    return await _sent(request, places, path, _picture_type(first, path), b"")


async def _sent(request: web.Request, places: Places, path: bytes, kind: str, name: bytes) -> web.StreamResponse:
    with places.file(path) as fd:
        if not os.access(proc(fd), os.R_OK):
            raise PermissionError(13, "denied")
        response = _Once(proc(fd), headers={**_QUIET, "Content-Type": kind})
        if name:
            response.headers["Content-Disposition"] = disposition(shown(name))
        await response.prepare(request)  # sends it all: the descriptor must stay open until then
    return response


class _Once(web.FileResponse):
    """A response that was sent by its handler: aiohttp prepares it again, when the descriptor is gone."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it, the first time."""
        return None if self.prepared else await super().prepare(request)


def _picture_type(first: bytes, path: bytes) -> str:
    for start, kind in _PICTURES:
        if first.startswith(start):
            return kind
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "image/webp"
    if first[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    if path.lower().endswith(b".svg") and b"<" in first:
        return "image/svg+xml"
    raise Trouble(415, "binary", "This is no picture that can be shown here.")


def disposition(name: str) -> str:
    """The header by which a browser saves something under that name."""
    plain = "".join(sign if sign.isascii() and sign.isprintable() and sign not in '"\\%' else "_" for sign in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


# ── folders ─────────────────────────────────────────────────────────────────────────────────────────


async def archive(request: web.Request, places: Places, paths: list[bytes]) -> web.StreamResponse:
    """What `paths` name as one zip. What can't be read, and links, are left out and listed in it."""
    for path in paths:
        with places.parent(path) if path != places.project else contextlib.nullcontext() as above:
            if above:
                os.stat(above[1], dir_fd=above[0], follow_symlinks=False)
    first = shown(paths[0].rpartition(b"/")[2])
    name = f"{first}.zip" if len(paths) == 1 else f"{first} and {len(paths) - 1} more.zip"
    headers = {**_QUIET, "Content-Type": "application/zip", "Content-Disposition": disposition(name)}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    pipe = _Pipe(response, loop)
    work = asyncio.create_task(asyncio.to_thread(_Zip(places, pipe).write, paths))
    try:
        await asyncio.shield(work)
    finally:
        pipe.broken = True  # whoever asked went away: the thread ends at its next piece
        with suppress(Exception):
            await work
    await response.write_eof()
    return response


class _Pipe(io.RawIOBase):
    """What the zip is written to, in a thread: each piece waits until the client took the one before."""

    def __init__(self, response: web.StreamResponse, loop: asyncio.AbstractEventLoop) -> None:
        self._response, self._loop = response, loop
        self._held = bytearray()
        self.broken = False

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object) -> int:
        """Hold small pieces back, so that they travel together."""
        piece = bytes(memoryview(data))  # type: ignore[arg-type]
        self._held += piece
        if len(self._held) >= _CHUNK:
            self.send()
        return len(piece)

    def send(self) -> None:
        """Send what is held back. Raises BrokenPipeError when nobody listens any more."""
        if self.broken:
            raise BrokenPipeError
        data, self._held = bytes(self._held), bytearray()
        asyncio.run_coroutine_threadsafe(self._response.write(data), self._loop).result()


@dataclass
class _Zip:
    """One zip being made."""

    places: Places
    pipe: _Pipe
    left_out: list[str] = field(default_factory=list)

    def write(self, paths: list[bytes]) -> None:
        """All of it. Runs in a thread."""
        with zipfile.ZipFile(self.pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            for path in paths:
                self._top(made, path)
            if self.left_out:
                said = _("Links, and what could not be read:")
                made.writestr(_NOTE, f"{said}\n\n" + "\n".join(self.left_out[:10_000]) + "\n")
        self.pipe.send()

    def _top(self, made: zipfile.ZipFile, path: bytes) -> None:
        name = path.rpartition(b"/")[2]
        try:
            if path == self.places.project:
                with self.places.folder(path) as folder, _opened(folder, b".") as fd:
                    self._inside(made, fd, name + b"/", 0, but=(b"envs",))
                self.left_out.append(shown(name) + "/envs/ (environments can be made again)")
                return
            with self.places.parent(path) as (parent, _name):
                self._one(made, parent, name, b"", 0)
        except (OSError, Trouble):
            self.left_out.append(shown(name))

    def _inside(self, made: zipfile.ZipFile, fd: int, place: bytes, depth: int, but: tuple[bytes, ...] = ()) -> None:
        made.writestr(zipfile.ZipInfo(_zip_name(place), time.localtime()[:6]), b"")
        for each in sorted(os.fsencode(name) for name in os.listdir(fd)):
            if each in HIDDEN or each.startswith(PARTIAL) or each in but:
                continue
            try:
                self._one(made, fd, each, place, depth)
            except BrokenPipeError:
                raise
            except OSError:
                self.left_out.append(shown(place + each))

    def _one(self, made: zipfile.ZipFile, parent: int, name: bytes, place: bytes, depth: int) -> None:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode) and depth < _DEEPEST:
            with _opened(parent, name) as fd:
                self._inside(made, fd, place + name + b"/", depth + 1)
        elif stat.S_ISREG(mode):
            self._file(made, parent, name, place)
        else:
            self.left_out.append(shown(place + name))

    def _file(self, made: zipfile.ZipFile, parent: int, name: bytes, place: bytes) -> None:
        fd = os.open(name, O_READ, dir_fd=parent)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                self.left_out.append(shown(place + name))
                return
            info = zipfile.ZipInfo(_zip_name(place + name), _zip_time(status.st_mtime))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | (0o755 if status.st_mode & 0o100 else 0o644)) << 16
            with made.open(info, "w", force_zip64=status.st_size > 1 << 30) as into:
                while piece := os.read(fd, _CHUNK):
                    into.write(piece)
        finally:
            os.close(fd)


@contextlib.contextmanager
def _opened(parent: int, name: bytes) -> Iterator[int]:
    fd = os.open(name, O_LIST, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _zip_name(path: bytes) -> str:
    """A name inside a zip. Some programs take a backslash for a way out of their folder."""
    return shown(path).replace("\\", "_")


def _zip_time(seconds: float) -> tuple[int, int, int, int, int, int]:
    """A time as zips have it: 1980 to 2107."""
    year, *rest = time.localtime(seconds)[:6]
    if not 1980 <= year <= 2107:
        return (1980, 1, 1, 0, 0, 0)
    return (year, *rest)  # type: ignore[return-value]
