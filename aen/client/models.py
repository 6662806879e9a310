"""Models: what the API takes and gives. Made by `./dev client` from the OpenAPI description: change that, not this."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Told(BaseModel):
    """A value of the API; what a newer server tells besides is left out."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


Act = Literal["standard", "create", "clone", "remove", "install", "uninstall", "roll-back"]
Audience = Literal["team", "signed_in", "public"]
Kind = Literal["voila", "panel", "streamlit"]
RunState = Literal["WAITING", "RUNNING", "DONE", "FAILED", "LOST", "SKIPPED"]
StepState = Literal["waiting", "running", "done", "skipped", "failed"]
Visibility = Literal["private", "public"]
Watchers = Literal["team", "signed_in"]


class About(Told):
    """What it is called, and whom it is for: team, signed_in or public."""

    title: str = ""
    description: str = ""
    audience: Audience = "team"


class ActivityView(Told):
    """One act."""

    at: int
    who: str
    actor: str
    act: str
    object: str
    detail: str
    address: str


class Allowance(Told):
    """How much a person may take, as an administrator said of them; 0: as for everybody."""

    projects: int = 0
    sessions: int = 0
    space: int = 0
    memory: int = 0
    cpus: float = 0


class AppView(Told):
    """Something one can start."""

    name: str
    title: str
    description: str
    icon: str
    app_server: str


class CellDifference(Told):
    """A cell: new, removed, changed, outputs (only they differ), same (so many that do not), cut."""

    state: str
    kind: str
    count: int = 1
    rows: list[list[Any]] = Field(default_factory=list)
    outputs: list[list[str]] = Field(default_factory=list)


class ChangeReport(Told):
    """How a change is doing, or how it ended."""

    id: str
    act: Act
    name: str
    user: str
    detail: str = ""
    state: Literal["running", "done", "failed"] = "running"
    reason: str = ""
    output: str = ""
    since: int | None = None
    ended: int = 0


class ChangedFile(Told):
    """A file that is not as in the last revision: new, changed, removed, conflict."""

    path: str
    state: str


class Committed(Told):
    """The id of the new revision."""

    revision: str


class CopyName(Told):
    """The copy's name; empty: the same one."""

    name: str = ""


class Counted(Told):
    """How many."""

    count: int


class DashboardSpec(Told):
    """DashboardSpec."""

    title: str = ""
    kind: Kind
    path: str
    environment: str = ""
    watchers: Watchers = "team"
    people: list[str] = Field(default_factory=list)


class DashboardView(Told):
    """A dashboard."""

    id: str
    project: str
    title: str
    kind: Kind
    path: str
    environment: str
    user: str
    watchers: Watchers
    people: list[str]
    created: int
    app_server: str
    url: str


class DataCenterBody(Told):
    """A data center."""

    name: str
    title: str = ""


class DataCenterStatus(Told):
    """How a data center is doing; `status` and `messages` as AEN 4 told them."""

    name: str
    title: str
    gateway_url: str
    status: str
    messages: list[str]
    nodes: int
    nodes_up: int
    sessions: int
    cpus: int
    load1: float
    memory_free: int
    disk_free: int
    versions: list[str]
    last_seen: int


class DataCenterView(Told):
    """A gateway and the compute nodes behind it."""

    name: str
    title: str
    gateway_url: str


class Day(Told):
    """One day, UTC."""

    id: str
    rev: int = 0
    acts: dict[str, int] = Field(default_factory=dict)
    complete: bool = False
    session_hours: float = 0.0
    cpu_hours: float = 0.0
    most_sessions: int = 0
    users: int = 0
    projects: int = 0
    space: int = 0
    faults: int = 0
    sampled: int = 0


class Deletion(Told):
    """`name`: the project's name once more."""

    name: str | None = None


class Difference(Told):
    """An option that is not the same on all nodes that read it: value → nodes."""

    option: str
    values: dict[str, list[str]]


class Differences(Told):
    """What differs between two moments; `revision` is told where it is that of one revision."""

    revision: Revision | None = None
    files: list[FileDifference] = Field(default_factory=list)
    more: bool = False


class DrainBody(Told):
    """Whether nothing new is started on the node."""

    draining: bool = True


class Drift(Told):
    """What a look found."""

    looked_at: int = 0
    differing: int = 0
    items: list[DriftItem] = Field(default_factory=list)
    unreadable: dict[str, int] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    seconds: float = 0.0


class DriftItem(Told):
    """One file or directory that differs."""

    path: str
    directory: bool
    reason: str
    lacks: dict[str, str] = Field(default_factory=dict)
    extra: dict[str, str] = Field(default_factory=dict)


class EnvironmentDetail(Told):
    """One environment in full."""

    environment: EnvironmentInfo | None = None
    packages: list[list[str]] = Field(default_factory=list)
    lock: str = ""
    yml: str = ""
    history: list[HistoryEntry] = Field(default_factory=list)
    differences: list[list[str]] = Field(default_factory=list)


class EnvironmentInfo(Told):
    """One environment."""

    name: str
    kind: str = "venv"
    python: str = ""
    packages: int = 0
    bytes: int = 0
    shared: int = 0
    kernel: bool = False
    changed: int = 0


class EnvironmentView(Told):
    """One environment; `active`: kernels, terminals and PATH work in it."""

    name: str
    kind: str = "venv"
    python: str = ""
    packages: int = 0
    bytes: int = 0
    shared: int = 0
    kernel: bool = False
    changed: int = 0
    active: bool = False


class EnvironmentsView(Told):
    """All environments; `bytes` counts every inode once; `change` goes on or ended last."""

    items: list[EnvironmentView]
    bytes: int
    active: str
    change: ChangeReport | None = None


class ErrandReport(Told):
    """How an errand is doing, or how it ended."""

    id: str
    project: str
    user: str
    verb: str
    state: Literal["running", "done", "failed", "lost"] = "running"
    reason: str = ""
    output: str = ""
    result: dict[str, Any] = Field(default_factory=dict)
    since: int | None = None
    ended: int = 0


class ErrorAnswer(Told):
    """Every error of the API."""

    error: ErrorBody


class ErrorBody(Told):
    """What went wrong: a code, a sentence for people, an id that stands in the log."""

    code: str
    message: str
    id: str


class Fault(Told):
    """One kind of fault."""

    id: str
    rev: int = 0
    place: str
    kind: str
    message: str
    what: str = ""
    trace: str = ""
    count: int = 0
    nodes: list[str] = Field(default_factory=list)
    ids: list[str] = Field(default_factory=list)
    first: int = 0
    last: int = 0
    unread: bool = True


class FileDifference(Told):
    """A file that differs: as lines, or, of a notebook, as cells."""

    path: str
    state: str
    note: str = ""
    rows: list[list[Any]] = Field(default_factory=list)
    cells: list[CellDifference] = Field(default_factory=list)


class Folder(Told):
    """Which folder of the project, percent-encoded; empty: the project itself."""

    folder: str = ""


class FoundWord(Told):
    """What `aen doctor` found of one thing."""

    what: str
    state: Literal["ok", "warning", "problem"]
    message: str
    cure: str = ""


class GitKey(Told):
    """The public half of a person's key for git on a node; empty: there is none yet."""

    public: str = ""
    fingerprint: str = ""


class GoBack(Told):
    """GoBack."""

    folder: str = ""
    revision: str
    path: str = ""
    keep: bool = False


class GoingOn(Told):
    """The id of the change that goes on."""

    change: str


class GoneKey(Told):
    """The fingerprint (`SHA256:…`) of a key to take away."""

    fingerprint: str


class HereView(Told):
    """HereView."""

    user: str
    page: bool
    app: str = ""


class HistoryEntry(Told):
    """One moment of an environment."""

    number: int
    at: int
    user: str = ""
    act: str = ""
    detail: str = ""
    changes: list[str] = Field(default_factory=list)
    packages: int = 0


class Idle(Told):
    """Why a session lives on, and when it stops for want of use."""

    busy_since: int = 0
    stops_at: int = 0
    keep_until: int = 0
    warned: bool = False
    hours: float = 0.0
    most_keep_hours: float = 0.0


class InvitationView(Told):
    """An invitation that is open."""

    id: str
    email: str
    admin: bool
    role: str
    created_by: str
    expires: int
    code: str = ""
    url: str = ""


class InviteWish(Told):
    """What an administrator invites a host to be."""

    roles: list[str]
    datacenter: str
    node: str = ""
    hosts: list[str] = Field(default_factory=list)
    again: bool = False
    hours: float = 1.0


class JobView(Told):
    """A piece of work that goes on by itself."""

    id: str
    kind: str
    subject: str
    state: str
    progress: float
    message: str
    attempts: int
    created_by: str
    created: int
    updated: int


class JoinBody(Told):
    """What a host sends to become a node."""

    token: str
    node: str
    csr: str
    nkey: str
    addresses: dict[str, str] = Field(default_factory=dict)
    version: str = ""


class Keep(Told):
    """For how many hours from now an idle session is not to be stopped; 0: no longer than others."""

    hours: float


class KeptLogs(Told):
    """Every log."""

    items: list[KeptView]


class KeptView(Told):
    """KeptView."""

    log: str
    days: int
    oldest: int


class LetterView(Told):
    """A letter that the mail server has not taken yet; `state` is waiting or failed."""

    id: str
    to: str
    kind: str
    state: str
    error: str
    attempts: int
    created: int


class LinkView(Told):
    """A link."""

    id: str
    name: str
    user: str
    created: int
    expires: int
    opened: int
    url: str = ""


class Load(Told):
    """How busy a compute node is."""

    cpus: int = 1
    load1: float = 0.0
    memory_total: int = 0
    memory_free: int = 0
    disk_total: int = 0
    disk_free: int = 0


class Loads(Told):
    """The history of one node."""

    id: str
    rev: int = 0
    fine: list[Point] = Field(default_factory=list)
    coarse: list[Point] = Field(default_factory=list)


class LogView(Told):
    """The end of an app server's log."""

    text: str


class LoginView(Told):
    """A browser login or API token."""

    id: str
    kind: str
    title: str
    scope: list[str]
    created: int
    last_seen: int
    expires: int
    address: str
    agent: str
    current: bool


class MadeView(Told):
    """A project that is being made, and the job that fills it."""

    project: ProjectView
    job: JobView


class MailTest(Told):
    """To which address a test goes."""

    to: str


class MeView(Told):
    """Who is asking."""

    name: str
    user: UserView | None
    admin: bool
    staff: bool
    csrf: str
    scope: list[str]
    expires: int


class MemberView(Told):
    """One person of a team."""

    user: str
    role: str
    added: int


class Moment(Told):
    """An entry of the history."""

    number: int


class NewEnvironment(Told):
    """A new environment."""

    name: str = ""
    source: str = ""
    packages: list[str] = Field(default_factory=list)
    requirements: str = ""


class NewInvitation(Told):
    """An invitation to make; `project` (`owner/name`) is joined at sign-up."""

    email: str = ""
    admin: bool = False
    project: str = ""
    role: Literal["viewer", "member", "maintainer"] = "member"
    days: float = 7


class NewKey(Told):
    """An SSH public key, as it stands in a file that ends in .pub."""

    key: str
    title: str = ""


class NewLink(Told):
    """What the link is to: a file or folder of the project, percent-encoded; and how many days it lives."""

    path: str
    days: float = 7


class NewName(Told):
    """The new name of a stopped project."""

    name: str


class NewOwner(Told):
    """Who of the team becomes the owner."""

    user: str


class NewPassword(Told):
    """A new password; `old` where one changes one's own."""

    new: str
    old: str = ""


class NewPicture(Told):
    """A picture to show oneself by: a PNG of at most 512 by 512 pixels and 400 KB, in Base64."""

    png: str


class NewProject(Told):
    """What `create` takes (the API's body)."""

    name: str
    summary: str = ""
    description: str = ""
    visibility: Visibility | None = None
    tags: list[str] = Field(default_factory=list)
    datacenter: str = ""


class NewPublication(Told):
    """What is published: a notebook, Markdown or HTML file, or a folder; percent-encoded."""

    title: str = ""
    description: str = ""
    audience: Audience = "team"
    path: str


class NewReset(Told):
    """A link to make by which a person chooses a new password; good for so many hours."""

    hours: float = 24


class NewRevision(Told):
    """What becomes a revision: files as the status tells them, percent-encoded."""

    folder: str = ""
    message: str
    files: list[str]


class NewRights(Told):
    """What people are to have on a file or folder (`path` below the project, percent-encoded)."""

    rights: dict[str, str] = Field(default_factory=dict)
    closed: bool = False
    contents: bool = False
    dry: bool = False
    path: str


class NewSchedule(Told):
    """A notebook (percent-encoded path) and when it runs."""

    name: str
    notebook: str
    environment: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    timing: Timing | None = None
    hours: float = 4.0


class NewSearch(Told):
    """A search to keep."""

    q: str
    kind: Literal["", "projects", "people", "tags", "files"] = ""
    title: str = ""


class NewSession(Told):
    """Which app to open: jupyterlab, notebook, terminal, or one of the site's own."""

    app: str


class NewTeamLink(Told):
    """As what people join, and for how long the link is good."""

    role: Literal["viewer", "member"] = "member"
    days: float = 7


class NewToken(Told):
    """A token to make: good for `days`, for `scope` only (docs/rights.md; none: all that the person may)."""

    title: str = ""
    days: float = 90
    scope: list[str] = Field(default_factory=list)


class NewUser(Told):
    """A person whom an administrator makes."""

    full_name: str = ""
    email: str = ""
    company: str = ""
    location: str = ""
    url: str = ""
    language: str = ""
    theme: Literal["system", "light", "dark"] = "system"
    name: str
    password: str = ""
    admin: bool = False
    staff: bool = False


class NewUserView(Told):
    """A person who was just made."""

    name: str
    full_name: str
    email: str
    company: str
    location: str
    url: str
    language: str
    theme: str
    admin: bool
    staff: bool
    locked: bool
    picture: bool = False
    allowance: Allowance
    created: int
    last_login: int
    note: str = ""


class NewValue(Told):
    """What a setting is to be."""

    value: Any


class NodeExamined(Told):
    """What a node found when it examined itself, and its configuration."""

    protocol: int = 1
    node: str
    host: str = ""
    roles: list[str]
    version: str = ""
    at: int
    findings: list[FoundWord]
    options: list[OptionWord]


class NodeInvitationView(Told):
    """An invitation of a host."""

    id: str
    roles: list[str]
    datacenter: str
    node: str
    hosts: list[str]
    again: bool
    created_by: str
    created: int
    expires: int
    token: str = ""
    command: str = ""


class NodeJoined(Told):
    """What a node is given."""

    node: str
    roles: list[str]
    datacenter: str
    server_url: str
    bus_url: str
    certificate: str
    authority: str
    revoked: list[str] = Field(default_factory=list)
    now: int
    unreached: dict[str, str] = Field(default_factory=dict)


class NodeView(Told):
    """One node as the server last heard of it."""

    name: str
    roles: list[str]
    datacenter: str
    version: str
    load: Load
    sessions: int
    isolated: bool
    ready: bool
    message: str
    progress: float
    up: bool
    last_seen: int
    started: int
    draining: bool = False
    storage: str = ""
    joined: int = 0
    joined_by: str = ""
    certificate_until: int = 0


class Nothing(Told):
    """A body that may hold nothing (or be left out)."""


class OptionWord(Told):
    """One option as it is in force on a node; secrets hidden."""

    path: str
    value: str
    origin: str = ""


class PackagesChange(Told):
    """Packages to install (or the text of a requirements file, lock or environment.yml), or to remove."""

    install: list[str] = Field(default_factory=list)
    requirements: str = ""
    remove: list[str] = Field(default_factory=list)


class PageOfUsers(Told):
    """One page of the users; `total`: how many there are in all that fit."""

    items: list[UserView]
    next: str = ""
    total: int


class PageOfActivityView(Told):
    """PageOf_ActivityView_."""

    items: list[ActivityView]
    next: str = ""


class PageOfAppView(Told):
    """PageOf_AppView_."""

    items: list[AppView]
    next: str = ""


class PageOfDashboardView(Told):
    """PageOf_DashboardView_."""

    items: list[DashboardView]
    next: str = ""


class PageOfDataCenterStatus(Told):
    """PageOf_DataCenterStatus_."""

    items: list[DataCenterStatus]
    next: str = ""


class PageOfDataCenterView(Told):
    """PageOf_DataCenterView_."""

    items: list[DataCenterView]
    next: str = ""


class PageOfDifference(Told):
    """PageOf_Difference_."""

    items: list[Difference]
    next: str = ""


class PageOfFault(Told):
    """PageOf_Fault_."""

    items: list[Fault]
    next: str = ""


class PageOfHereView(Told):
    """PageOf_HereView_."""

    items: list[HereView]
    next: str = ""


class PageOfInvitationView(Told):
    """PageOf_InvitationView_."""

    items: list[InvitationView]
    next: str = ""


class PageOfJobView(Told):
    """PageOf_JobView_."""

    items: list[JobView]
    next: str = ""


class PageOfLetterView(Told):
    """PageOf_LetterView_."""

    items: list[LetterView]
    next: str = ""


class PageOfLinkView(Told):
    """PageOf_LinkView_."""

    items: list[LinkView]
    next: str = ""


class PageOfLoginView(Told):
    """PageOf_LoginView_."""

    items: list[LoginView]
    next: str = ""


class PageOfMemberView(Told):
    """PageOf_MemberView_."""

    items: list[MemberView]
    next: str = ""


class PageOfNodeExamined(Told):
    """PageOf_NodeExamined_."""

    items: list[NodeExamined]
    next: str = ""


class PageOfNodeInvitationView(Told):
    """PageOf_NodeInvitationView_."""

    items: list[NodeInvitationView]
    next: str = ""


class PageOfNodeView(Told):
    """PageOf_NodeView_."""

    items: list[NodeView]
    next: str = ""


class PageOfProjectView(Told):
    """PageOf_ProjectView_."""

    items: list[ProjectView]
    next: str = ""


class PageOfPublicKey(Told):
    """PageOf_PublicKey_."""

    items: list[PublicKey]
    next: str = ""


class PageOfPublicationView(Told):
    """PageOf_PublicationView_."""

    items: list[PublicationView]
    next: str = ""


class PageOfRunView(Told):
    """PageOf_RunView_."""

    items: list[RunView]
    next: str = ""


class PageOfSavedView(Told):
    """PageOf_SavedView_."""

    items: list[SavedView]
    next: str = ""


class PageOfScheduleView(Told):
    """PageOf_ScheduleView_."""

    items: list[ScheduleView]
    next: str = ""


class PageOfSearchHit(Told):
    """PageOf_SearchHit_."""

    items: list[SearchHit]
    next: str = ""


class PageOfSessionViewOfApi(Told):
    """PageOf_SessionViewOfApi_."""

    items: list[SessionViewOfApi]
    next: str = ""


class PageOfTagView(Told):
    """PageOf_TagView_."""

    items: list[TagView]
    next: str = ""


class PageOfTeamLinkView(Told):
    """PageOf_TeamLinkView_."""

    items: list[TeamLinkView]
    next: str = ""


class PathRights(Told):
    """One file or folder."""

    directory: bool
    owner: str
    public: bool = False
    closed: bool = False
    people: list[PersonRights] = Field(default_factory=list)
    changed: int = 0
    theirs: dict[str, int] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


class Paused(Told):
    """Whether it waits."""

    paused: bool


class Period(Told):
    """Some days together."""

    name: str
    first: str
    last: str
    users: int
    projects: int
    new_users: list[list[Any]]
    new_users_left_out: int = 0
    acts: dict[str, int]
    session_hours: float
    cpu_hours: float
    most_sessions: int
    space: int
    faults: int
    days: list[Day]


class PersonRights(Told):
    """One person: what they have (`given`), and the most that their role gives."""

    user: str
    role: str
    most: str
    given: str
    owns: bool = False


class Place(Told):
    """A person's role in the team."""

    role: Literal["viewer", "member", "maintainer"] = "member"


class Point(Told):
    """How a node was at a time: shares of 0 to 1 (load over processors may be more), and its sessions."""

    at: int
    load: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    sessions: int = 0


class Priority(Told):
    """A place in the queue: higher comes first, 0 is usual."""

    priority: int


class ProjectChanges(Told):
    """What to change."""

    summary: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    tags: list[str] | None = Field(default_factory=list)
    name: str | None = None


class ProjectView(Told):
    """A project."""

    id: str
    owner: str
    name: str
    slug: str
    summary: str
    description: str
    visibility: str
    tags: list[str]
    stars: int
    starred: bool
    team: list[MemberView]
    datacenter: str
    node: str
    environment: str
    space: Space | None
    space_limit: int
    ends: int
    state: str
    reason: str
    log_tail: str
    since: int
    created: int
    updated: int
    role: str
    may: list[str]
    url: str


class PublicKey(Told):
    """An SSH key of a person: installed on compute nodes in accounts that AEN made."""

    line: str
    title: str = ""
    fingerprint: str
    added: int | None = None


class PublicationView(Told):
    """A publication."""

    id: str
    user: str
    path: str
    title: str
    description: str
    audience: Audience
    state: str
    reason: str
    views: int
    created: int
    version: int
    versions: list[int]
    url: str


class Read(Told):
    """Which kind of fault was read; none: all."""

    id: str = ""


class Registration(Told):
    """Whether anybody may sign up."""

    open: bool


class Remote(Told):
    """Where the other side is: https://…, ssh://… or user@host:path."""

    folder: str = ""
    url: str


class Removal(Told):
    """Removal."""

    user: str
    steps: list[str]
    blocked: list[str]


class ResetView(Told):
    """The link, shown only now."""

    url: str
    hours: float


class Restored(Told):
    """`saved`: the branch that keeps what was not committed; empty when there was nothing."""

    saved: str = ""


class Revision(Told):
    """One revision."""

    id: str
    short: str
    name: str
    email: str
    at: int
    subject: str
    body: str = ""


class RevisionPage(Told):
    """Revisions, newest first; `next` is where the next page begins, 0 at the end."""

    revisions: list[Revision] = Field(default_factory=list)
    next: int = 0


class RevisionStatus(Told):
    """How a folder stands."""

    repository: bool = False
    repositories: list[str] = Field(default_factory=list)
    branch: str = ""
    head: str = ""
    remote: str = ""
    ahead: int = -1
    behind: int = -1
    files: list[ChangedFile] = Field(default_factory=list)
    more: bool = False


class RunView(Told):
    """A run."""

    id: str
    user: str
    due: int
    by: str
    state: RunState
    reason: str
    note: str
    path: str
    output: str
    created: int
    started: int
    ended: int


class SavedView(Told):
    """A kept search."""

    id: str
    title: str
    q: str
    kind: str
    created: int


class ScheduleView(Told):
    """A schedule."""

    name: str
    notebook: str
    environment: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    timing: Timing | None = None
    hours: float = 4.0
    id: str
    user: str
    next: int
    paused: bool
    why: str
    created: int


class SearchHit(Told):
    """One result."""

    kind: str
    title: str
    url: str
    detail: str = ""
    before: str = ""
    hit: str = ""
    after: str = ""


class SearchPage(Told):
    """One page of results of one kind; `counts` says how many there are of each (200 at most)."""

    kind: str
    counts: dict[str, int]
    items: list[SearchHit]
    next: str = ""


class SessionViewOfApi(Told):
    """A session."""

    id: str
    app: str
    app_server: str
    project: str
    user: str
    started_by: str = ""
    phase: str
    reason: str = ""
    log_tail: str = ""
    steps: list[Step] = Field(default_factory=list)
    url: str
    open_url: str
    activity: int = 0
    activity_source: str = ""
    use: Use | None = None
    idle: Idle | None = None


class SettingView(Told):
    """A setting: what is in force, what the configuration says, and who changed it (`at` 0: nobody)."""

    name: str
    value: Any
    configured: Any
    by: str = ""
    at: int = 0


class SettingsView(Told):
    """All settings."""

    items: list[SettingView]


class Space(Told):
    """What was measured."""

    bytes: int = 0
    files: int = 0
    environments: int = 0
    trash: int = 0
    caches: int = 0
    at: int = 0
    kept: bool = False


class SpaceLimit(Told):
    """A bound for this project alone, as 20G; empty: what the configuration says."""

    limit: str = ""


class StatusView(Told):
    """What anybody may know: whether they are signed in, and how one comes in."""

    signed_in: bool
    user: str
    needs_setup: bool
    registration_open: bool


class Step(Told):
    """One step of a start, as the page shows it."""

    name: str
    state: StepState = "waiting"
    seconds: float | None = None
    detail: str = ""


class Stopped(Told):
    """How many sessions were told to stop, and why others were not."""

    stopping: int
    problems: list[str]


class TagView(Told):
    """A tag, and how many of the projects that the asker may see bear it."""

    name: str
    projects: int


class TeamLinkView(Told):
    """An invitation by link."""

    id: str
    role: str
    created_by: str
    created: int
    expires: int
    used: int
    url: str = ""


class Tested(Told):
    """The mail server's own words."""

    answer: str


class Timing(Told):
    """When."""

    kind: Literal["once", "every", "daily", "weekly", "cron", "never"] = "never"
    at: str = ""
    minutes: int = 60
    time: str = "06:00"
    days: list[int] = Field(default_factory=list)
    cron: str = ""
    zone: str = "UTC"


class TokenView(Told):
    """A new API token: `token` is shown only now."""

    id: str
    token: str
    title: str
    scope: list[str]
    expires: int


class Use(Told):
    """What a session's processes take together, as its node measured it last."""

    cpu: float = 0.0
    memory: int = 0
    memory_limit: int = 0
    processes: int = 0
    out_of_memory: int = 0
    at: int = 0


class UserPatch(Told):
    """What of a person is to change; what is None stays."""

    full_name: str | None = None
    email: str | None = None
    company: str | None = None
    location: str | None = None
    url: str | None = None
    language: str | None = None
    theme: Literal["system", "light", "dark"] | None = None
    admin: bool | None = None
    staff: bool | None = None
    locked: bool | None = None
    login_backend: str | None = None


class UserView(Told):
    """A person, for themselves and administrators."""

    name: str
    full_name: str
    email: str
    company: str
    location: str
    url: str
    language: str
    theme: str
    admin: bool
    staff: bool
    locked: bool
    picture: bool = False
    allowance: Allowance
    created: int
    last_login: int


class AdminChosen(Told):
    """Which sessions."""

    ids: list[str]


class EnvironmentsChosen(Told):
    """The environment that becomes active."""

    name: str
