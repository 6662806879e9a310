"""Pages, admin: the daily report with plots and downloads, and the load of each node."""

from __future__ import annotations

import datetime
from typing import Any

from aiohttp import web

from aen.errors import Invalid
from aen.languages import gettext as _
from aen.model import now
from aen.model.report import Period
from aen.roles.server.admin.daily import PERIODS
from aen.roles.server.domain import DOMAIN
from aen.roles.server.node.loads import COARSE_MS, FINE_MS, Point
from aen.roles.server.pages.admin.security import csv_lines
from aen.roles.server.pages.api.api import answer
from aen.roles.server.pages.forms import asked_text
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.plots import Series, bars, lines
from aen.web.site import render


async def report(request: web.Request) -> web.StreamResponse:
    period = await _asked(request)
    acts = period.acts
    shown = {
        "period": period,
        "periods": [
            ("today", _("Today")),
            ("yesterday", _("Yesterday")),
            ("week", _("This week")),
            ("month", _("This month")),
        ],
        "figures": [
            (_("Users"), f"{period.users:,}"),
            (_("Projects"), f"{period.projects:,}"),
            (_("Signed in"), f"{acts.get('login.succeeded', 0):,}"),
            (_("Failed sign-ins"), f"{acts.get('login.failed', 0):,}"),
            (_("Apps opened"), f"{acts.get('session.opened', 0):,}"),
            (_("Session hours"), f"{period.session_hours:,.1f}"),
            (_("Processor hours"), f"{period.cpu_hours:,.1f}"),
            (_("Most sessions at once"), f"{period.most_sessions:,}"),
            (_("New users"), f"{len(period.new_users):,}{'+' if period.new_users_left_out else ''}"),
        ],
        "plots": _plots(period),
        "mail": request.config_dict[DOMAIN].mail.on,
    }
    return render(request, "admin/report.html", shown)


def _plots(period: Period) -> list[tuple[str, Any]]:
    """Of the last month, whatever the period is."""

    def of(act: str) -> list[tuple[str, float]]:
        return [(_short(day.id), float(day.acts.get(act, 0))) for day in period.days]

    titles = (
        ("login/succeeded", _("Signed in")),
        ("session/opened", _("Apps opened")),
        ("project/created", _("Projects made")),
    )
    plots = [(title, bars(title, of(act))) for act, title in titles]
    hours = [(_short(day.id), round(day.session_hours, 1)) for day in period.days]
    return [*plots, (_("Session hours"), bars(_("Session hours"), hours))]


def _short(date: str) -> str:
    return f"{int(date[8:])}.{int(date[5:7])}."


async def download(request: web.Request) -> web.StreamResponse:
    period = await _asked(request)
    form = request.path.rpartition(".")[2]
    name = f'attachment; filename="aen-{period.first}-{period.last}.{form}"'
    if form == "json":
        response = answer(period.model_dump(mode="json"))
    else:
        response = web.Response(body=_csv(period), content_type="text/csv", charset="utf-8")
    response.headers.update({"Content-Disposition": name, "Cache-Control": "no-store"})
    return response


def _csv(period: Period) -> bytes:
    names = ("users", "projects", "session_hours", "cpu_hours", "most_sessions", "space", "faults")
    rows: list[tuple[object, ...]] = [("what", "value")]
    rows += [(name, getattr(period, name)) for name in names]
    rows += [(f"acts.{act}", count) for act, count in sorted(period.acts.items())]
    rows += [("new_user", f"{name} {email}".strip()) for name, email in period.new_users]
    return csv_lines(rows)


async def _asked(request: web.Request) -> Period:
    name = asked_text(request, "period", 20) or "today"
    if name not in PERIODS:
        raise Invalid(_("There is a report of today, yesterday, this week and this month."))
    return await request.config_dict[DOMAIN].daily.report(request[ACTOR], name)


async def node(request: web.Request) -> web.StreamResponse:
    domain, name = request.config_dict[DOMAIN], request.match_info["node"]
    loads = await domain.loads.of(request[ACTOR], name)
    month = asked_text(request, "over", 10) == "month"
    points, step, span = (loads.coarse, COARSE_MS, 30 * 86_400_000) if month else (loads.fine, FINE_MS, 86_400_000)
    shown = {"name": name, "node": domain.nodes.get(name), "month": month, "plots": node_plots(points, step, span)}
    return render(request, "admin/node.html", shown)


def node_plots(points: list[Point], step: int, span: int) -> list[tuple[str, Any]]:
    """Load, memory and disk in percent, and sessions; a gap where the node was not heard."""
    end = now()
    inside = [point for point in points if point.at >= end - span]
    if len(inside) < 2:
        return []
    labels = [_time(end - span * (3 - part) // 3, span) for part in range(4)]
    share = [
        Series(_("Processors"), _placed(inside, "load", 100, end, step, span)),
        Series(_("Memory"), _placed(inside, "memory", 100, end, step, span)),
        Series(_("Disk"), _placed(inside, "disk", 100, end, step, span)),
    ]
    sessions = [Series(_("Sessions"), _placed(inside, "sessions", 1, end, step, span))]
    return [
        (_("In use, percent"), lines(_("In use, percent"), share, labels, 100.0, " %")),
        (_("Sessions"), lines(_("Sessions"), sessions, labels)),
    ]


def _placed(
    points: list[Point], name: str, times: float, end: int, step: int, span: int
) -> list[tuple[float, float | None]]:
    placed: list[tuple[float, float | None]] = []
    before = points[0].at
    for point in points:
        if point.at - before > 2.5 * step:
            placed.append((0.0, None))
        placed.append((1 - (end - point.at) / span, getattr(point, name) * times))
        before = point.at
    return placed


def _time(ms: int, span: int) -> str:
    moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
    return moment.strftime("%H:%M UTC") if span <= 86_400_000 else f"{moment.day}.{moment.month}."


A, S = Permission.ADMIN, Permission.STAFF
URLS = [
    Url("GET", "/admin/report", report, S),
    Url("GET", "/admin/report.csv", download, S),
    Url("GET", "/admin/report.json", download, S),
    Url("GET", "/admin/nodes/{node}", node, A),
]
