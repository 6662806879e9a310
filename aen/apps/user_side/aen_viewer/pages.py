"""Pages: the frame around what is shown. Everything that comes from files or names is escaped here or cleaned before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote_from_bytes

from aen_workbench.words import shown

_LOOK = Path(__file__).with_name("look.css")


@dataclass(frozen=True)
class Entry:
    """One line of a listing."""

    name: str  # as a page may show it
    raw: bytes
    wire: str  # percent-encoded
    folder: bool
    size: int  # bytes
    changed: int  # seconds since 1970


def folder_page(project: str, prefix: str, path: bytes, entries: Sequence[Entry], more: bool, below: str) -> str:
    """A folder's listing, and its README below."""
    rows = "".join(_row(entry) for entry in entries)
    if not rows:
        rows = '<tr><td colspan="3" class="quiet">Nothing here to look at.</td></tr>'
    note = '<p class="note">There is more in this folder than is listed here.</p>' if more else ""
    table = f"<table><thead><tr><th>Name</th><th>Size</th><th>Changed</th></tr></thead><tbody>{rows}</tbody></table>"
    readme = f'<article class="card">{below}</article>' if below else ""
    return _frame(project, prefix, path, table + note + readme)


def file_page(project: str, prefix: str, path: bytes, content: str) -> str:
    """One file."""
    name = quote_from_bytes(path.rpartition(b"/")[2], safe="")
    raw = f'<p class="tools"><a href="./{name}?raw=1">As it is</a></p>'
    return _frame(project, prefix, path, f'{raw}<article class="card">{content}</article>', _highlighting(content))


def error_page(project: str, prefix: str, status: int, message: str) -> str:
    """What went wrong."""
    text = f'<h1>{status}</h1><p>{escape(message)}</p><p><a href="{escape(prefix)}">To the project\u2019s files</a></p>'
    return _frame(project, prefix, b"/", f'<article class="card">{text}</article>')


def _row(entry: Entry) -> str:
    slash = "/" if entry.folder else ""
    size = "" if entry.folder else _size(entry.size)
    changed = time.strftime("%Y-%m-%d %H:%M", time.gmtime(max(0, entry.changed)))
    kind = "folder" if entry.folder else "file"
    link = f'<a class="{kind}" href="./{entry.wire}{slash}">{escape(entry.name)}{slash}</a>'
    return f'<tr><td>{link}</td><td class="quiet">{size}</td><td class="quiet">{changed}</td></tr>'


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def _highlighting(content: str) -> str:
    """Colours of code, where there is any: who made that content has loaded them."""
    if 'class="code"' not in content:
        return ""
    from .rendering import STYLE

    return STYLE


def _frame(project: str, prefix: str, path: bytes, body: str, style: str = "") -> str:
    parts = [part for part in path.split(b"/") if part]
    crumbs = [f'<a href="{escape(prefix)}">{escape(project)}</a>']
    for number, part in enumerate(parts, 1):
        address = prefix + quote_from_bytes(b"/".join(parts[:number]), safe="/")
        last = number == len(parts)
        crumbs.append(escape(shown(part)) if last else f'<a href="{escape(address)}/">{escape(shown(part))}</a>')
    title = escape(shown(parts[-1]) if parts else project)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · {escape(project)}</title>'
        f'<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<style>{_LOOK.read_text()}{style}</style></head>"
        f'<body><header><nav aria-label="Where this is">{" / ".join(crumbs)}</nav></header><main>{body}</main></body></html>'
    )
