"""Launchers: how accounts, project files and processes are touched. This is the contract.

`process.py` speaks to the privileged launcher (`privileged.py`: root, or unprivileged in evaluation mode) over a socketpair.
Verbs are fixed. The privileged side checks every input as if it were hostile; what it may touch it has from `Policy`,
which it is given before the parent drops root, never from a verb.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aen.errors import Conflict, Invalid


class Unsupported(Invalid):
    """This launcher can't do that: it does not run as root."""


class ForeignAccount(Conflict):
    """There is an account of that name which AEN did not make: it is never taken over."""


@dataclass(frozen=True)
class Policy:
    """What the launcher may touch. Sent once, as JSON, before privileges drop."""

    mode: str  # managed | existing | single
    service_uid: int
    service_gid: int
    service_account: str
    project_root: str
    run_dir: str
    envs_dir: str  # root environments: service- or root-owned
    state_dir: str  # root-owned: the accounts AEN made, the apps it started
    log_dir: str  # app logs: <log_dir>/<session>.log, readable by their user and the service account
    first_uid: int = 20000
    shell: str = "/bin/bash"  # the login shell of accounts that it makes
    acl_group: str = "private-only"
    acl_subject: str = "users"  # users | group
    skeletons: Sequence[str] = ()  # what new projects may be copied from: these directories and no others
    pam_service: str = ""  # whose PAM rules check passwords; empty: PAM is not asked
    log_bytes: int = 10 << 20  # an app's log is cut down when it is larger


#: Told while a walk goes on: (inodes looked at, inodes changed).
WalkProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Account:
    """A Linux account on this node."""

    user: str  # the Linux name: the person's, except in mode single, where it is the running user's
    uid: int
    gid: int
    home: str
    shell: str
    private_group: bool


@dataclass(frozen=True)
class ProjectRef:
    """A project as the launcher needs it. `team` maps user → role (the owner included), `former` are ex-members."""

    owner: str
    name: str
    team: Mapping[str, str]
    former: Sequence[str] = ()


@dataclass(frozen=True)
class AppSpec:
    """One app server to start. `environ` is the whole environment: nothing is inherited."""

    session: str
    generation: int
    user: str
    owner: str
    project: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: str  # entered as the user
    socket: str = ""  # the socket whose ACL is set once it is there; below <run_dir>/<short>/
    limits: Mapping[str, int] = field(default_factory=dict)  # memory_bytes, processes, files, cpu_millis


@dataclass(frozen=True)
class Process:
    """An app server's leader, recognisable after a restart of AEN and a reuse of the pid."""

    session: str
    generation: int
    pid: int
    start_time: int  # field 22 of /proc/<pid>/stat
    boot_id: str
    uid: int


@dataclass(frozen=True)
class Usage:
    """What the processes of one session take together."""

    cpu_seconds: float  # since they began; can fall when one of them ends
    own_cpu_seconds: float  # the app server's own process alone
    memory_bytes: int  # what they wrote to, and nobody else has
    processes: int
    out_of_memory: int = 0  # processes that the kernel ended because the session reached its memory limit


@dataclass(frozen=True)
class WalkReport:
    """What applying permissions found and did."""

    looked_at: int = 0
    changed: int = 0
    passed_on: int = 0
    skipped: int = 0
    notes: Sequence[str] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class DriftReport:
    """What differs from what `apply_permissions` would leave. `items`: path, directory, reason, lacks, extra (by person)."""

    looked_at: int = 0
    differing: int = 0
    items: Sequence[Mapping[str, Any]] = ()
    unreadable: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class RightsWish:
    """What people are to have on one file or folder: letters of rwx by person, never more than their role gives."""

    rights: Mapping[str, str]  # who is missing has what their role gives
    closed: bool = False  # who joins the team later gets nothing
    contents: bool = False  # with all in the folder, and what is made there later
    dry: bool = False  # only say what it would do
    only: str | None = None  # whose inodes alone may be changed; None: everybody's


@dataclass(frozen=True)
class PersonRights:
    """What one person of the team has on it, and the most that their role gives."""

    user: str
    role: str
    most: str
    given: str
    owns: bool


@dataclass(frozen=True)
class PathRights:
    """One file or folder. `theirs`: how many inodes of whom were left as they are; `notes` are sentences."""

    directory: bool
    owner: str
    public: bool
    closed: bool
    people: Sequence[PersonRights]
    changed: int = 0
    theirs: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Space:
    """What a project's files take on the disk: bytes, and how many files. What has several names counts once."""

    bytes: int
    files: int
    environments: int  # bytes of `bytes`, as are the next two
    trash: int
    caches: int


class Launcher(Protocol):
    """The verbs. All raise AenErrors: Invalid (hostile or wrong input), NotFound, Conflict, Unavailable (launcher gone)."""

    isolated: bool  # False: every app runs as one and the same user

    async def ensure_account(self, user: str, incarnation: str = "") -> Account:
        """The person's account, made when the mode allows. ForeignAccount, Conflict (existing: missing here), Invalid (service account, root).

        `incarnation` tells who is meant when a name was given twice: the account of an earlier person is set aside
        (locked, renamed, its home closed; its processes are ended) and a new one made, with a uid of its own.
        """

    async def install_keys(self, user: str, keys: Sequence[str], incarnation: str = "") -> bool:
        """The person's SSH keys, exactly these, into their `authorized_keys`. False: AEN did not make the account, or nothing changed."""

    async def retire_account(self, user: str, *, look: bool, incarnation: str = "") -> Mapping[str, Any]:
        """End what runs on an account that AEN made, and lock it for good. `look`: only say what there is (exists, made, …)."""

    async def check_password(self, user: str, password: str) -> bool:
        """Whether PAM (`accounts.pam_service`) takes this password and the account may be used now. Never for root,
        system accounts and the service account. Unsupported: not configured, or mode single; TooMany: tried too often;
        Unavailable: PAM is broken or did not answer in time. The password is written down nowhere.
        """

    async def make_run_dir(self, session: str, user: str) -> str:
        """A fresh `<run_dir>/<short>`: 0700 of the user, ACL lets the service account through. Returns the path (short enough for a socket)."""

    async def prepare_project(self, project: ProjectRef, skeleton: str) -> bool:
        """Make `<project_root>/<owner>/<name>` from the skeleton (built beside, renamed into place). False: it was there."""

    async def publish_environment(self, project: ProjectRef, name: str, source: str) -> bool:
        """Clone the root environment `source` (below envs_dir) to `envs/<name>`, built beside and renamed. False: it was there."""

    async def apply_permissions(
        self, project: ProjectRef, *, top_only: bool = False, progress: WalkProgress | None = None
    ) -> WalkReport:
        """Bring the tree in line with the team (DESIGN 8). `top_only`: the project directory itself, at once."""

    async def check_permissions(self, project: ProjectRef) -> DriftReport:
        """What is not in line with the team, who is shut out by it, and why. Changes nothing."""

    async def path_rights(self, project: ProjectRef, path: str, wish: RightsWish | None = None) -> PathRights:
        """What the team has on one file or folder (`path` below the project, percent-encoded), after a wish was fulfilled.

        The walk keeps what is set here. Unsupported in mode single; Conflict for links, special files, files of root.
        """

    async def measure_project(self, project: ProjectRef) -> Space:
        """What its files take, looked at with the lowest priority. Changes nothing."""

    async def bound_project(self, project: ProjectRef, most: int) -> bool:
        """Let the file system keep the project below so many bytes (0: no bound any more). False: it can't, or has none to keep."""

    async def clear_project(self, project: ProjectRef) -> Sequence[str]:
        """Move aside what lies where directories of ours belong (`envs`, `public`), and make these; sentences on what was done."""

    async def rename_project(self, project: ProjectRef, new_name: str, new_owner: str = "") -> None:
        """Move the directory, into another owner's folder if one is named; their files pass to that owner first.

        Conflict when the new one exists. What was cut off is finished by asking again; NotFound when it was done.
        """

    async def delete_project(self, project: ProjectRef) -> None:
        """Remove the directory and all in it (safe walk). Fine when it is gone."""

    async def start(self, spec: AppSpec) -> Process:
        """Start an app server in its own session, as the user, limits set before the uid changes, output to its log."""

    async def hold(self, until: float) -> None:
        """All apps may run until then (seconds of CLOCK_BOOTTIME), and are killed then unless it is set anew; AEN's end
        changes nothing of it. Raises Conflict when that has passed.
        """

    async def grant_socket(self, process: Process) -> bool:
        """Let the service account through to `AppSpec.socket`. False: it is not there yet.

        Call it while waiting for the app (the socket's directory has the rights as a default ACL, but some apps
        take them away by setting a mode after they bound). Cheap, may be called often.
        """

    async def stop(self, process: Process, grace: float) -> None:
        """TERM to all its processes, then KILL after `grace` seconds; returns when they are gone."""

    async def end_user(self, user: str, project: ProjectRef | None = None) -> int:
        """End a person's app servers (of one project); returns how many. For ex-members and locked people."""

    async def adopt(self, process: Process) -> bool:
        """Whether that very process (not a later one with its pid) still runs; from now on `exited` tells of its end."""

    async def usage(self) -> Mapping[str, Usage]:
        """What all running app servers take now, by session. Reads /proc in a child: may take a while on a busy node."""

    async def log_tail(self, session: str, lines: int) -> str:
        """The end of the app server's log; empty when there is none."""

    def exited(self, process: Process) -> asyncio.Future[int | None]:
        """Done when the process ends: with its exit code, or None when nobody knows it."""

    def ran_out_of_memory(self, process: Process) -> bool:
        """Whether the kernel ended processes of it because it reached its memory limit; known once it has exited."""

    def health(self) -> dict[str, Any]:
        """Whether the launcher lives, and which mode it is in."""
