"""The privileged launcher: root (or, in evaluation mode, the user) with a fixed set of verbs. Run as a program of its own.

`python -I -m aen.launchers.privileged`, its end of a socketpair as standard input. The first message is the policy,
sent while the parent still is what we are; every later one may come from somebody who took the service over.
At end of file it exits and never ends apps: the next launcher finds them again.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from aen.acl import posix
from aen.acl.permissions import EXECUTE, READ, WRITE, Entry, Tag
from aen.errors import AenError, Conflict, Invalid, NotFound, Unavailable
from aen.launchers import Policy, ProjectRef, Unsupported, checks, keys, pam, preparation, proc, trees, usage
from aen.launchers.accounts import Accounts
from aen.launchers.fence import Fence
from aen.launchers.groups import Groups
from aen.launchers.keeping import keeper
from aen.launchers.loop import Asked, Job, Loop, Report
from aen.launchers.project_files import told
from aen.launchers.project_space import ProjectSpace
from aen.launchers.running import Apps
from aen.launchers.spawn import become
from aen.launchers.wire import LARGEST, LENGTH, error_to_wire, pack, unpack

_POLICY_SECONDS = 30
_END_GRACE = 3.0  # seconds between TERM and KILL for people who have lost their rights
_LONGEST_SOCKET = 100  # bytes of a socket's path; the kernel takes 107
_LOG_BYTES = 256 * 1024
_MOST_LINES = 2000

Message = dict[str, Any]


class Verbs:
    """What the other side may ask for: one method for each verb, given the message and who asked."""

    def __init__(self, policy: Policy, sock: socket.socket) -> None:
        self._policy = policy
        self._single = policy.mode == "single"
        self._accounts = Accounts(policy)
        self._tries = pam.Tries()
        self._groups = Groups(policy.state_dir, self._accounts.register)
        self._projects = ProjectSpace(policy, self._accounts, self._groups)
        self.loop = Loop(sock, self.handle)
        self.kept = keeper(preparation.label(policy), self.loop)
        self.apps = Apps(policy, self.loop, self.kept, self._groups)
        self.fence = Fence(self.apps, self.loop, policy.state_dir)
        self._verbs: dict[str, Callable[[Message, Asked], None]] = {
            "ensure_account": self._ensure_account,
            "install_keys": self._install_keys,
            "retire_account": self._retire_account,
            "check_password": self._check_password,
            "make_run_dir": self._make_run_dir,
            "prepare_project": self._prepare_project,
            "publish_environment": self._publish_environment,
            "apply_permissions": self._apply_permissions,
            "check_permissions": self._check_permissions,
            "path_rights": self._path_rights,
            "measure_project": self._measure_project,
            "bound_project": self._bound_project,
            "clear_project": self._clear_project,
            "rename_project": self._rename_project,
            "delete_project": self._delete_project,
            "start": self._start,
            "grant_socket": self._grant_socket,
            "hold": self._hold,
            "stop": self._stop,
            "end_user": self._end_user,
            "adopt": self._adopt,
            "log_tail": self._log_tail,
            "usage": self._usage,
        }

    def handle(self, message: Message, asked: Asked) -> None:
        """Do what was asked for. Raises AenErrors for what can be told at once."""
        verb = message.get("verb")
        if not isinstance(verb, str) or verb not in self._verbs:
            raise Invalid("The launcher has no such verb.")
        self._verbs[verb](message, asked)

    def clear_staging(self) -> None:
        """Throw away what an earlier launcher did not finish. The names are read now: later ones are in use."""
        names = preparation.staged(self._policy.project_root)
        if names:
            self.loop.job(Job("staging", None, lambda report: preparation.unstage(self._policy.project_root, names)))

    # ── accounts ────────────────────────────────────────────────────────────────────────────────────

    def _ensure_account(self, message: Message, asked: Asked) -> None:
        user, incarnation = checks.user(message.get("user")), checks.incarnation(message.get("incarnation"))
        if self._accounts.settled(user, incarnation):
            with suppress(NotFound):
                asked.answer(asdict(self._accounts.find(user)))
                return
        self.loop.job(Job("accounts", asked, lambda report: asdict(self._accounts.ensure(user, incarnation))))

    def _install_keys(self, message: Message, asked: Asked) -> None:
        user, lines = checks.user(message.get("user")), checks.ssh_keys(message.get("keys"))
        incarnation = checks.incarnation(message.get("incarnation"))
        account = self._accounts.find(user)
        if not self._accounts.made_by_us(user) or self._accounts.of_another(user, incarnation):
            asked.answer(False)
            return
        self.loop.job(Job(f"keys/{user}", asked, lambda report: keys.install(account, lines)))

    def _retire_account(self, message: Message, asked: Asked) -> None:
        user = checks.user(message.get("user"))
        told = self._accounts.told(user)
        if self._accounts.of_another(user, checks.incarnation(message.get("incarnation"))):
            told = {"exists": False}
        running = len(proc.of_uid(told["uid"])) if told.get("made") else 0
        if message.get("look") is not False or not told.get("made"):
            asked.answer(told | {"processes": running})
            return

        def lock(count: int, error: AenError | None) -> None:
            """Whatever came of the apps: first nothing new can begin, then all that is left is killed."""
            self.loop.job(Job("accounts", asked, lambda report: self._locked(user) | {"processes": running}))

        self.apps.end_matching(user, None, _END_GRACE, lock)

    def _locked(self, user: str) -> Message:
        self._accounts.retire(user)
        for _ in range(20):  # what forks faster than it is killed
            if not self._sweep(user, None):
                break
        return self._accounts.told(user)

    def _check_password(self, message: Message, asked: Asked) -> None:
        service = self._policy.pam_service
        if not service or self._single:
            raise Unsupported("PAM is not asked on this node: it needs root and accounts.pam_service.")
        user, password = checks.user(message.get("user")), checks.password(message.get("password"))
        self._tries.take(user)
        if not pam.may_sign_in(user, self._policy.service_uid):
            asked.answer(False)
            return
        cut_off = Unavailable(f"PAM did not answer within {pam.CHECK_SECONDS} s. Try again, or sign in another way.")
        # Two lanes: a directory service that hangs holds up passwords, and never the whole launcher.
        lane = f"password/{len(user) % 2}"
        self.loop.job(Job(lane, asked, lambda report: pam.check(service, user, password), cut_off=cut_off))

    # ── projects: in children, one after the other for each project ─────────────────────────────────

    def _prepare_project(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        skeleton = checks.skeleton(message.get("skeleton"), self._policy)
        self._project_job(project, asked, lambda report: self._projects.prepare(project, skeleton))

    def _publish_environment(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        name = checks.environment_name(message.get("name"))
        source = checks.environment_source(message.get("source"), self._policy)
        self._project_job(project, asked, lambda report: self._projects.publish(project, name, source))

    def _apply_permissions(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        if message.get("top_only") is True:  # one inode: at once, also while a walk of this project goes on
            asked.answer(told(lambda: self._projects.apply(project, True, None)))
            return
        self._project_job(project, asked, lambda report: self._projects.apply(project, False, report))

    def _check_permissions(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        # Under a key of its own: a look holds up no start.
        key = f"check/{project.owner}/{project.name}"
        self.loop.job(Job(key, asked, lambda report: told(lambda: self._projects.check(project))))

    def _path_rights(self, message: Message, asked: Asked) -> None:
        project, parts = checks.project(message.get("project")), checks.inside(message.get("path"))
        wish = checks.rights_wish(message)
        # A look is under a key of its own: it waits for no walk.
        key = f"{project.owner}/{project.name}" if wish else f"check/{project.owner}/{project.name}"
        self.loop.job(Job(key, asked, lambda report: told(lambda: self._projects.rights(project, parts, wish))))

    def _measure_project(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        # One at a time, and under a key of its own: it may take long, and must hold up nothing.
        self.loop.job(Job("measure", asked, lambda report: told(lambda: self._projects.measure(project))))

    def _bound_project(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        most = checks.number(message.get("most"), 0, 2**60, "A bound")
        self._project_job(project, asked, lambda report: self._projects.bound(project, most))

    def _clear_project(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        asked.answer(told(lambda: self._projects.clear(project)))  # two renames: at once, also while a walk goes on

    def _rename_project(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        new_name = checks.project_name(message.get("new_name"))
        given = message.get("new_owner", "")
        new_owner = checks.user(given) if given != "" else project.owner
        self._project_job(project, asked, lambda report: self._projects.move(project, new_name, new_owner))

    def _delete_project(self, message: Message, asked: Asked) -> None:
        project = checks.project(message.get("project"))
        self._project_job(project, asked, lambda report: self._projects.delete(project))

    def _project_job(self, project: ProjectRef, asked: Asked, work: Callable[[Report], Any]) -> None:
        self.loop.job(Job(f"{project.owner}/{project.name}", asked, lambda report: told(lambda: work(report))))

    # ── processes ───────────────────────────────────────────────────────────────────────────────────

    def _make_run_dir(self, message: Message, asked: Asked) -> None:
        session = checks.session(message.get("session"))
        account = self._accounts.find(checks.user(message.get("user")))
        path = f"{self._policy.run_dir}/{session[:12]}-{os.urandom(2).hex()}"
        if len(os.fsencode(path)) + 2 > _LONGEST_SOCKET:
            raise Invalid(f"run_dir is too long a path for sockets: {self._policy.run_dir}. Choose a shorter one.")
        preparation.clear_run_dirs(self._policy.run_dir, session[:12] + "-", self.apps.sockets())
        os.mkdir(path, 0o700)
        with trees.opened(self._policy.run_dir, os.path.basename(path)) as fd:
            status = os.fstat(fd)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o777 != 0o700 or os.listdir(fd):
                raise Conflict("The run directory was exchanged while it was being made.")
            if not self._single:
                os.fchown(fd, account.uid, account.gid)
                posix.apply(fd, self._service_entries(READ | EXECUTE), self._service_entries(READ | WRITE))
        asked.answer(path)

    def _service_entries(self, rights: int) -> list[Entry]:
        return [
            Entry(Tag.USER_OBJ, 0, READ | WRITE | EXECUTE),
            Entry(Tag.USER, self._policy.service_uid, rights),
            Entry(Tag.GROUP_OBJ, 0, 0),
            Entry(Tag.MASK, 0, rights),
            Entry(Tag.OTHER, 0, 0),
        ]

    def _hold(self, message: Message, asked: Asked) -> None:
        until = message.get("until")
        if not isinstance(until, float):
            raise Invalid("A lease needs its end.")
        self.fence.hold(until, asked)

    def _start(self, message: Message, asked: Asked) -> None:
        self.fence.check()
        spec = checks.spec(message.get("spec"))
        account = self._accounts.find(spec.user)
        project = f"{self._policy.project_root}/{spec.owner}/{spec.project}"
        if not checks.is_below(spec.cwd, account.home) and not checks.is_below(spec.cwd, project):
            raise Invalid("An app starts in its user's home or in the project's directory.")
        if spec.socket:
            checks.app_socket(spec.socket, self._policy, spec.session)
        self.apps.start(spec, account, asked)

    def _grant_socket(self, message: Message, asked: Asked) -> None:
        app = self.apps.of(checks.process(message.get("process")))
        if app is None or not app.socket:
            raise NotFound("That app does not run, or has no socket.")
        folder, name = os.path.split(app.socket)
        try:
            with trees.opened(self._policy.run_dir, os.path.basename(folder)) as fd:
                pinned = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except FileNotFoundError:
            asked.answer(False)
            return
        try:
            status = os.fstat(pinned)
            if not stat.S_ISSOCK(status.st_mode) or status.st_uid != app.process.uid:
                raise Conflict("What lies where the app's socket should be is not a socket of its user.")
            if not self._single:
                posix.apply(pinned, self._service_entries(READ | WRITE))
        finally:
            os.close(pinned)
        asked.answer(True)

    def _stop(self, message: Message, asked: Asked) -> None:
        self.apps.stop(checks.process(message.get("process")), checks.seconds(message.get("grace")), asked)

    def _adopt(self, message: Message, asked: Asked) -> None:
        asked.answer(self.apps.adopt(checks.process(message.get("process"))))

    def _end_user(self, message: Message, asked: Asked) -> None:
        user = checks.user(message.get("user"))
        given = message.get("project")
        project = checks.project(given) if given is not None else None

        def sweep(count: int, error: AenError | None) -> None:
            if error is not None:
                asked.fail(error)
                return
            job = Job(
                f"sweep/{user}", asked, lambda report: self._sweep(user, project), lambda swept: asked.answer(count)
            )
            self.loop.job(job)

        key = (project.owner, project.name) if project else None
        self.apps.end_matching(user, key, _END_GRACE, sweep)

    def _sweep(self, user: str, project: ProjectRef | None) -> int:
        """End what a person holds open in a project (whatever started it), or all they run on an account that AEN made."""
        uid = None if self._single else self._accounts.uid_before(user)
        if uid is None or uid == self._policy.service_uid or uid < 1000:
            return 0
        if project is None:
            found = proc.of_uid(uid) if self._accounts.made_by_us(user) else []
        else:
            held = self._groups.numbers(project.owner, project.name)
            found = proc.inside(uid, self._projects.place(project), held)
        for seen in found:
            proc.send(seen, signal.SIGKILL)
        return len(found)

    def _usage(self, message: Message, asked: Asked) -> None:
        leaders = self.apps.leaders()
        self.loop.job(Job("usage", asked, lambda report: usage.of_apps(leaders)))

    def _log_tail(self, message: Message, asked: Asked) -> None:
        session = checks.session(message.get("session"))
        lines = checks.number(message.get("lines"), 0, 2**31, "The number of lines")
        asked.answer(preparation.tail(f"{self._policy.log_dir}/{session}.log", min(lines, _MOST_LINES), _LOG_BYTES))


def main() -> int:
    """Take the policy, say that we are ready, serve until the other side is gone."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sock = _own_socket()
    try:
        policy = checks.policy(_first_message(sock).get("policy"))
        if policy.mode == "single" and os.geteuid() == 0 and policy.service_uid != 0:
            become(preparation.service_account(policy))
        preparation.prepare(policy)
        verbs = Verbs(policy, sock)
        adopted = verbs.apps.load()
        verbs.clear_staging()
    except (AenError, OSError) as error:
        sock.sendall(pack({"error": error_to_wire(error)}))
        return 1
    limits = {"how": verbs.kept.how, "whole_session": sorted(verbs.kept.holds)}
    verbs.loop.send({"result": {"pid": os.getpid(), "adopted": adopted, "limits": limits}})
    verbs.loop.run()
    verbs.fence.outlive()
    verbs.kept.close()
    return 0


def _own_socket() -> socket.socket:
    """The socket we were given as standard input, moved away so that no child ever inherits it."""
    sock = socket.socket(fileno=os.dup(0))
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return sock


def _first_message(sock: socket.socket) -> Message:
    sock.settimeout(_POLICY_SECONDS)
    with sock.makefile("rb", buffering=0) as file:
        (size,) = LENGTH.unpack(_exactly(file, LENGTH.size))
        if size > LARGEST:
            raise Invalid("The policy is too long.")
        return unpack(_exactly(file, size))


def _exactly(file: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = file.read(size - len(data))
        if not part:
            raise Invalid("The policy did not arrive.")
        data += part
    return data


if __name__ == "__main__":
    sys.exit(main())
