"""Project and team: a directory with its people, and the states it goes through."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aen.errors import Conflict
from aen.model import Document, Word, now
from aen.model.dashboard import Dashboard, Watchers
from aen.model.environment import DEFAULT
from aen.model.space import Space


class Role(StrEnum):
    """What a team member may do; each includes the ones before it."""

    VIEWER = "viewer"
    MEMBER = "member"
    MAINTAINER = "maintainer"
    OWNER = "owner"


class Visibility(StrEnum):
    """Who sees that a project exists."""

    PRIVATE = "private"
    PUBLIC = "public"


class ProjectState(StrEnum):
    """What a project is doing."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    PROBLEM = "PROBLEM"
    DELETING = "DELETING"


S = ProjectState
PROJECT_MOVES: dict[ProjectState, frozenset[ProjectState]] = {
    S.STOPPED: frozenset({S.STARTING, S.DELETING}),
    S.STARTING: frozenset({S.RUNNING, S.STOPPED, S.STOPPING, S.PROBLEM, S.DELETING}),
    S.RUNNING: frozenset({S.STOPPING, S.STARTING, S.PROBLEM, S.STOPPED, S.DELETING}),
    S.STOPPING: frozenset({S.STOPPED, S.PROBLEM, S.DELETING}),
    S.PROBLEM: frozenset({S.STOPPED, S.STARTING, S.STOPPING, S.DELETING}),
    S.DELETING: frozenset({S.PROBLEM}),
}


class Member(Word):
    """One person of a team. `incarnation` is the user's: it tells them from an earlier person of that name."""

    user: str
    incarnation: str = ""
    role: Role = Role.MEMBER
    added: int = Field(default_factory=now)


class Project(Document):
    """A directory with its people. `slug` (`owner/name`) is unique; `id` never changes."""

    slug: str
    owner: str
    name: str
    summary: str = ""
    description: str = ""  # Markdown
    visibility: Visibility = Visibility.PRIVATE
    tags: list[str] = Field(default_factory=list)
    stars: int = 0
    team: list[Member] = Field(default_factory=list)  # the owner is in it
    members: list[str] = Field(default_factory=list)  # names of the team: what the store looks up
    dashboards: list[Dashboard] = Field(default_factory=list)
    watchers: list[str] = Field(
        default_factory=list
    )  # who finds its dashboards, its team too; `*`: all; `#<id>`: each by its address
    former: list[str] = Field(default_factory=list)  # left the team; the node has not yet taken their rights away
    datacenter: str
    node: str = ""
    storage: str = ""  # where its directory lies, when several nodes share that: any of them may run it
    lease: int = 0  # raised each time the project goes to another node: what an earlier one says counts no more
    environment: str = DEFAULT  # the active one
    space: Space | None = None  # what it takes on the node's disk, as measured last
    size: int = 0  # `space.bytes`: what lists are sorted by
    space_limit: int = 0  # bytes that an administrator gave it; 0: what the configuration says
    placed: bool = False  # its directory is known to exist at `node`: it starts nowhere else
    pending: list[str] = Field(
        default_factory=list
    )  # outbox: what is yet to be done elsewhere (permissions, rename, delete)
    renaming: str = ""  # the new name, while the node moves the directory
    passing: str = ""  # the new owner meanwhile, if it goes to another one
    ends: int = 0  # its owner deleted it: until then (ms since 1970) it can be had back; 0: not deleted
    state: ProjectState = ProjectState.STOPPED
    reason: str = ""  # why it is in this state, for people
    log_tail: str = ""
    since: int = Field(default_factory=now)
    created: int = Field(default_factory=now)
    updated: int = Field(default_factory=now)
    search: str = ""  # lower-case text that search runs on

    @property
    def going(self) -> bool:
        """Deleted, whether it can still be had back or not: no list and no search shows it."""
        return self.ends > 0 or self.state is ProjectState.DELETING

    def dashboard(self, id: str) -> Dashboard | None:
        """The dashboard with this id, or None."""
        return next((one for one in self.dashboards if one.id == id), None)

    def watched_by(self) -> list[str]:
        """What stands in `watchers`, by what its dashboards say."""
        if not self.dashboards:
            return []
        named = {*self.members, *(name for one in self.dashboards for name in one.people)}
        everybody = {"*"} if any(one.watchers is Watchers.SIGNED_IN for one in self.dashboards) else set()
        return sorted(named | everybody | {f"#{one.id}" for one in self.dashboards})

    def role_of(self, user: str) -> Role | None:
        """The role of `user` in the team, or None."""
        for member in self.team:  # a loop: lists ask this of every project
            if member.user == user:
                return member.role
        return None

    def move(self, state: ProjectState, reason: str = "", log_tail: str = "") -> None:
        """Go to `state`. Raises Conflict when that move is not in the table."""
        if state is not self.state and state not in PROJECT_MOVES[self.state]:
            raise Conflict(f"{self.slug} is {self.state.lower()}: it can't become {state.lower()} now.")
        if state is not self.state:
            self.since = now()
        self.state, self.reason, self.log_tail = state, reason, log_tail
