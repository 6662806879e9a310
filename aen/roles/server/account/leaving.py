"""Leaving: what the removal of a person does, told before it is done; and the part that takes its time, as a job with a report."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aen import names
from aen.errors import Unavailable
from aen.messages import KeepAccount
from aen.model import Word
from aen.model.account import AccountReport
from aen.model.job import Job
from aen.model.project import Project
from aen.model.session import LIVE
from aen.model.user import LoginKind, User
from aen.roles.server.background import ask
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor, Permission
from aen.service import Service
from aen.store import Query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_KIND = "user.retire"
_SECONDS = 60.0
_FILES_SECONDS = 1800  # for a node to take somebody off the files of one project


class Removal(Word):
    """What removing a person does: sentences, in the order in which it is done; `blocked`: why it can't be done now."""

    user: str
    steps: list[str]
    blocked: list[str]


class Leaving(Part):
    """People who go."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.jobs.handle(_KIND, self._retire)

    async def plan(self, actor: Actor, name: str) -> Removal:
        """What `accounts.remove` would do to this person, themselves or administrators. NotFound. Changes nothing."""
        self.domain.accounts.check_self(actor, name, Permission.SIGNED_IN)
        user = await self.domain.accounts.get(actor, name)
        projects = await self.projects(name)
        owned = [project.slug for project in projects if project.owner == name]
        blocked = [f"{name} owns {slug}: delete it or give it to somebody else first." for slug in owned]
        steps = [*await self._access(actor, name)]
        steps += [_leaves(project) for project in projects if project.owner != name]
        if user.ssh_keys:
            steps.append(f"{_count(len(user.ssh_keys), 'SSH key')} taken out of the compute nodes.")
        for node in self._nodes():
            try:
                steps.append(_of_node(await self._ask(node, _account_of(user)), done=False))
            except Unavailable:
                steps.append(f"{node} is not heard now: the Linux account there, if any, is locked when it is.")
        return Removal(user=name, steps=steps, blocked=blocked)

    async def projects(self, name: str) -> list[Project]:
        """The projects in whose team a person is."""
        query = Query(equal=(("members", name),), sort="updated")
        return [Project.model_validate(doc) async for doc in every(self.store, "projects", query)]

    async def retire(self, user: User, projects: list[Project], created_by: str) -> Job:
        """Do the rest of a removal, when the person is gone from AEN already: files, accounts. Ends with a report."""
        ids = [project.id for project in projects]
        payload = {"user": user.id, "incarnation": user.incarnation, "projects": ids}
        return await self.domain.jobs.add(_KIND, "", payload, created_by, max_attempts=20)

    async def _access(self, actor: Actor, name: str) -> list[str]:
        logins = await self.domain.accounts.logins(actor, name)
        tokens = [login for login in logins if login.kind is LoginKind.TOKEN]
        sessions = await self.domain.sessions.of_user(actor, name)
        live = [
            f"{self.domain.sessions.title(session)} in {session.slug}" for session in sessions if session.phase in LIVE
        ]
        steps = [f"{_count(len(logins) - len(tokens), 'login')} and {_count(len(tokens), 'API token')} end."]
        if live:
            steps.append(
                f"{_count(len(live), 'session')} stopped: {', '.join(live[:10])}{' …' if len(live) > 10 else ''}."
            )
        return steps

    # ── the job ─────────────────────────────────────────────────────────────────────────────────────

    async def _retire(self, job: Job, progress: Progress) -> None:
        """May be done twice. A person of that name who came meanwhile keeps what they have: the incarnation tells them apart."""
        name = str(job.payload["user"])
        report = []
        for id in job.payload["projects"]:
            report.append(await self._files(name, str(id), progress))
        command = KeepAccount(user=name, incarnation=str(job.payload["incarnation"]), keys=[], retire=True)
        report += [line async for line in self._accounts(command, progress)]
        text = " ".join(line for line in report if line)
        await self.domain.activity.record(None, "user.retired", name, who=name, detail=text[:1000], security=True)
        await progress(1.0, text or f"{name} had nothing on any node.")

    async def _files(self, name: str, id: str, progress: Progress) -> str:
        """Wait until the node has taken them off a project's files, which `team` asked it for."""
        for _ in range(_FILES_SECONDS):
            project = await self.domain.projects.by_id(id)
            if project is None or name not in project.former:
                break
            await progress(0.3, f"{name} is being taken off the files of {project.slug}")
            await asyncio.sleep(1.0)
        else:
            raise Unavailable(f"The files of {id} were not brought in line yet.")
        where = f"the files of {project.slug}, what was theirs there passed to {project.owner}" if project else ""
        return f"Taken off {where}." if where else ""

    async def _accounts(self, command: KeepAccount, progress: Progress) -> AsyncIterator[str]:
        silent = []
        for node in self._nodes():
            await progress(0.6, f"the Linux account on {node}")
            try:
                yield _of_node(await self._ask(node, command), done=True)
            except Unavailable:
                silent.append(node)
        if silent:
            raise Unavailable(f"Not heard: {', '.join(silent)}. Accounts there are locked when they are.")

    async def _ask(self, node: str, command: KeepAccount) -> AccountReport:
        answer: AccountReport = await ask(self.bus, names.address("compute", node), command, _SECONDS)
        return answer.model_copy(update={"node": node})

    def _nodes(self) -> Iterator[str]:
        return (node.id for node in self.domain.nodes.list() if "compute" in node.roles)


def _account_of(user: User) -> KeepAccount:
    return KeepAccount(user=user.id, incarnation=user.incarnation)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _leaves(project: Project) -> str:
    text = f"They leave the team of {project.slug}"
    return f"{text}; what they own in its files passes to {project.owner}." if project.node else f"{text}."


def _of_node(report: AccountReport, *, done: bool) -> str:
    """What is or was done to the account on a node, in a sentence."""
    if not report.exists:
        return "" if done else f"{report.node}: no Linux account of that name."
    if not report.made:
        return f"{report.node}: the Linux account (uid {report.uid}) was not made by AEN and stays as it is."
    locked = "was locked" if done else "is locked"
    running = "1 process ended, " if report.processes == 1 else f"{report.processes} processes ended, "
    return f"{report.node}: {running if report.processes else ''}the Linux account (uid {report.uid}) {locked}, {report.home} stays."
