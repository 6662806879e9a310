"""Pages, admin settings: what can be changed while AEN runs, who changed it, and the way back to the configuration."""

from __future__ import annotations

import datetime
from typing import Any

from aiohttp import web

from aen import __version__
from aen.config import Config
from aen.errors import Invalid
from aen.languages import gettext as _
from aen.roles.server.admin.retention import LOGS
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_WHERE = "/admin/settings"


async def settings(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    shown = {
        "settings": await domain.settings.list(request[ACTOR]),
        "oldest": {LOGS[one.log]: one.oldest for one in await domain.retention.kept(request[ACTOR])},
        "facts": facts(domain.config),
        "problem": problem,
    }
    return render(request, "admin/settings.html", shown, status=status)


def facts(config: Config) -> list[tuple[str, Any]]:
    """What an administrator asks for first; never a secret."""
    idle = config.compute.idle
    return [
        (_("Version"), __version__),
        ("server.url", config.server.url),
        ("data_dir", config.data_dir),
        ("store.url", config.store.url.split("@")[-1]),
        ("bus.mode", config.bus.mode),
        ("accounts.mode", config.accounts.mode),
        ("server.login.days", config.server.login.days),
        ("compute.idle.hours", idle.hours or _("never stopped")),
        ("compute.idle.max_keep_hours", idle.max_keep_hours),
        ("environments.backend", config.environments.backend),
        ("mail.host", config.mail.host or _("no mail is sent")),
    ]


@again(settings)
async def change(request: web.Request, form: Form) -> web.StreamResponse:
    name = request.match_info["name"]
    part = request.config_dict[DOMAIN].settings
    if form.has("back"):
        await part.take_back(request[ACTOR], name)
        return see_other(_WHERE, "setting-back")
    await part.set(request[ACTOR], name, _typed(form, part.configured(name) if name != "announcement" else None))
    return see_other(_WHERE, "saved")


def _typed(form: Form, like: Any) -> Any:
    """What the form says, as the same kind of thing as `like`."""
    text = form.text("value", 2000)
    if like is None:
        return {"text": text, "level": form.text("level", 10) or "info", "until": _until(form.text("until", 40))}
    if isinstance(like, bool):
        return text == "1"
    if isinstance(like, list):
        return text.replace(",", " ").split()
    if isinstance(like, int):
        if not text.isascii() or not text.isdigit():
            raise Invalid("Give a whole number.")
        return int(text)
    return text


def _until(text: str) -> int:
    """Ms since 1970 of what a field for date and time holds (UTC); empty: 0."""
    if not text:
        return 0
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("Give the end as date and time, or leave it empty.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1000)


A = Permission.ADMIN
URLS = [
    Url("GET", _WHERE, settings, A),
    Url("POST", f"{_WHERE}/{{name}}", change, A),
]
