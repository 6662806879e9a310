"""Team: who works in a project, and as what; a change reaches gateways and files within 5 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aen.model.project import Project, Role
from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.permissions import Actor

MOST = 200  # people in one team


class Team(Part):
    """The teams. `project.team` is the list of members; these verbs change it."""

    async def begin(self, service: Service) -> None:
        """See Part."""

    async def set(self, actor: Actor, owner: str, name: str, user: str, role: Role | str = Role.MEMBER) -> Project:
        """Add a person, or change their role (viewer, member, maintainer). Invalid for owner: that is `transfer`."""
        raise NotImplementedError

    async def remove(self, actor: Actor, owner: str, name: str, user: str) -> Project:
        """Take a person off the team; a member may leave. Ends their sessions here. Conflict for the owner."""
        raise NotImplementedError

    async def transfer(self, actor: Actor, owner: str, name: str, user: str) -> Project:
        """Make a team member the owner; the old one stays as maintainer. Conflict unless stopped and the name is free there."""
        raise NotImplementedError

    async def forget(self, user: str) -> None:
        """A person is being removed from AEN: take them off every team. Conflict while they own a project."""
        raise NotImplementedError
