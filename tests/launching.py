"""A real launcher for tests: in directories and with accounts of its own, all gone afterwards.

As root in both modes: `managed`, with real accounts (names start with `aent`), and `single`, where the launcher
gives root up for a test account first, as it does for an ordinary user.
"""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aen.errors import Conflict
from aen.launchers import Account, AppSpec, Policy, Process, ProjectRef, passwd, preparation
from aen.launchers.process import LauncherHandle, ProcessLauncher
from aen.privileges import ensure_service_account, spawn_launcher

PATH = "/usr/bin:/bin"


class Place:
    """Directories and a policy for one launcher, and the accounts that were made through it."""

    def __init__(self, top: Path, mode: str) -> None:
        self.top = top
        self.service = f"aent{secrets.token_hex(4)}"
        if mode == "single":  # an ordinary user has a home
            home = ["--create-home", "--home-dir", str(top / "home")]
            passwd.run("useradd", "--system", "--user-group", *home, self.service)
        uid, gid = ensure_service_account(self.service)
        self.service_uid, self.service_gid = uid, gid
        self.skeleton = top / "skeleton"
        self.envs = top / "envs"
        _skeleton(self.skeleton)
        self.envs.mkdir()
        if mode == "single":
            for path in (top, self.envs):
                os.chown(path, uid, gid)
        self.policy = Policy(
            mode=mode,
            service_uid=uid,
            service_gid=gid,
            service_account=self.service,
            project_root=f"{top}/projects",
            run_dir=f"{top}/run",
            envs_dir=str(self.envs),
            state_dir=f"{top}/state",
            log_dir=f"{top}/log",
            first_uid=61000,
            skeletons=(str(self.skeleton),),
        )

    def spawn(self) -> LauncherHandle:
        """A launcher process; the caller closes it or hands it to a ProcessLauncher."""
        return spawn_launcher(self.policy)

    def launcher(self) -> ProcessLauncher:
        """A launcher, to be entered."""
        return ProcessLauncher(self.spawn())

    def path(self, project: ProjectRef) -> Path:
        return Path(self.policy.project_root, project.owner, project.name)


def _skeleton(path: Path) -> None:
    (path / "public").mkdir(parents=True)
    (path / "README.md").write_text("Welcome\n")
    (path / "public" / "shown.txt").write_text("for all\n")
    script = path / "run.sh"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    path.chmod(0o755)


@contextmanager
def place(mode: str = "managed") -> Iterator[Place]:
    """A place for a launcher below /tmp, where every account may pass. One at a time: accounts are the whole machine's."""
    with open("/tmp/aent.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        top = Path(tempfile.mkdtemp(prefix="aent-", dir="/tmp"))
        top.chmod(0o755)
        made = Place(top, mode)
        try:
            yield made
        finally:
            _end_left_over(top)
            remove_accounts(61000)
            with suppress(Conflict):
                passwd.run("userdel", "--force", made.service)
            shutil.rmtree(top, ignore_errors=True)


def _end_left_over(top: Path) -> None:
    """Apps outlive their launcher on purpose; those of a failed test must not."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(OSError):
            log = os.readlink(f"/proc/{name}/fd/1")
            if log.startswith(f"{top}/"):
                os.kill(int(name), 9)
    label = preparation.label_of(f"{top}/state")  # of a launcher that could not tidy up itself
    for groups in Path("/sys/fs/cgroup").glob(f"*/aen-{label}"):
        for group in groups.glob("*.*"):
            with suppress(OSError):
                group.rmdir()
        with suppress(OSError):
            groups.rmdir()


def remove_accounts(first_uid: int) -> None:
    """Remove the accounts that launchers of tests made."""
    for entry in pwd.getpwall():
        if entry.pw_name.startswith("aent") and first_uid <= entry.pw_uid < 62000:
            with suppress(Conflict):
                passwd.run("userdel", "--remove", "--force", entry.pw_name)
    for group in grp.getgrall():  # of accounts half made
        if group.gr_name.startswith("aent") and first_uid <= group.gr_gid < 62000:
            with suppress(Conflict):
                passwd.run("groupdel", group.gr_name)
    for home in Path("/home").glob("aent*-was-*"):  # of earlier bearers of a name: root's by now
        if first_uid <= int(home.name.rpartition("-")[2]) < 62000:
            shutil.rmtree(home)


def app(session: str, account: Account, script: str, **more: object) -> AppSpec:
    """An app that is a shell script, in its user's home."""
    values: dict[str, object] = {
        "session": session,
        "generation": 1,
        "user": account.user,
        "owner": account.user,
        "project": "genome",
        "argv": ["/bin/bash", "-c", script],
        "environ": {"PATH": PATH, "HOME": account.home},
        "cwd": account.home,
    }
    return AppSpec(**{**values, **more})  # type: ignore[arg-type]


def lives(process: Process) -> bool:
    """Whether that process still runs (a zombie does not)."""
    try:
        text = Path(f"/proc/{process.pid}/stat").read_text()
    except OSError:
        return False
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0] not in "ZX" and int(fields[19]) == process.start_time


def as_user(account: Account, *argv: str, cwd: str = "/") -> subprocess.CompletedProcess[str]:
    """Run a program as that person."""
    return subprocess.run(
        argv,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd=cwd,
        env={"PATH": PATH, "HOME": account.home},
        capture_output=True,
        text=True,
        check=False,
    )


def raw(handle: LauncherHandle) -> socket.socket:
    """The launcher's socket, to write anything to by hand."""
    handle.sock.settimeout(20)
    return handle.sock
