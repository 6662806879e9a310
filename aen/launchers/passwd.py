"""Accounts as Linux has them: looked up, made, and moved out of the way of the next of their name. Needs root."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aen.errors import Conflict
from aen.launchers import proc, trees

_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_LOCK_SECONDS = 15  # useradd refuses while somebody else changes /etc/passwd
_COMMENT = "made by AEN"
_END_SECONDS = 10  # for killed processes to be gone


class NumberTaken(Conflict):
    """Somebody else was faster: the number that was free a moment ago has an account or a group now."""


def entry(name: str) -> pwd.struct_passwd | None:
    """The Linux account of that name."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def taken(number: int) -> bool:
    """Whether a user or a group has this number."""
    for look in (pwd.getpwuid, grp.getgrgid):
        try:
            look(number)
        except KeyError:
            continue
        return True
    return False


def check_home(user: str) -> None:
    """Raise Conflict when something lies where the home of a new account would be: it is nobody else's to inherit."""
    home = Path("/home", user)
    if os.path.lexists(home):
        raise Conflict(
            f"{home} is there already, from an earlier account: move it away, then {user} can have an account."
        )


def add(user: str, uid: int, shell: str) -> None:
    """Make the account and its private group, both under one number: a group's number that came again would inherit too.

    Raises NumberTaken, or Conflict with the system's own words; then nothing of it is there.
    """
    home = Path("/home", user)
    check_home(user)
    options = ["--uid", str(uid), "--gid", str(uid), "--create-home", "--home-dir", str(home)]
    options += ["--shell", shell, "--key", "HOME_MODE=0700", "--comment", _COMMENT]
    options += ["--password", "*"]  # no password fits; "!" would also keep keys out where sshd does without PAM
    with _unless_taken(uid):
        run("groupadd", "--gid", str(uid), user)
        try:
            run("useradd", *options, user)
        except Conflict:
            _undo(user, uid)
            raise
    os.chmod(home, 0o700)


@contextmanager
def _unless_taken(uid: int) -> Iterator[None]:
    try:
        yield
    except Conflict as error:
        if taken(uid):
            raise NumberTaken(str(error)) from None
        raise


def _undo(user: str, uid: int) -> None:
    """Nothing stays of what could not be made: useradd says so of the home when the account is there already."""
    made = entry(user)
    if made is not None and (made.pw_uid, made.pw_gecos) == (uid, _COMMENT):
        with suppress(Conflict):  # it may only have found no mail to remove
            run("userdel", "--remove", user)
    with suppress(Conflict):
        clear(user, uid)


def clear(user: str, uid: int) -> None:
    """Remove the private group of an account that is not there: its making was cut off, or only the user was removed by hand."""
    with suppress(KeyError):
        if grp.getgrnam(user).gr_gid == uid and entry(user) is None:
            run("groupdel", user)


def run(name: str, *arguments: str) -> None:
    """Run one of the system's account programs. Raises Conflict with its own words."""
    program = shutil.which(name, path=_SYSTEM_PATH)
    if program is None:
        raise Conflict(f"There is no {name} on this node: use accounts.mode existing.")
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, env={"PATH": _SYSTEM_PATH}
        )
        if done.returncode == 0:
            return
        if "lock" not in done.stderr or time.monotonic() > until:
            raise Conflict(f"{name} failed for {arguments[-1]}: {done.stderr.strip()[:300]}")
        time.sleep(0.1)  # somebody else is changing /etc/passwd


def lock(user: str) -> None:
    """No password, no key and no session lets anybody in from now on. What runs goes on."""
    run("usermod", "--lock", "--expiredate", "1", "--shell", "/usr/sbin/nologin", user)


def end_all(uid: int) -> None:
    """Kill what runs under that uid until nothing does. Raises Conflict when something hangs in the system."""
    until = time.monotonic() + _END_SECONDS
    while found := proc.of_uid(uid):
        for seen in found:
            proc.send(seen, signal.SIGKILL)
        if time.monotonic() > until:
            raise Conflict(f"Processes of uid {uid} could not be ended: they hang in the system.")
        time.sleep(0.02)


def set_aside(user: str, uid: int) -> str:
    """Lock the account `user` with that uid, end what runs on it, take its name and home away; the name it has now.

    It keeps its uid, so nobody else ever gets it. May be done again when it was cut off in the middle.
    """
    new = f"{user[:20]}-was-{uid}"
    found = entry(user)
    if found is not None and found.pw_uid == uid:
        lock(user)
        end_all(uid)
        ranges = _ranges(user)
        for option, numbers in ranges:  # they stand under the name, and would be the next one's
            run("usermod", f"--del-{option}", numbers, user)
        run("usermod", "--login", new, "--home", f"/home/{new}", user)
        for option, numbers in ranges:  # kept: else somebody else would be given them
            run("usermod", f"--add-{option}", numbers, new)
    with suppress(KeyError):
        if grp.getgrnam(user).gr_gid == uid:
            run("groupmod", "--new-name", new, user)
    _close_home(user, new, uid)
    return new


def _ranges(user: str) -> list[tuple[str, str]]:
    """The subordinate numbers of an account (what its containers run as), as options of usermod."""
    found = []
    for option in ("subuids", "subgids"):
        with suppress(FileNotFoundError):
            for line in Path("/etc", option[:-1]).read_text().splitlines():
                name, _, rest = line.partition(":")
                first, _, count = rest.partition(":")
                if name == user and first.isdigit() and count.isdigit():
                    found.append((option, f"{first}-{int(first) + int(count) - 1}"))
    return found


def _close_home(user: str, new: str, uid: int) -> None:
    """The old home, if it is still theirs: under another name, root's, closed to all."""
    with trees.opened("/home") as homes:
        try:
            with trees.opened(homes, user) as fd:
                if os.fstat(fd).st_uid != uid:
                    return
                os.fchown(fd, 0, 0)
                os.fchmod(fd, 0o700)
        except (FileNotFoundError, NotADirectoryError):
            return
        os.rename(user, new, src_dir_fd=homes, dst_dir_fd=homes)
