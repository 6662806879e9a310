"""Projects: making, finding, changing, starring. Their life is in life.py, renaming and deleting in moves.py, lists in listing.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aen import names
from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.messages import ProjectSpec
from aen.model import new_id, now
from aen.model.job import Job
from aen.model.project import Member, Project, Role, Visibility
from aen.model.user import User
from aen.roles.server.background import Background
from aen.roles.server.changes import change
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.roles.server.project.file_rights import FileRights
from aen.roles.server.project.life import Life
from aen.roles.server.project.listing import Listing
from aen.roles.server.project.moves import PERMISSIONS, Moves
from aen.roles.server.project.repairs import Repairs
from aen.roles.server.project.wording import NewProject, ProjectPatch, description, search_text, summary, tags
from aen.service import Service
from aen.store import Doc, Duplicate, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

__all__ = ["SCOPES", "NewProject", "ProjectPatch", "Projects"]

SCOPES = ("mine", "team", "starred", "public", "all", "deleted")
_MOST_STARS = 1000  # of one person


class Projects(Part):
    """The projects. All verbs check permission; what the actor may not see is NotFound."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.background = Background()
        self.life = Life(domain)
        self.moves = Moves(domain)
        self.repairs = Repairs(domain)
        self.rights = FileRights(domain)
        self.listing = Listing(domain)

    async def begin(self, service: Service) -> None:
        """See Part."""
        await service.enter(self.background)
        await self.life.begin(service)
        await self.moves.begin(service)
        await self.repairs.begin(service)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────

    async def get(self, actor: Actor, owner: str, name: str) -> Project:
        """The project, if the actor may see it; NotFound."""
        return await self.allowed(actor, owner, name, Permission.VIEW)

    async def by_id(self, id: str) -> Project | None:
        """The project with this id, for the server itself: no permission is asked."""
        doc = await self.store.get("projects", id)
        return Project.model_validate(doc) if doc else None

    async def allowed(self, actor: Actor, owner: str, name: str, permission: Permission) -> Project:
        """The project, if the actor has `permission` there; NotFound or Denied."""
        check(actor, Permission.VIEW)
        page = await self.store.find("projects", Query(equal=(("slug", names.slug(owner, name)),), limit=1))
        return self._checked(actor, permission, [Project.model_validate(doc) for doc in page.items])

    async def look(self, actor: Actor, owner: str, name: str) -> Project:
        """As `get`, for a page: what is only looked at is read and understood once, until it changes."""
        check(actor, Permission.VIEW)
        query = Query(equal=(("slug", names.slug(owner, name)),), limit=1, shared=True)
        page = await self.store.find("projects", query)
        return self._checked(actor, Permission.VIEW, [self.domain.seen.read(Project, doc) for doc in page.items])

    def _checked(self, actor: Actor, permission: Permission, found: Sequence[Project]) -> Project:
        if not found:
            raise NotFound("There is no such project, or you may not see it.")
        check(actor, Permission.VIEW, found[0])  # whatever a token may do there, it may do where it may look
        check(actor, permission, found[0])
        return found[0]

    async def list(
        self,
        actor: Actor,
        scope: str = "mine",
        tag: str = "",
        search: str = "",
        limit: int = 50,
        cursor: str = "",
        own: list[Doc] | None = None,
    ) -> tuple[list[Project], str]:
        """Projects the actor may see, and the cursor of the next page ("" at the end); a search gives its best only.

        `scope`: mine (owner), team (in the team, not owner), starred, public, all (everything visible to the actor),
        deleted (one's own that can still be had back). `own`: the actor's own (`Tags.of_person`), if they are known.
        """
        check(actor, Permission.LIST)
        if scope not in SCOPES:
            raise Invalid(f"There is no scope {scope[:40]!r}: use one of {', '.join(SCOPES)}.")
        return await self.listing.page(actor, scope, tag, search, max(1, min(limit, 200)), cursor, own)

    async def tags(self, actor: Actor, limit: int = 30) -> tuple[tuple[str, int], ...]:
        """The tags of what the actor may see (of the 200 projects changed last), most used first."""
        check(actor, Permission.LIST)
        return await self.listing.tags(actor, limit)

    # ── changing ────────────────────────────────────────────────────────────────────────────────────

    async def create(self, actor: Actor, new: NewProject) -> Project:
        """A new project of the actor's. Raises Invalid (names, sizes), Conflict (name taken)."""
        check(actor, Permission.CREATE)
        owner = self._owner(actor)
        project = Project(
            id=new_id(),
            slug=names.slug(owner, names.project(new.name)),
            owner=owner,
            name=new.name,
            summary=summary(new.summary),
            description=description(new.description),
            visibility=new.visibility or Visibility(self.domain.settings.value("new_projects.visibility")),
            tags=tags(new.tags),
            team=[Member(user=owner, incarnation=actor.user.incarnation if actor.user else "", role=Role.OWNER)],
            members=[owner],
            datacenter=self._datacenter(new.datacenter),
        )
        project.search = search_text(project)
        async with self.domain.allowances.room_for_project(owner):
            try:
                doc = await self.store.insert("projects", project.model_dump(mode="json"))
            except Duplicate as error:
                raise await self._taken(owner, new.name) from error
        project = Project.model_validate(doc)
        await self.domain.activity.record(actor, "project.created", project.slug, project=project.id)
        self.tell(project)
        return project

    async def update(self, actor: Actor, owner: str, name: str, patch: ProjectPatch) -> Project:
        """Change what the patch gives. Invalid for sizes and tags."""
        project = await self.allowed(actor, owner, name, Permission.EDIT)
        if patch.visibility is not None and patch.visibility is not project.visibility:
            check(actor, Permission.OWN, project)
        given: dict[str, Any] = {"visibility": patch.visibility}
        for key, clean in (("summary", summary), ("description", description), ("tags", tags)):
            value = getattr(patch, key)
            given[key] = None if value is None else clean(value)
        changes = {key: value for key, value in given.items() if value is not None and value != getattr(project, key)}
        if not changes:
            return project

        def edit(project: Project) -> None:
            for key, value in changes.items():
                setattr(project, key, value)
            if "visibility" in changes:
                self._seen_by_others(project)
            project.search, project.updated = search_text(project), now()

        changed = await self.edit(project.id, edit)
        await self.domain.activity.record(
            actor, "project.updated", changed.slug, project=changed.id, detail=", ".join(sorted(changes))
        )
        if "visibility" in changes:
            await self._open_or_close(changed, actor.name)
        return changed

    async def star(self, actor: Actor, owner: str, name: str, on: bool) -> Project:
        """Star or unstar for the actor; `project.stars` is right afterwards. Starring twice is once."""
        check(actor, Permission.ACCOUNT)
        project = await self.get(actor, owner, name)
        if actor.user is None:
            raise Denied("Only people star projects.")

        def mark(user: User) -> None:
            others = [id for id in user.starred if id != project.id]
            if on and len(others) >= _MOST_STARS:
                raise Invalid(f"You have starred {_MOST_STARS} projects: unstar one first.")
            if on is not (project.id in user.starred):
                user.starred = [*others, project.id] if on else others

        async def count(project: Project) -> None:
            # Counted after this revision was read: whoever writes last has counted every star made before.
            project.stars = await self.store.count("users", (("starred", project.id),))

        await self.domain.accounts.change_user(actor.user.id, mark)
        return await self.edit(project.id, count)

    async def rename(self, actor: Actor, owner: str, name: str, new_name: str) -> Project:
        """Give a stopped project another name. Conflict while it runs or when the name is taken."""
        return await self.moves.rename(actor, owner, name, new_name)

    async def delete(self, actor: Actor, owner: str, name: str, typed: str) -> Job:
        """Delete for good and at once (`Grace.discard` leaves time); `typed` must be the project's name (or owner/name). Goes on as a job; state DELETING."""
        return await self.moves.delete(actor, owner, name, typed)

    async def start(self, actor: Actor, owner: str, name: str) -> Project:
        """Start: account, directory, environment, permissions. Answered at once as STARTING; events tell the rest."""
        return await self.life.start(actor, owner, name)

    async def stop(self, actor: Actor, owner: str, name: str) -> Project:
        """Stop all sessions, then the project. Answered at once as STOPPING; events tell the rest."""
        return await self.life.stop(actor, owner, name)

    async def reset(self, actor: Actor, owner: str, name: str) -> Project:
        """End whatever is left and be STOPPED; always works (except while it is being deleted)."""
        return await self.life.reset(actor, owner, name)

    # ── for the other parts ─────────────────────────────────────────────────────────────────────────

    async def edit(self, id: str, edit: Callable[[Project], Any]) -> Project:
        """Change a project by compare and set and tell everybody who looks. For the server itself."""
        rev = -1

        def remember(project: Project) -> Any:
            nonlocal rev
            rev = project.rev
            return edit(project)

        project = await change(self.store, "projects", Project, id, remember)
        if project.rev != rev:
            self.tell(project)
        return project

    def tell(self, project: Project) -> None:
        """Publish the project's state to its page and to its members' lists."""
        self.domain.tags.note(project)
        data = self.summary_of(project)
        self.domain.events.publish(f"project:{project.id}", "project", data)
        for user in project.members:
            self.domain.events.publish(f"user:{user}", "project", data)

    def summary_of(self, project: Project) -> dict[str, Any]:
        """What an event on the project's topic says of it."""
        shown = {"id", "owner", "name", "summary", "visibility", "tags", "stars", "state", "reason", "since", "updated"}
        return {"project": project.slug, **project.model_dump(mode="json", include=shown)}

    def spec(self, project: Project) -> ProjectSpec:
        """What a compute node is told of the project."""
        return ProjectSpec(
            id=project.id,
            owner=project.owner,
            name=project.name,
            team=[*project.team, *self._looker(project)],
            former=project.former,
            environment=project.environment,
        )

    def _looker(self, project: Project) -> tuple[Member, ...]:
        """The account that shows a public project to people without one: its files let it in as a viewer."""
        if not self.domain.admitting.is_public(project):
            return ()
        return (Member(user=self.domain.config.sharing.public_account, role=Role.VIEWER, added=project.created),)

    async def _open_or_close(self, project: Project, by: str) -> None:
        """The door at once, the files by a job."""
        self.domain.sessions.routes.refresh(project)
        await self.domain.admitting.sweep()
        if PERMISSIONS in project.pending:
            await self.moves.ensure_job(project, PERMISSIONS, by)

    def _seen_by_others(self, project: Project) -> None:
        """The files must follow: the account that shows public projects gets its rights, or loses them."""
        account = self.domain.config.sharing.public_account
        if not account or not project.node:
            return
        left = project.visibility is not Visibility.PUBLIC
        project.former = [name for name in project.former if name != account] + [account] * left
        project.pending = [*(kind for kind in project.pending if kind != PERMISSIONS), PERMISSIONS]

    def _owner(self, actor: Actor) -> str:
        if actor.user is None:
            raise Denied("A project belongs to a person: sign in as one to create it.")
        config = self.domain.config
        ours = config.service_account if config.accounts.mode != "single" else ""
        if actor.user.id in ("root", ours):
            raise Denied(f"{actor.user.id} is an account of the system: it can't own projects.")
        return actor.user.id

    async def _taken(self, owner: str, name: str) -> Conflict:
        query = Query(equal=(("slug", names.slug(owner, name)),), limit=1)
        if any(doc["ends"] for doc in (await self.store.find("projects", query)).items):
            return Conflict(f"You have deleted a project named {name}. Restore it, or delete it for good first.")
        return Conflict(f"You already have a project named {name}. Choose another name.")

    def _datacenter(self, wanted: str) -> str:
        known = [center.id for center in self.domain.nodes.datacenters()]
        if wanted in known:
            return wanted
        if wanted:
            raise Invalid(f"There is no data center {wanted[:40]!r}. Known: {', '.join(known) or 'none'}.")
        if len(known) == 1:
            return known[0]
        if known:
            raise Invalid(f"Say in which data center: {', '.join(known)}.")
        return self.domain.config.gateway.datacenter
