"""Pages: the frame around what is shown. Everything that comes from files or names is escaped here or cleaned before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote_from_bytes

from aen_languages import LANGUAGE, decimal, ngettext
from aen_languages import gettext as _
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
        rows = f'<tr><td colspan="3" class="quiet">{_("Nothing here to look at.")}</td></tr>'
    note = f'<p class="note">{_("There is more in this folder than is listed here.")}</p>' if more else ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in (_("Name"), _("Size"), f"{_('Changed')} (UTC)"))
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    readme = f'<article class="card">{below}</article>' if below else ""
    return _frame(project, prefix, path, table + note + readme)


def file_page(project: str, prefix: str, path: bytes, content: str) -> str:
    """One file."""
    name = quote_from_bytes(path.rpartition(b"/")[2], safe="")
    raw = f'<p class="tools"><a href="./{name}?raw=1">{_("The file itself")}</a></p>'
    return _frame(project, prefix, path, f'{raw}<article class="card">{content}</article>', _highlighting(content))


def error_page(project: str, prefix: str, status: int, message: str) -> str:
    """What went wrong."""
    head, back = escape(_("This can't be shown")), escape(_("To the project's files"))
    told = f'<p>{escape(message)}</p><p class="note">{status}</p>'
    text = f'<h1>{head}</h1>{told}<p><a href="{escape(prefix)}">{back}</a></p>'
    return _frame(project, prefix, b"/", f'<article class="card">{text}</article>')


def _row(entry: Entry) -> str:
    slash = "/" if entry.folder else ""
    size = "" if entry.folder else _size(entry.size)
    changed = time.strftime("%Y-%m-%d %H:%M", time.gmtime(max(0, entry.changed)))
    kind = "folder" if entry.folder else "file"
    link = f'<a class="{kind}" href="./{entry.wire}{slash}">{escape(entry.name)}{slash}</a>'
    return f'<tr><td>{link}</td><td class="quiet">{size}</td><td class="quiet">{changed}</td></tr>'


def _size(size: float) -> str:
    if size < 1024:
        return ngettext("{n} byte", "{n} bytes", round(size))
    for unit in ("KB", "MB", "GB"):
        size /= 1024
        if size < 1024:
            return f"{decimal(size, 0 if size >= 10 else 1)} {unit}"
    return f"{decimal(size / 1024)} TB"


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
        f'<!doctype html><html lang="{LANGUAGE.get()}"><head><meta charset="utf-8"><title>{title} · {escape(project)}</title>'
        f'<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<style>{_LOOK.read_text()}{style}</style></head>"
        f'<body><header><nav aria-label="{_("Where this is")}">{" / ".join(crumbs)}</nav></header><main>{body}</main></body></html>'
    )
