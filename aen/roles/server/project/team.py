"""Team: who works in a project, and as what; a change reaches gateways and files within 5 s."""

from __future__ import annotations

from aen import names
from aen.errors import Conflict, Invalid, NotFound
from aen.links import BOARD
from aen.messages import ApplyPermissions
from aen.model import now
from aen.model.job import Job
from aen.model.project import Member, Project, ProjectState, Role
from aen.model.route import RevocationKind
from aen.model.session import Session
from aen.roles.server.background import ask
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor, Permission, check_scope
from aen.roles.server.project.moves import PERMISSIONS
from aen.service import Service
from aen.store import Query

MOST = 200  # people in one team: all of them stand in the ACL of every file
MOST_BY_GROUP = 2000  # where a group stands for them (acl.subject)
RUNNERS = frozenset({Role.MEMBER, Role.MAINTAINER, Role.OWNER})  # who may have sessions
_WALK_SECONDS = 600.0  # the directory itself is done in moments; a big tree takes its time


class Team(Part):
    """The teams. `project.team` is the list of members; these verbs change it."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.jobs.handle("project.permissions", self._apply)

    async def set(self, actor: Actor, owner: str, name: str, user: str, role: Role | str = Role.MEMBER) -> Project:
        """Add a person, or change their role (viewer, member, maintainer). Invalid for owner: that is `transfer`."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.TEAM)
        wanted = _role(role)
        person = await self.domain.accounts.find(user)
        if person is None:
            raise NotFound(f"There is no user {user[:40]!r}. Ask an administrator to invite them.")
        before: Role | None = None

        def edit(project: Project) -> None:
            nonlocal before
            before = project.role_of(user)
            if before is wanted:
                return
            if before is Role.OWNER:
                raise Conflict(f"{user} owns {project.slug}: transfer the project to change that.")
            if before is None:
                self._check_room(project)
            _put(project, user, wanted, person.incarnation)
            _changed(project)

        project = await self.domain.projects.edit(project.id, edit)
        if before is wanted:
            return project
        if before is not None and wanted not in RUNNERS:
            await self._end_access(project, user, f"{user} is only a viewer of the project now")
        act = "team.added" if before is None else "team.role"
        await self.domain.activity.record(
            actor, act, project.slug, project=project.id, who=user, detail=wanted, security=True
        )
        return await self._spread(project, actor.name)

    async def remove(self, actor: Actor, owner: str, name: str, user: str) -> Project:
        """Take a person off the team; a member may leave. Ends their sessions here. Conflict for the owner."""
        leaving = actor.user is not None and actor.user.id == user
        permission = Permission.VIEW if leaving else Permission.TEAM
        project = await self.domain.projects.allowed(actor, owner, name, permission)
        if leaving:
            check_scope(actor, Permission.TEAM, project)
        project = await self._take_off(project, user)
        await self.domain.activity.record(
            actor, "team.removed", project.slug, project=project.id, who=user, security=True
        )
        return await self._spread(project, actor.name)

    async def transfer(self, actor: Actor, owner: str, name: str, user: str) -> Project:
        """Make a team member the owner: the directory moves, its files pass to them; the old one stays as maintainer.

        Conflict unless the project is stopped and the new owner has none of that name.
        """
        project = await self.domain.projects.allowed(actor, owner, name, Permission.OWN)
        if await self.domain.accounts.find(user) is None:
            raise NotFound(f"There is no user {user[:40]!r}.")
        if user == project.owner:
            raise Conflict(f"{user} owns {project.slug} already.")
        project = await self.domain.projects.moves.transfer(project, user)
        await self.domain.activity.record(
            actor, "project.transferred", project.slug, project=project.id, who=user, security=True
        )
        return project

    async def forget(self, user: str) -> None:
        """A person is being removed from AEN: take them off every team. Conflict while they own a project."""
        query = Query(equal=(("members", user),), sort="updated")
        projects = [Project.model_validate(doc) async for doc in every(self.store, "projects", query)]
        owned = [project.slug for project in projects if project.owner == user]
        if owned:
            raise Conflict(f"{user} owns {', '.join(owned[:10])}. Delete these or give them to somebody else first.")
        for project in projects:
            await self._spread(await self._take_off(project, user), "")

    def _check_room(self, project: Project) -> None:
        """Told here, at the edit: the file system would only say at the next start that an ACL is too long."""
        by_group = self.domain.config.acl.subject == "group"
        most = MOST_BY_GROUP if by_group else MOST
        if len(project.team) < most:
            return
        advice = "" if by_group else ", or let an administrator set acl.subject to group, which has room for more"
        raise Conflict(
            f"{project.slug} has {most} people in its team, and files can't name more. Remove somebody first{advice}."
        )

    # ── what follows from a change ──────────────────────────────────────────────────────────────────

    async def _take_off(self, project: Project, user: str) -> Project:
        def edit(project: Project) -> None:
            role = project.role_of(user)
            if role is None:
                raise NotFound(f"{user} is not in the team of {project.slug}.")
            if role is Role.OWNER:
                raise Conflict(f"{user} owns {project.slug} and can't leave it. Make somebody else the owner first.")
            if user == project.passing:
                raise Conflict(f"{project.slug} is just being given to {user}. Try again in a moment.", retry_after=2)
            project.team = [member for member in project.team if member.user != user]
            project.members = [member.user for member in project.team]
            if project.node:
                project.former = [*(name for name in project.former if name != user), user]
            _changed(project)

        project = await self.domain.projects.edit(project.id, edit)
        self.domain.events.publish(f"user:{user}", "project-left", {"project": project.slug, "id": project.id})
        await self._end_access(project, user, f"{user} left the team")
        return project

    async def _end_access(self, project: Project, user: str, reason: str) -> None:
        """Close the door first (what is open, then the routes), then end what runs behind it; a silent node must not delay the door."""
        # Before the routes go: else what is open ends as if the app had (1001), and browsers try again.
        await self.domain.revocations.add(RevocationKind.MEMBER, f"{project.id} {user}")
        self.domain.sessions.routes.refresh(project)
        sessions = [one for one in await self.domain.sessions.live_of(project.id) if runs_as(one) == user]
        for session in sessions:
            self.domain.sessions.routes.drop(session.id, session.generation, session.datacenter)
            self.domain.sessions.dispatch.end_soon(session, reason)

    async def _spread(self, project: Project, created_by: str) -> Project:
        """Routes know the new team at once; the files follow by a job, if there are any."""
        self.domain.sessions.routes.refresh(project)
        if PERMISSIONS in project.pending:
            await self.domain.projects.moves.ensure_job(project, PERMISSIONS, created_by)
        return project

    async def _apply(self, job: Job, _: Progress) -> None:
        """The job: the node applies the team as it is now, then nothing is due any more."""
        project = await self.domain.projects.by_id(str(job.payload["project"]))
        if project is None or PERMISSIONS not in project.pending or project.state is ProjectState.DELETING:
            return
        for user in project.former:  # once more: the change may have been cut off before it had closed the door
            await self._end_access(project, user, f"{user} left the team")
        if project.node:  # which ends former members' processes itself, before it takes their rights away
            command = ApplyPermissions(project=self.domain.projects.spec(project))
            await ask(self.bus, names.address("compute", project.node), command, _WALK_SECONDS)
        applied = project

        def settle(project: Project) -> None:
            project.former = [user for user in project.former if user not in applied.former]
            if project.team == applied.team and project.visibility is applied.visibility and not project.former:
                project.pending = [kind for kind in project.pending if kind != PERMISSIONS]

        await self.domain.projects.edit(project.id, settle)


def runs_as(session: Session) -> str:
    """Whose account a session of the team runs as: a dashboard's, of who deployed it; else its person's (`*`: the owner's)."""
    return session.started_by if session.app_server.startswith(BOARD) else session.user


def _role(role: Role | str) -> Role:
    try:
        wanted = Role(role)
    except ValueError:
        raise Invalid(f"There is no role {str(role)[:40]!r}: use viewer, member or maintainer.") from None
    if wanted is Role.OWNER:
        raise Invalid("A project has one owner: transfer the project to make somebody else the owner.")
    return wanted


def _put(project: Project, user: str, role: Role, incarnation: str = "") -> None:
    known = next((member for member in project.team if member.user == user), None)
    new = Member(user=user, incarnation=incarnation, role=role)
    member = new if known is None else known.model_copy(update={"role": role})
    others = [one for one in project.team if one.user != user]
    at = project.team.index(known) if known is not None else len(others)
    project.team = [*others[:at], member, *others[at:]]
    project.members = [one.user for one in project.team]
    project.former = [name for name in project.former if name != user]


def _changed(project: Project) -> None:
    """The files must follow, if there are any; and whose lists its dashboards stand in."""
    project.watchers = project.watched_by()
    project.updated = now()
    if project.node and PERMISSIONS not in project.pending:
        project.pending = [*project.pending, PERMISSIONS]
