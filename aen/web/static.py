"""Static files from memory: one hashed prefix for all of them, ETag, gzip made once, cached for ever."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass

from aiohttp import web

from aen.errors import NotFound
from aen.web.files import read_all

_TYPES = {
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".css": "text/css",
    ".webmanifest": "application/manifest+json",
}
_TEXT = ("text/", "image/svg", "application/json", "application/manifest")
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file, ready to be sent."""

    body: bytes
    packed: bytes | None  # gzip, where it is smaller
    type: str
    etag: str


class Assets:
    """All static files. `url(path)` is the address to write into a page.

    The digest over all files is a folder in the address, so that modules can import each other by relative paths
    and are still never stale. An address with another digest (a page from before an upgrade) gets today's file, uncached.
    """

    def __init__(self, prefix: str = "/static/") -> None:
        raw = read_all("static")
        self.prefix = prefix
        self.digest = _digest(*(part for path, body in raw.items() for part in (path.encode(), body)))
        self._assets = {path: _asset(path, body) for path, body in raw.items()}

    def url(self, path: str) -> str:
        """The address of a static file. Raises KeyError when there is none: a wrong template shows at once."""
        if path not in self._assets:
            raise KeyError(f"no static file {path!r}")
        return f"{self.prefix}{self.digest}/{path}"

    def __contains__(self, path: str) -> bool:
        return path in self._assets

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer with the file that the address names."""
        digest, _, path = request.match_info["path"].partition("/")
        asset = self._assets.get(path) or self._assets.get(request.match_info["path"])
        if asset is None:
            raise NotFound("There is no such file.")
        headers = {
            "ETag": asset.etag,
            "Cache-Control": _FOREVER if digest == self.digest else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("If-None-Match") == asset.etag:
            return web.Response(status=304, headers=headers)
        body = asset.body
        if asset.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = asset.packed, "gzip"
        charset = "utf-8" if asset.type.startswith("text/") else None
        return web.Response(body=body, headers=headers, content_type=asset.type, charset=charset)


def _asset(path: str, body: bytes) -> Asset:
    suffix = path[path.rfind(".") :]
    kind = _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    packed = gzip.compress(body, 9, mtime=0) if kind.startswith(_TEXT) else None
    small = packed if packed is not None and len(packed) < len(body) else None
    return Asset(body, small, kind, f'"{_digest(body)}"')


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]
