"""Running apps: started, written down, found again by the next launcher, ended with all they started."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aen.errors import AenError, Conflict, TimedOut
from aen.launchers import Account, AppSpec, Policy, Process, logs, preparation, proc
from aen.launchers.cgroups import Cgroup, Kept
from aen.launchers.groups import Groups
from aen.launchers.loop import Asked, Job, Loop
from aen.launchers.register import write_json
from aen.launchers.spawn import Spawned, Start, limit_process, open_log, reason, spawn
from aen.launchers.usage import Leader

_TICK = 0.05  # seconds between two looks at what is ending
_AFTER_KILL = 10.0  # seconds that killed processes may take to be gone
_GROUP_TRIES = 40
_LEFTOVER_GRACE = 5.0  # seconds for what a crashed app leaves behind
_OLD_LOGS_SECONDS = 86400.0
_LOG_SECONDS = 2.0  # between two looks at how large the logs are


@dataclass
class App:
    """One app, as it is written down in `<state_dir>/apps/<session>.json`."""

    process: Process
    user: str
    owner: str
    project: str
    socket: str
    marker: str
    cgroup_path: str = ""
    cgroup: Cgroup | None = None
    pidfd: int = -1  # only of adopted ones: our own children are reaped
    alive: bool = True
    starting: bool = False
    code: int | None = None  # of one that ended while it was being started
    out_of_memory: bool = False  # the kernel ended processes of it for want of memory
    ending: Ending | None = None

    def record(self) -> dict[str, Any]:
        """What is written down."""
        kept = {name: getattr(self, name) for name in ("user", "owner", "project", "socket", "marker", "cgroup_path")}
        return {**kept, "process": vars(self.process)}

    def members(self) -> list[proc.Seen]:
        """Its living processes."""
        if self.cgroup is not None:
            found = (proc.look(pid) for pid in self.cgroup.pids())
            return [seen for seen in found if seen is not None and not seen.dead]
        return proc.of_app(self.process.pid, self.marker, self.process.uid, leader_lives=self.alive)


@dataclass
class Ending:
    """An app on its way out. `done` is called once all is gone, or with the error."""

    deadline: float
    done: list[Callable[[AenError | None], None]] = field(default_factory=list)
    told_members: bool = False


class Apps:
    """All apps of this node, by session."""

    def __init__(self, policy: Policy, loop: Loop, kept: Kept, groups: Groups) -> None:
        self._policy = policy
        self._groups = groups
        self._loop = loop
        self._kept = kept
        self._folder = Path(policy.state_dir, "apps")
        self._boot = proc.boot_id()
        self._by_session: dict[str, App] = {}
        loop.on_child = self._child_ended
        loop.later(_LOG_SECONDS, self._bound_logs)

    # ── found again ─────────────────────────────────────────────────────────────────────────────────

    def load(self) -> int:
        """Take over what an earlier launcher started; how many live. Records of the dead are removed."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(self._folder.glob("*.json")):
            try:
                data = json.loads(path.read_text())
                app = App(Process(**data.pop("process")), **data)
            except (ValueError, TypeError, KeyError):
                path.unlink()
                continue
            self._take_over(app)
        self._kept.sweep([app.cgroup.path for app in self._by_session.values() if app.cgroup is not None])
        known = {session[:12] for session in self._by_session}
        self._clear(lambda name: name[:12] not in known)  # nobody makes any yet: what is there is of before
        self._remove_old_logs()
        return len(self._by_session)

    def _take_over(self, app: App) -> None:
        app.cgroup = self._kept.known(app.cgroup_path)
        if self._recognised(app):
            self._by_session[app.process.session] = app
            self._loop.watch(app.pidfd, lambda: self._ended(app, None))
            return
        if app.process.boot_id == self._boot:  # its leader is gone: end what it left behind
            app.alive = False
            self._by_session[app.process.session] = app
            self._begin_ending(app, _LEFTOVER_GRACE)
            return
        self._forget(app)

    def _recognised(self, app: App) -> bool:
        """Whether that very process still runs. The pidfd comes first: what is looked at then can't be exchanged."""
        wanted = app.process
        if wanted.boot_id != self._boot:
            return False
        try:
            app.pidfd = os.pidfd_open(wanted.pid)
        except OSError:
            return False
        seen = proc.look(wanted.pid)
        same = seen is not None and not seen.dead and seen.start_time == wanted.start_time
        if same and proc.uid_of(wanted.pid) == wanted.uid and proc.marker_of(wanted.pid) == app.marker:
            return True
        os.close(app.pidfd)
        app.pidfd = -1
        return False

    def adopt(self, process: Process) -> bool:
        """Whether exactly this process is one of ours and lives."""
        app = self._by_session.get(process.session)
        return app is not None and app.alive and app.process == process

    # ── start ───────────────────────────────────────────────────────────────────────────────────────

    def start(self, spec: AppSpec, account: Account, asked: Asked) -> None:
        """Start an app; `asked` is answered once its program runs or can't. Twice the same: the one that runs."""
        known = self._by_session.get(spec.session)
        if known is not None and known.alive and known.process.generation == spec.generation and not known.starting:
            asked.answer(vars(known.process))
            return
        if known is not None:
            raise Conflict("This session still runs or is being ended: stop it first.")
        app, spawned = self._fork(spec, account)
        self._by_session[spec.session] = app
        name = f"{spec.session}.{spec.generation}"
        self._kept.place(name, spawned.pid, spec.limits, lambda group: self._placed(app, spawned, spec, group, asked))

    def _fork(self, spec: AppSpec, account: Account) -> tuple[App, Spawned]:
        single = self._policy.mode == "single"
        marker = f"{spec.session}.{spec.generation}.{secrets.token_hex(8)}"
        limits = {name: most for name, most in spec.limits.items() if name not in self._kept.holds}
        if single:
            limits.pop("processes", None)  # it counts all processes of the user, not the app's
        log_owner = None if single else (account.uid, self._policy.service_gid)
        log_fd = open_log(self._log(spec.session), log_owner)
        environ = {**spec.environ, proc.MARKER: marker}
        group = None if single else self._groups.of(spec.user, spec.owner, spec.project)
        groups = () if group is None else (group,)
        try:
            spawned = spawn(Start(spec.argv, environ, spec.cwd, log_fd, None if single else account, limits, groups))
        finally:
            os.close(log_fd)
        seen = proc.look(spawned.pid)
        assert seen is not None  # our own child, not reaped yet
        process = Process(spec.session, spec.generation, spawned.pid, seen.start_time, self._boot, account.uid)
        return App(process, spec.user, spec.owner, spec.project, spec.socket, marker, starting=True), spawned

    def _placed(self, app: App, spawned: Spawned, spec: AppSpec, group: Cgroup | None, asked: Asked) -> None:
        """The process waits in its group, or there is none: write it down, then let it begin."""
        app.cgroup, app.cgroup_path = group, str(group.path) if group else ""
        if app.ending is not None or not app.alive:
            spawned.forget()
            asked.fail(Conflict("The app was stopped before it began."))
            return
        try:
            if group is None and self._policy.mode != "single":
                limit_process(spawned.pid, spec.limits)
            write_json(self._path(app), app.record(), durable=False)
        except OSError as error:
            spawned.forget()
            asked.fail(error)
            return
        spawned.go()
        self._loop.watch(spawned.error_fd, lambda: self._started(app, spawned, asked))

    def _started(self, app: App, spawned: Spawned, asked: Asked) -> None:
        """The way for errors was closed by exec, or says what went wrong."""
        data = os.read(spawned.error_fd, 1 << 14)
        self._loop.unwatch(spawned.error_fd)
        os.close(spawned.error_fd)
        app.starting = False
        if not data:
            asked.answer(vars(app.process))
            if not app.alive:
                self._announce(app, app.code)
            return
        asked.fail(reason(data))
        self._drop(app)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────

    def stop(self, process: Process, grace: float, asked: Asked) -> None:
        """TERM, then KILL after `grace`; answered when all is gone. A process that is not known is gone."""
        app = self._by_session.get(process.session)
        if app is None or app.process != process:
            asked.answer(None)
            return
        self._end(app, grace, lambda error: asked.fail(error) if error else asked.answer(None))

    def end_matching(
        self, user: str, project: tuple[str, str] | None, grace: float, done: Callable[[int, AenError | None], None]
    ) -> None:
        """End a person's apps (of one project); `done` gets how many there were, and the first error."""
        chosen = [
            app
            for app in self._by_session.values()
            if app.user == user and (project is None or (app.owner, app.project) == project)
        ]
        open_ones = {app.process.session for app in chosen}
        errors: list[AenError] = []

        def one_gone(session: str, error: AenError | None) -> None:
            errors.extend([error] if error else [])
            open_ones.discard(session)
            if not open_ones:
                done(len(chosen), errors[0] if errors else None)

        if not chosen:
            done(0, None)
        for app in chosen:
            session = app.process.session
            self._end(app, grace, lambda error, session=session: one_gone(session, error))  # type: ignore[misc]

    def _end(self, app: App, grace: float, done: Callable[[AenError | None], None]) -> None:
        if app.ending is None:
            self._begin_ending(app, grace)
        assert app.ending is not None
        app.ending.deadline = min(app.ending.deadline, time.monotonic() + grace)
        app.ending.done.append(done)

    def _begin_ending(self, app: App, grace: float) -> None:
        app.ending = Ending(time.monotonic() + grace)
        if app.alive:
            with suppress(OSError):
                os.killpg(app.process.pid, signal.SIGTERM)  # it lives, so nobody else has its group's number
        self._loop.later(0.0 if not app.alive else _TICK, lambda: self._tick(app))

    def _tick(self, app: App) -> None:
        """Look at what is ending; it is TERMed whole when its leader is gone, and KILLed when its time is over."""
        ending = app.ending
        assert ending is not None
        late = time.monotonic() - ending.deadline
        if app.alive and late < 0:
            self._loop.later(_TICK, lambda: self._tick(app))
            return
        members = app.members()
        if not members and not app.alive:
            self._gone(app, None)
            return
        if late > _AFTER_KILL:
            self._gone(app, TimedOut("Processes of the app could not be ended: they hang in the system."))
            return
        if late >= 0:
            self._kill(app, members)
        elif not ending.told_members:
            ending.told_members = True
            for seen in members:
                proc.send(seen, signal.SIGTERM)
        self._loop.later(_TICK, lambda: self._tick(app))

    def _kill(self, app: App, members: list[proc.Seen]) -> None:
        if app.cgroup is not None and app.cgroup.kill():
            return
        for seen in members:
            proc.send(seen, signal.SIGKILL)

    def _gone(self, app: App, error: AenError | None) -> None:
        assert app.ending is not None
        waiting, app.ending = app.ending.done, None
        if error is None or not app.alive:
            self._drop(app)
        for done in waiting:
            done(error)

    def kill_all(self) -> int:
        """Kill every app at once; how many had a living process."""
        found = 0
        for app in self._by_session.values():
            if members := app.members():
                found += 1
                self._kill(app, members)
        return found

    # ── what we hear ────────────────────────────────────────────────────────────────────────────────

    def _child_ended(self, pid: int, code: int) -> None:
        for app in self._by_session.values():
            if app.process.pid == pid and app.pidfd < 0 and app.alive:
                self._ended(app, code)
                return

    def _ended(self, app: App, code: int | None) -> None:
        """The leader is gone. What it left behind is ended too."""
        app.alive = False
        app.out_of_memory = app.cgroup is not None and app.cgroup.out_of_memory() > 0
        if app.pidfd >= 0:
            self._loop.unwatch(app.pidfd)
            os.close(app.pidfd)
            app.pidfd = -1
        if not app.starting:
            self._announce(app, code)
        else:
            app.code = code
        if app.ending is None:
            self._begin_ending(app, _LEFTOVER_GRACE)

    def _announce(self, app: App, code: int | None) -> None:
        process = app.process
        known = {"session": process.session, "generation": process.generation, "pid": process.pid}
        self._loop.send({"event": "exited", **known, "code": code, "out_of_memory": app.out_of_memory})

    def _drop(self, app: App) -> None:
        if self._by_session.get(app.process.session) is app:
            del self._by_session[app.process.session]
        self._forget(app)

    def _forget(self, app: App) -> None:
        logs.bound(self._log(app.process.session), self._policy.log_bytes)
        if app.cgroup is not None:
            self._remove(app.cgroup, _GROUP_TRIES)
        self._path(app).unlink(missing_ok=True)
        self._clear(
            lambda name: name.startswith(app.process.session[:12])
        )  # the next start makes its own, when this is over

    def _clear(self, gone: Callable[[str], bool]) -> None:
        """Remove run directories, by the names that they have now: later ones are in use."""
        folder = self._policy.run_dir
        if names := [name for name in preparation.run_dirs(folder) if gone(name)]:
            self._loop.job(Job("run_dir", None, lambda report: preparation.remove_run_dirs(folder, names)))

    def _remove(self, cgroup: Cgroup, tries: int) -> None:
        """The kernel needs a moment after the last process; what stays is empty and removed with the next one."""
        if not cgroup.remove() and tries:
            self._loop.later(_TICK, lambda: self._remove(cgroup, tries - 1))

    def _bound_logs(self) -> None:
        """Here and not in a child: an app that writes without end must not wait for long walks of others."""
        self._loop.later(_LOG_SECONDS, self._bound_logs)
        for session in self._by_session:
            logs.bound(self._log(session), self._policy.log_bytes)

    def _remove_old_logs(self) -> None:
        self._loop.later(_OLD_LOGS_SECONDS, self._remove_old_logs)
        living, folder = set(self._by_session), self._policy.log_dir
        self._loop.job(Job("logs", None, lambda report: logs.remove_old(folder, living, time.time())))

    def _log(self, session: str) -> str:
        return f"{self._policy.log_dir}/{session}.log"

    def _path(self, app: App) -> Path:
        return self._folder / f"{app.process.session}.json"

    # ── for others ──────────────────────────────────────────────────────────────────────────────────

    def of(self, process: Process) -> App | None:
        """The app that this process leads, if it lives."""
        app = self._by_session.get(process.session)
        return app if app is not None and app.alive and app.process == process else None

    def leaders(self) -> list[Leader]:
        """All living apps, as usage.py looks at them."""
        living = (app for app in self._by_session.values() if app.alive)
        return [Leader(app.process, app.marker, app.cgroup) for app in living]

    def sockets(self) -> set[str]:
        """The sockets of all living apps."""
        return {app.socket for app in self._by_session.values() if app.alive}
