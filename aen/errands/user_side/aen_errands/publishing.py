"""Publishing: files of the project as pages that need nothing else: cleaned by the Viewer, pictures within."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from aen_errands import Refused, Told, places

_KINDS = (".ipynb", ".md", ".markdown", ".html", ".htm")
_PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_MOST_FILES, _DEEPEST = 200, 6
_LARGEST_FILE, _LARGEST_PICTURE = 32 << 20, 4 << 20
_LARGEST_PAGE, LARGEST_ALL = 12 << 20, 12 << 20  # bytes: of one page, and of all of them packed
_PART = 160 * 1024
_IMAGE = re.compile(r'(<img\b[^>]*?\bsrc=")([^"]*)(")')
_ID = re.compile(r"[a-z0-9]{8,64}")


def render(told: Told) -> Told:
    """Render what `path` is, all of it when it is a folder, and keep it for `part`; tells what there is."""
    project, path = told["project"], str(told["path"])
    found = list(_files(project, path))
    if not found:
        raise Refused("There is nothing to publish there: notebooks, Markdown and HTML files can be published.")
    packed, files = bytearray(), []
    base = path.strip("/") if not _is_file(path) else path.strip("/").rpartition("/")[0]
    for name in found:
        print(f"Rendering {unquote_to_bytes(name).decode(errors='replace')}", flush=True)
        page = _page(project, name)
        data = zlib.compress(page, 6)
        inside = name[len(base) :].lstrip("/")
        files.append({"path": inside, "start": len(packed), "size": len(data)})
        packed += data
        if len(page) > _LARGEST_PAGE or len(packed) > LARGEST_ALL:
            raise Refused(
                f"That is too large to be published: {LARGEST_ALL >> 20} MB are the most. Leave out pictures."
            )
    with open(_kept(told), "wb") as file:
        file.write(packed)
    return {"files": files, "bytes": len(packed), "digest": hashlib.sha256(packed).hexdigest()}


def part(told: Told) -> Told:
    """A piece of what was rendered, from `offset` on; after the last one nothing is kept."""
    path, offset = _kept(told), int(told["offset"])
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(_PART)
        last = not file.read(1)
    if last:
        os.unlink(path)
    return {"data": base64.b64encode(data).decode()}


def _kept(told: Told) -> str:
    id = str(told["id"])
    if not _ID.fullmatch(id):
        raise Refused("There is nothing of that kind.")
    folder = os.path.join(os.environ["HOME"], ".cache", "aen")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return os.path.join(folder, f"published-{id}")


def _is_file(path: str) -> bool:
    return path.lower().endswith(_KINDS)


def _files(project: str, path: str) -> Iterator[str]:
    """What can be published, percent-encoded, in order; hidden files and links are left out."""
    if _is_file(path):
        yield path.strip("/")
        return
    top = places.folder(project, path)
    count = 0
    for folder, names, files in os.walk(top):
        deep = os.path.relpath(folder, top).count(os.sep)
        names[:] = sorted(name for name in names if name[:1] != "." and name != "envs") if deep < _DEEPEST else []
        for name in sorted(files):
            whole = os.path.join(folder, name)
            if name[:1] == "." or not name.lower().endswith(_KINDS) or os.path.islink(whole):
                continue
            count += 1
            if count > _MOST_FILES:
                raise Refused(f"There is more in that folder than can be published at once: {_MOST_FILES} files.")
            yield places.wire(os.fsencode(os.path.relpath(whole, project)))


def _page(project: str, path: str) -> bytes:
    from aen_viewer import pages, rendering

    text = places.read(project, path, _LARGEST_FILE).decode(errors="replace")
    lower, name = path.lower(), unquote_to_bytes(path.rpartition("/")[2]).decode(errors="replace")
    if lower.endswith(".ipynb"):
        try:
            content = rendering.notebook(text)
        except ValueError:
            raise Refused(f"{name} is no notebook that can be read.") from None
    elif lower.endswith((".md", ".markdown")):
        content = rendering.markdown(text)
    else:
        content = f'<div class="prose">{rendering.clean(text)}</div>'
    content = _IMAGE.sub(lambda match: _within(project, path, match), content)
    look = pages._LOOK.read_text() + rendering.STYLE
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(name)}</title>'
        '<base target="_top"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f'<style>{look}</style></head><body><main><article class="card">{content}</article></main></body></html>'
    ).encode()


def _within(project: str, path: str, match: Any) -> str:
    """A picture of the project becomes a part of the page: what is published needs nothing else."""
    address = html.unescape(match[2]).partition("?")[0].partition("#")[0]
    if ":" in address.partition("/")[0] or address.startswith("/"):
        return str(match[0])
    folder = [part for part in path.strip("/").split("/")[:-1] if part]
    for step in address.split("/"):
        if step == ".." and folder:
            folder.pop()
        elif step not in ("", ".", ".."):
            folder.append(step)
    kind = _PICTURES.get(os.path.splitext(address)[1].lower())
    try:
        data = places.read(project, "/".join(folder), _LARGEST_PICTURE) if kind else b""
    except Refused:
        return str(match[0])
    return f"{match[1]}data:{kind};base64,{base64.b64encode(data).decode()}{match[3]}" if kind else str(match[0])
