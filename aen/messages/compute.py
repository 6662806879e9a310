"""What the server asks of a compute node, and what nodes tell everybody."""

from __future__ import annotations

from pydantic import Field

from aen.messages.kinds import Command, Done, Event
from aen.model import Word
from aen.model.account import AccountReport
from aen.model.drift import Drift
from aen.model.environment import DEFAULT, ChangeReport, EnvironmentChange, EnvironmentDetail, EnvironmentList
from aen.model.node import Load
from aen.model.project import Member, ProjectState
from aen.model.rights import PathRights, RightsWish
from aen.model.session import Idle, Phase, Step, Use
from aen.model.space import Space

# ── server → compute ────────────────────────────────────────────────────────────────────────────────


class ProjectSpec(Word):
    """What a compute node must know of a project: all of it comes along, so the node asks nobody."""

    id: str
    owner: str
    name: str
    team: list[Member]
    former: list[str] = Field(default_factory=list)
    environment: str = DEFAULT  # the one that kernels and terminals work in


class StartSession(Command):
    """Start a session, or say how the one of this generation is doing. Answered at once; steps follow as events."""

    session: str
    generation: int
    project: ProjectSpec
    user: str  # whose account runs it
    app: str
    app_server: str
    shared: bool = False
    limits: dict[str, int] = Field(default_factory=dict)  # what is said of this person, before what the node says
    keys: list[str] = Field(default_factory=list)  # SSH keys of `user`
    told: dict[str, str] = Field(default_factory=dict)  # what its app server is told besides


class StopSession(Command):
    """End a session's processes. Answered when they are gone, or when the session is not known."""

    session: str
    generation: int = 0  # 0: whichever runs
    reason: str = ""


class PrepareProject(Command):
    """Steps account, directory, environment, permissions, without an app. Answered at once; `ProjectReported` follows."""

    project: ProjectSpec


class ApplyPermissions(Command):
    """Bring the project's files in line with its team. The directory itself is done when this is answered."""

    project: ProjectSpec
    repair: bool = False  # walk everything before answering
    clear: bool = False  # move aside what lies where directories of ours belong, and no more than that


class PermissionsReport(Word):
    """What a walk found and did."""

    looked_at: int = 0
    changed: int = 0
    passed_on: int = 0  # inodes of former members given to the owner
    skipped: int = 0
    notes: list[str] = Field(default_factory=list)
    seconds: float = 0.0


class CheckPermissions(Command):
    """What of the project's files is not in line with its team. Changes nothing."""

    project: ProjectSpec


class PathRightsOf(Command):
    """What the team has on one file or folder (`path` below the project, percent-encoded), after a wish was fulfilled."""

    project: ProjectSpec
    path: str
    wish: RightsWish | None = None
    only: str = ""  # the person whose inodes alone may be changed; empty: everybody's


class MeasureProject(Command):
    """What a project takes on the node's disk. Changes nothing; takes its time."""

    project: ProjectSpec
    most: int = 0  # bytes that it may take, so that apps of ours refuse what would be more; 0: no bound


class RenameProject(Command):
    """Move a stopped project's directory; to the folder of another owner, to whom the old one's files pass."""

    project: ProjectSpec
    new_name: str
    new_owner: str = ""


class DeleteProject(Command):
    """Remove a project's directory and all in it."""

    project: ProjectSpec


class KeepAccount(Command):
    """A person's Linux account on the node: install these SSH keys (None: leave them), `retire` it or say what there is."""

    user: str
    incarnation: str = ""  # which person of that name; the account of another is not there for this command
    keys: list[str] | None = None
    retire: bool = False


class KeepSession(Command):
    """Don't stop an idle session for so many hours from now (0: no longer than others). Invalid when that is too long."""

    session: str
    generation: int
    hours: float


class ReadSessionLog(Command):
    """The end of an app server's log."""

    session: str
    lines: int = 200


class SessionLog(Word):
    """The answer to ReadSessionLog."""

    text: str


class ListEnvironments(Command):
    """The environments of a project, and the change that goes on or ended last."""

    project: ProjectSpec


class ReadEnvironment(Command):
    """One environment in full; with `number`, what would change by going back to that entry of its history."""

    project: ProjectSpec
    name: str
    number: int = 0
    hashes: bool = False  # only the lock, with the hashes that the package index tells


class ChangeEnvironment(Command):
    """Begin a change, as `user`. Answered when it has begun; `EnvironmentReported` follows. Conflict while another goes on."""

    project: ProjectSpec
    user: str
    change: EnvironmentChange


class StopEnvironmentChange(Command):
    """End the change that goes on, if it is that one: what hangs would hold up the whole team. Fine when it has ended."""

    project: ProjectSpec
    user: str
    change: str


class SessionReport(Word):
    """How a session is doing, as its node sees it."""

    session: str
    generation: int
    phase: Phase
    reason: str = ""
    log_tail: str = ""
    steps: list[Step] = Field(default_factory=list)
    upstream: str = ""
    uid: int = -1
    secret: str = ""
    activity: int = 0
    activity_source: str = ""
    use: Use | None = None
    idle: Idle | None = None  # None: its app can't say whether it is used


StartSession.answer = SessionReport
StopSession.answer = Done
PrepareProject.answer = Done
ApplyPermissions.answer = PermissionsReport
CheckPermissions.answer = Drift
PathRightsOf.answer = PathRights
MeasureProject.answer = Space
RenameProject.answer = Done
DeleteProject.answer = Done
KeepAccount.answer = AccountReport
KeepSession.answer = SessionReport
ReadSessionLog.answer = SessionLog
ListEnvironments.answer = EnvironmentList
ReadEnvironment.answer = EnvironmentDetail
ChangeEnvironment.answer = ChangeReport
StopEnvironmentChange.answer = ChangeReport

# ── compute → everybody ─────────────────────────────────────────────────────────────────────────────


class SessionReported(Event):
    """A session on a node changed: a step, a phase, its activity."""

    node: str
    report: SessionReport


class ProjectReported(Event):
    """A project's preparation went on or ended."""

    node: str
    project: str
    state: ProjectState
    reason: str = ""
    log_tail: str = ""
    steps: list[Step] = Field(default_factory=list)


class PermissionsWalked(Event):
    """A repair of a project's permissions goes on: so many files were looked at and changed until now."""

    project: str
    looked_at: int
    changed: int


class EnvironmentReported(Event):
    """A change of an environment said something, or ended."""

    node: str
    project: str
    change: ChangeReport


class NodeReported(Event):
    """A node's heartbeat, every 2 s: who it is, how busy, and which sessions it really has."""

    node: str
    datacenter: str
    roles: list[str]
    version: str
    load: Load
    isolated: bool
    ready: bool
    message: str = ""
    progress: float = 1.0
    sessions: list[SessionReport]
    started: int
    storage: str = ""  # of a compute node: the name of what its project root lies on, when others share it
    project_root: str = ""  # of a compute node: the folder that its projects lie in
    gateway_url: str = ""  # of a gateway: the address people reach it by, which makes its data center known
