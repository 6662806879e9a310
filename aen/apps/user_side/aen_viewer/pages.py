"""Pages: the frame around what is shown. Everything that comes from files or names is escaped here or cleaned before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote_from_bytes

from aen_languages import LANGUAGE
from aen_languages import gettext as _
from aen_languages import size as size_text
from aen_workbench.words import shown

_LOOK = Path(__file__).with_name("look.css")


@dataclass(frozen=True)
class Frame:
    """What is around each page: whose files these are, where they begin, and the way back."""

    project: str  # owner/name; of a link: what it is for
    prefix: str  # where the addresses begin
    home: str = ""  # the address of the project's page; empty for a link, whose readers see nothing else of the project


@dataclass(frozen=True)
class Entry:
    """One line of a listing."""

    name: str  # as a page may show it
    raw: bytes
    wire: str  # percent-encoded
    folder: bool
    size: int  # bytes
    changed: int  # seconds since 1970


def folder_page(frame: Frame, path: bytes, entries: Sequence[Entry], more: bool, below: str) -> str:
    """A folder's listing, and its README below."""
    rows = "".join(_row(entry) for entry in entries)
    if not rows:
        rows = f'<tr><td colspan="3" class="quiet">{_("Nothing here to look at.")}</td></tr>'
    note = f'<p class="note">{_("There is more in this folder than is listed here.")}</p>' if more else ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in (_("Name"), _("Size"), f"{_('Changed')} (UTC)"))
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    readme = f'<article class="card">{below}</article>' if below else ""
    return _framed(frame, path, table + note + readme)


def file_page(frame: Frame, path: bytes, content: str) -> str:
    """One file."""
    name = quote_from_bytes(path.rpartition(b"/")[2], safe="")
    raw = f'<p class="tools"><a href="./{name}?raw=1">{_("The file itself")}</a></p>'
    return _framed(frame, path, f'{raw}<article class="card">{content}</article>', _highlighting(content))


def error_page(frame: Frame, status: int, message: str) -> str:
    """What went wrong."""
    head, back = escape(_("This can't be shown")), escape(_("To the project's files"))
    told = f'<p>{escape(message)}</p><p class="note">{status}</p>'
    text = f'<h1>{head}</h1>{told}<p><a href="{escape(frame.prefix)}">{back}</a></p>'
    return _framed(frame, b"/", f'<article class="card">{text}</article>')


def _row(entry: Entry) -> str:
    slash = "/" if entry.folder else ""
    size = "" if entry.folder else size_text(entry.size)
    changed = time.strftime("%Y-%m-%d %H:%M", time.gmtime(max(0, entry.changed)))
    kind = "folder" if entry.folder else "file"
    link = f'<a class="{kind}" href="./{entry.wire}{slash}">{escape(entry.name)}{slash}</a>'
    return f'<tr><td>{link}</td><td class="quiet">{size}</td><td class="quiet">{changed}</td></tr>'


def _highlighting(content: str) -> str:
    """Colours of code, where there is any: who made that content has loaded them."""
    if 'class="code"' not in content:
        return ""
    from .rendering import STYLE

    return STYLE


def _framed(frame: Frame, path: bytes, body: str, style: str = "") -> str:
    parts = [part for part in path.split(b"/") if part]
    crumbs = [f'<a href="{escape(frame.prefix)}">{_("Files") if frame.home else escape(frame.project)}</a>']
    for number, part in enumerate(parts, 1):
        address = frame.prefix + quote_from_bytes(b"/".join(parts[:number]), safe="/")
        last = number == len(parts)
        crumbs.append(escape(shown(part)) if last else f'<a href="{escape(address)}/">{escape(shown(part))}</a>')
    return (
        f'<!doctype html><html lang="{LANGUAGE.get()}"><head><meta charset="utf-8"><title>{escape(_title(frame, parts))}</title>'
        f'<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<style>{_LOOK.read_text()}{style}</style></head>"
        f'<body><header><div>{_way_back(frame)}<nav aria-label="{_("Where this is")}">{" / ".join(crumbs)}</nav></div></header>'
        f"<main>{body}</main></body></html>"
    )


def _title(frame: Frame, parts: Sequence[bytes]) -> str:
    """What the browser's tab says: the file or folder first, nothing twice."""
    named = [shown(parts[-1])] if parts else []
    around = ["Viewer", frame.project] if frame.home else [frame.project]
    return " · ".join(dict.fromkeys([*named, *around, "AEN"]))


def _way_back(frame: Frame) -> str:
    if not frame.home:
        return ""
    title = escape(_("To the page of {project} in AEN.", project=frame.project))
    return f'<a class="back" href="{escape(frame.home)}" title="{title}">‹ {escape(frame.project)}</a>'
