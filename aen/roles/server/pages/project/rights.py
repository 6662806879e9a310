"""Pages, rights: what each person of the team may do with one file or folder, and changing that after a look at the effect."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from aiohttp import web

from aen.errors import AenError
from aen.model.rights import PathRights, RightsWish
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text
from aen.roles.server.pages.frame import called
from aen.roles.server.pages.project.views import context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.project.file_rights import inside
from aen.roles.server.urls import Url
from aen.web.site import render

_LONGEST = 3000


async def rights_page(
    request: web.Request,
    problem: str = "",
    status: int = 200,
    form: Form | None = None,
    effect: PathRights | None = None,
    wish: RightsWish | None = None,
) -> web.StreamResponse:
    """`?path=` as people type it, or `?file=` percent-encoded, as the Workbench says it. `effect`: of what was asked for."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await domain.projects.allowed(actor, *_where(request), Permission.CONTROL)
    file = form.text("file", _LONGEST) if form else asked_text(request, "file", _LONGEST)
    file = file or quote(asked_text(request, "path", _LONGEST).strip("/"))
    found = None
    if file:
        try:
            file = inside(file)
            found = await domain.projects.rights.look(actor, *_where(request), file)
        except AenError as error:
            problem, status = problem or error.message, error.status
    shown = {
        **context(request, project),
        **await called(request, (member.user for member in project.team)),
        "problem": problem,
        "file": file,
        "shown": unquote_to_bytes(file).decode(errors="replace"),
        "found": found,
        "effect": effect,
        "wish": wish,
        "public_account": domain.config.sharing.public_account,
    }
    return render(request, "project/rights.html", shown, status=status)


@again(rights_page)
async def set_rights(request: web.Request, form: Form) -> web.StreamResponse:
    """Set them, or (`act=look`) only show what that would do."""
    ticked = set(form.all("right"))
    wish = RightsWish(
        rights={
            user: "".join(letter for letter in "rwx" if f"{letter}:{user}" in ticked) for user in form.all("person")
        },
        closed=form.has("closed"),
        contents=form.has("contents"),
        dry=form.text("act", 20) != "set",
    )
    domain = request.config_dict[DOMAIN]
    effect = await domain.projects.rights.set(request[ACTOR], *_where(request), form.text("file", _LONGEST), wish)
    return await rights_page(request, form=form, effect=effect, wish=wish if wish.dry else None)


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


_BASE = "/{owner}/{project}/settings/rights"
URLS = [Url("GET", _BASE, rights_page, Permission.CONTROL), Url("POST", _BASE, set_rights, Permission.CONTROL)]
