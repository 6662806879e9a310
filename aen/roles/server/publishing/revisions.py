"""Revisions: a project's folders as git repositories: looked at by the team, changed by members, each as themselves."""

from __future__ import annotations

from typing import Any, TypeVar

from aen.errors import Invalid
from aen.model import Word
from aen.model.errand import ErrandReport
from aen.model.project import Project
from aen.model.revision import Committed, Differences, GitKey, Restored, RevisionPage, RevisionStatus
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission
from aen.roles.server.publishing.errands import check_placed, person

W = TypeVar("W", bound=Word)
_REMOTE = ("clone", "fetch", "pull", "push")
_CLONE_SECONDS = 3600.0
_MOST_FILES, _LONGEST_MESSAGE = 2000, 20_000


class Revisions(Part):
    """The verbs. `folder` is a folder of the project, percent-encoded; empty: all of it."""

    async def status(self, actor: Actor, owner: str, name: str, folder: str = "") -> tuple[Project, RevisionStatus]:
        """What differs from the last revision."""
        return await self._look(actor, owner, name, "status", RevisionStatus, folder)

    async def history(
        self, actor: Actor, owner: str, name: str, folder: str = "", skip: int = 0, path: str = ""
    ) -> RevisionPage:
        """Revisions, newest first, from `skip` on; of one file with `path`."""
        return (await self._look(actor, owner, name, "history", RevisionPage, folder, skip=skip, path=path))[1]

    async def show(
        self, actor: Actor, owner: str, name: str, revision: str, folder: str = "", path: str = ""
    ) -> tuple[Project, Differences]:
        """One revision against the one before."""
        return await self._look(actor, owner, name, "show", Differences, folder, revision=revision, path=path)

    async def compare(
        self, actor: Actor, owner: str, name: str, folder: str = "", path: str = "", revision: str = "", other: str = ""
    ) -> tuple[Project, Differences]:
        """Two revisions; or one (the last when none is named) against the files as they are."""
        told = {"path": path, "revision": revision, "other": other}
        return await self._look(actor, owner, name, "compare", Differences, folder, **told)

    async def begin_here(self, actor: Actor, owner: str, name: str, folder: str = "") -> RevisionStatus:
        """Make a repository of a folder."""
        return await self._change(actor, owner, name, "begin", RevisionStatus, folder, "")

    async def commit(
        self, actor: Actor, owner: str, name: str, message: str, files: list[str], folder: str = ""
    ) -> Committed:
        """The chosen files become a revision, in the person's name."""
        if len(files) > _MOST_FILES or len(message) > _LONGEST_MESSAGE:
            raise Invalid(f"At most {_MOST_FILES} files at once, and {_LONGEST_MESSAGE} characters of a message.")
        said = message.strip().partition("\n")[0][:200]
        return await self._change(actor, owner, name, "commit", Committed, folder, said, message=message, files=files)

    async def restore(
        self, actor: Actor, owner: str, name: str, revision: str, path: str = "", folder: str = "", keep: bool = False
    ) -> Restored:
        """A file, or all, as it was then. Conflict when something would be lost, unless `keep` (as a branch)."""
        told = {"revision": revision, "path": path, "keep": keep}
        return await self._change(actor, owner, name, "restore", Restored, folder, revision[:10], **told)

    async def set_remote(self, actor: Actor, owner: str, name: str, url: str, folder: str = "") -> None:
        """Say where the other side is."""
        await self._change(actor, owner, name, "remote", Word, folder, url[:200], url=url)

    async def key(self, actor: Actor, owner: str, name: str, *, make: bool = False) -> GitKey:
        """The public half of the person's key on the project's node; made if there is none and `make`."""
        if make:
            return await self._change(actor, owner, name, "key", GitKey, "", "", make=True)
        return (await self._look(actor, owner, name, "key", GitKey, ""))[1]

    async def talk(
        self, actor: Actor, owner: str, name: str, act: str, folder: str = "", url: str = ""
    ) -> ErrandReport:
        """Begin a clone, fetch, pull or push; it goes on in the background."""
        if act not in _REMOTE:
            raise Invalid("There is nothing of that kind to do with a remote.")
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        user = person(actor)
        check_placed(project)
        if act in ("clone", "pull", "fetch"):
            await self.domain.spaces.check(project)
        told = _told(actor, folder) | {"url": url}
        verb = f"revisions.{act}"
        report = await self.domain.errands.begin_last(project, user, "revisions", verb, told, _CLONE_SECONDS)
        await self.domain.activity.record(actor, verb, project.slug, project=project.id, detail=url[:200])
        return report

    async def under_way(self, actor: Actor, owner: str, name: str) -> ErrandReport | None:
        """What the actor began last with a remote here."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.LOOK)
        return await self.domain.errands.last(project, person(actor).id, "revisions") if project.placed else None

    async def _look(
        self, actor: Actor, owner: str, name: str, verb: str, kind: type[W], folder: str, **told: Any
    ) -> tuple[Project, W]:
        project = await self.domain.projects.allowed(actor, owner, name, Permission.LOOK)
        wanted = _told(actor, folder) | told
        return project, await self.domain.errands.ask(project, person(actor), f"revisions.{verb}", kind, wanted)

    async def _change(
        self, actor: Actor, owner: str, name: str, verb: str, kind: type[W], folder: str, said: str, **told: Any
    ) -> W:
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        wanted = _told(actor, folder) | told
        found = await self.domain.errands.ask(project, person(actor), f"revisions.{verb}", kind, wanted, 60.0)
        await self.domain.activity.record(actor, f"revisions.{verb}", project.slug, project=project.id, detail=said)
        return found


def _told(actor: Actor, folder: str) -> dict[str, Any]:
    user = person(actor)
    return {"folder": folder[:3000], "name": user.called[:200], "email": user.email[:200]}
