"""Sessions: what the server decides of them: opening, stopping, looking; reports.py compares them with what is real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aen.model.session import Session
from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.permissions import Actor


class Sessions(Part):
    """The sessions. All verbs check permission; what the actor may not see is NotFound."""

    async def begin(self, service: Service) -> None:
        """See Part."""

    async def open(self, actor: Actor, owner: str, name: str, app: str) -> Session:
        """Open an app: the live session of its app server, or a new one, QUEUED. Starts the project as well."""
        raise NotImplementedError

    async def get(self, actor: Actor, id: str) -> Session:
        """The session: one's own, those of projects one is on, all for administrators; else NotFound."""
        raise NotImplementedError

    async def of_project(self, actor: Actor, owner: str, name: str) -> list[Session]:
        """The sessions of a project, newest first; live ones and the last ended one of each app server."""
        raise NotImplementedError

    async def of_user(self, actor: Actor, user: str) -> list[Session]:
        """A person's sessions, newest first. One's own, or an administrator's look."""
        raise NotImplementedError

    async def all(self, actor: Actor, phase: str = "", limit: int = 100, cursor: str = "") -> tuple[list[Session], str]:
        """All sessions (administrators), newest first, and the next cursor. `phase`: only those in it."""
        raise NotImplementedError

    async def stop(self, actor: Actor, id: str, reason: str = "") -> Session:
        """Stop one's own session; anybody's for maintainers of the project and administrators."""
        raise NotImplementedError

    async def log(self, actor: Actor, id: str, lines: int = 200) -> str:
        """The end of the app server's log, asked of its node (own sessions, maintainers, administrators)."""
        raise NotImplementedError

    async def end_user(self, user: str, reason: str) -> int:
        """Stop all of a person's sessions (locked, removed); returns how many. For the server itself."""
        raise NotImplementedError

    def view(self, session: Session) -> dict[str, Any]:
        """The API's JSON: id, app, app_server, project, user, phase, reason, steps, url, open_url, activity, …"""
        raise NotImplementedError
