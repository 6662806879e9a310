"""Projects: what the server decides of them: making, finding, changing, starring; life and removal are told in their own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from aen.model import Word
from aen.model.job import Job
from aen.model.project import Project, Visibility
from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.permissions import Actor, Permission

SCOPES = ("mine", "team", "starred", "public", "all")


class NewProject(Word):
    """What `create` takes (the API's body)."""

    name: str
    summary: str = ""
    description: str = ""
    visibility: Visibility | None = None
    tags: list[str] = Field(default_factory=list)
    datacenter: str = ""


class ProjectPatch(Word):
    """What `update` takes (the API's body): only what is given changes."""

    summary: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    tags: list[str] | None = None


class Projects(Part):
    """The projects. All verbs check permission; what the actor may not see is NotFound."""

    async def begin(self, service: Service) -> None:
        """See Part."""

    async def create(self, actor: Actor, new: NewProject) -> Project:
        """A new project of the actor's. Raises Invalid (names, sizes), Conflict (name taken)."""
        raise NotImplementedError

    async def get(self, actor: Actor, owner: str, name: str) -> Project:
        """The project, if the actor may see it; NotFound."""
        raise NotImplementedError

    async def by_id(self, id: str) -> Project | None:
        """The project with this id, for the server itself: no permission is asked."""
        raise NotImplementedError

    async def allowed(self, actor: Actor, owner: str, name: str, permission: Permission) -> Project:
        """The project, if the actor has `permission` there; NotFound or Denied."""
        raise NotImplementedError

    async def list(
        self, actor: Actor, scope: str = "mine", tag: str = "", search: str = "", limit: int = 50, cursor: str = ""
    ) -> tuple[list[Project], str]:
        """Projects the actor may see, and the cursor of the next page ("" at the end).

        `scope`: mine (owner), team (in the team, not owner), starred, public, all (everything visible to the actor).
        """
        raise NotImplementedError

    async def update(self, actor: Actor, owner: str, name: str, patch: ProjectPatch) -> Project:
        """Change what the patch gives. Invalid for sizes and tags."""
        raise NotImplementedError

    async def rename(self, actor: Actor, owner: str, name: str, new_name: str) -> Project:
        """Give a stopped project another name. Conflict while it runs or when the name is taken."""
        raise NotImplementedError

    async def delete(self, actor: Actor, owner: str, name: str, typed: str) -> Job:
        """Delete for good; `typed` must be the project's name (or owner/name). Goes on as a job; state DELETING."""
        raise NotImplementedError

    async def star(self, actor: Actor, owner: str, name: str, on: bool) -> Project:
        """Star or unstar for the actor; `project.stars` is right afterwards. Starring twice is once."""
        raise NotImplementedError

    async def start(self, actor: Actor, owner: str, name: str) -> Project:
        """Start: account, directory, environment, permissions. Answered at once as STARTING; events tell the rest."""
        raise NotImplementedError

    async def stop(self, actor: Actor, owner: str, name: str) -> Project:
        """Stop all sessions, then the project. Answered at once as STOPPING; events tell the rest."""
        raise NotImplementedError

    async def reset(self, actor: Actor, owner: str, name: str) -> Project:
        """End whatever is left and be STOPPED; always works (except while DELETING)."""
        raise NotImplementedError

    async def tags(self, actor: Actor, limit: int = 30) -> list[tuple[str, int]]:
        """The tags of what the actor may see, most used first."""
        raise NotImplementedError

    def summary_of(self, project: Project) -> dict[str, Any]:
        """What an event on the project's topic says of it."""
        raise NotImplementedError
