"""File rights: what people of a team may do with one file or folder, looked at and set through the node that has it."""

from __future__ import annotations

from urllib.parse import quote_from_bytes, unquote_to_bytes

from aen import names
from aen.errors import Conflict, Invalid, Unavailable
from aen.messages import PathRightsOf
from aen.model.project import Project
from aen.model.rights import PathRights, RightsWish
from aen.roles.server.background import ask
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, allows

_LONGEST = 1000  # bytes of a path, each of which may be percent-encoded
_SECONDS = 300.0  # a walk of the project that goes on is waited for
_TRASH = b".trash"


class FileRights(Part):
    """Rights on single files. They only ever take away from what roles give; a start of the project keeps them."""

    async def look(self, actor: Actor, owner: str, name: str, path: str) -> PathRights:
        """What the team has there. For members."""
        return await self._ask(await self._project(actor, owner, name), path)

    async def set(self, actor: Actor, owner: str, name: str, path: str, wish: RightsWish) -> PathRights:
        """Let people have that much, and say what it changed. Members: of what they own; maintainers: of everybody's."""
        project = await self._project(actor, owner, name)
        only = "" if allows(actor, Permission.TEAM, project) else actor.name
        found = await self._ask(project, path, wish, only)
        if not wish.dry and found.changed:
            shown = unquote_to_bytes(inside(path)).decode(errors="replace")
            await self.domain.activity.record(actor, "project.rights", project.slug, project=project.id, detail=shown)
        return found

    async def _project(self, actor: Actor, owner: str, name: str) -> Project:
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)
        if not project.node:
            raise Conflict(f"{project.slug} was never started: it has no files yet.")
        if not self.domain.nodes.up(project.node):
            raise Unavailable(f"The node {project.node}, which has the project's files, is not heard at the moment.")
        return project

    async def _ask(self, project: Project, path: str, wish: RightsWish | None = None, only: str = "") -> PathRights:
        spec = self.domain.projects.spec(project)
        command = PathRightsOf(project=spec, path=inside(path), wish=wish, only=only)
        found: PathRights = await ask(self.bus, names.address("compute", project.node), command, _SECONDS)
        return found


def inside(text: str) -> str:
    """A path below the project, percent-encoded (names need not be UTF-8), in its plain form. Raises Invalid."""
    parts = [part for part in unquote_to_bytes(text).split(b"/") if part]
    if not parts or len(text) > 3 * _LONGEST or len(parts) > 200 or any(b"\0" in part for part in parts):
        raise Invalid(
            "Say which file or folder of the project, as data/results.csv. The project itself: on its Team page."
        )
    if any(part in (b".", b"..") or len(part) > 255 for part in parts):
        raise Invalid("A path must not hold “.” or “..”, nor names of more than 255 bytes.")
    if parts[0] == _TRASH:
        raise Invalid("What lies in the trash has no rights of its own. Take it out first.")
    return quote_from_bytes(b"/".join(parts), safe="/")
