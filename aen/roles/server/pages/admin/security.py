"""Pages, admin security log: filtered, and exported as CSV or JSON lines while it is read."""

from __future__ import annotations

import csv
import datetime
import functools
import io
import json
from collections.abc import Sequence

from aiohttp import web

from aen.errors import Invalid
from aen.languages import LANGUAGE
from aen.languages import gettext as _
from aen.model.activity import Activity
from aen.roles.server.admin.security import Wanted
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import asked_text, page_links
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.acts import SECURITY
from aen.web.filters import act_alone, iso
from aen.web.site import render

_PAGE = 50
_FIELDS = ("time", "actor", "act", "who", "object", "detail", "address")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for a formula at the beginning of a cell
_FORMS = {"csv": "text/csv", "jsonl": "application/x-ndjson"}


def asked_for(request: web.Request) -> Wanted:
    """The filter in the query. Raises Invalid."""
    return Wanted(
        who=asked_text(request, "who", 200),
        actor=asked_text(request, "actor", 200),
        act=asked_text(request, "act", 60),
        address=asked_text(request, "address", 64),
        low=_moment(asked_text(request, "from", 40)),
        high=_moment(asked_text(request, "to", 40)),
    )


async def log_page(request: web.Request) -> web.StreamResponse:
    wanted = asked_for(request)
    entries, cursor = await request.config_dict[DOMAIN].security.page(
        request[ACTOR], wanted, _PAGE, asked_text(request, "cursor", 500)
    )
    kept = {name: value for name, value in request.query.items() if name != "cursor"}
    shown = {
        "entries": entries,
        "asked": {name: kept.get(name, "") for name in ("who", "actor", "act", "address", "from", "to")},
        "keeping": (await request.config_dict[DOMAIN].retention.kept(request[ACTOR]))[0],
        "acts": _acts(LANGUAGE.get()),
        "query": request.rel_url.with_query(kept).raw_query_string,
        **page_links(request, cursor),
    }
    return render(request, "admin/security.html", shown)


@functools.cache
def _acts(language: str) -> tuple[tuple[str, str], ...]:
    """What one can filter by, with its words in the reader's language (the one in force), in their order."""
    return tuple(sorted(((act, act_alone(act)) for act in SECURITY), key=lambda one: one[1].casefold()))


async def export(request: web.Request) -> web.StreamResponse:
    """Streamed: the browser sees the first lines while the last are still read."""
    form = request.path.rpartition(".")[2]
    found = request.config_dict[DOMAIN].security.export(request[ACTOR], asked_for(request))
    first = await anext(found)  # what is wrong is said before the answer begins
    name = f"aen-security-{datetime.datetime.now(datetime.UTC):%Y%m%d}.{form}"
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{_FORMS[form]}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    if form == "csv":
        await response.write((",".join(_FIELDS) + "\r\n").encode())
    await response.write(_lines(form, first))
    async for entries in found:
        await response.write(_lines(form, entries))
    await response.write_eof()
    return response


def _lines(form: str, entries: list[Activity]) -> bytes:
    rows = [
        (iso(entry.at), entry.actor, entry.act, entry.who, entry.object, entry.detail, entry.address)
        for entry in entries
    ]
    if form == "jsonl":
        text = "".join(json.dumps(dict(zip(_FIELDS, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
        return text.encode()
    return csv_lines(rows)


def csv_lines(rows: Sequence[tuple[object, ...]]) -> bytes:
    """Rows of CSV that no spreadsheet takes for formulas."""
    out = io.StringIO()
    csv.writer(out).writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _moment(text: str) -> int:
    """Ms since 1970 of a date, or date and time, UTC; 0 for nothing."""
    if not text:
        return 0
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(_("Give times as 2026-01-31 or 2026-01-31T18:30 (UTC).")) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0, int(moment.timestamp() * 1000))


A = Permission.ADMIN
URLS = [
    Url("GET", "/admin/security", log_page, A),
    Url("GET", "/admin/security/export.csv", export, A),
    Url("GET", "/admin/security/export.jsonl", export, A),
]
