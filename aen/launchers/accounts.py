"""Linux accounts of people, and the register of those that AEN made. Runs as root (or single: as who started AEN)."""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aen.errors import Conflict, Internal, Invalid, NotFound
from aen.launchers import Account, ForeignAccount, Policy

LEAST_UID = 1000  # below are the system's own accounts
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_LOCK_SECONDS = 15  # useradd refuses while somebody else changes /etc/passwd


class Register:
    """`accounts.json` in the launcher's state directory: name → uid and whether AEN made it, and the next uid.

    A uid is never given twice: what an earlier person of that name left behind stays out of reach of the next.
    """

    def __init__(self, state_dir: str, first_uid: int) -> None:
        self._path = Path(state_dir, "accounts.json")
        self._lock = Path(state_dir, "accounts.lock")
        self._first_uid = first_uid

    def get(self, name: str) -> int | None:
        """The uid under which `name` is known, or None."""
        entry = self._read()["accounts"].get(name)
        return int(entry["uid"]) if entry else None

    def made(self, name: str) -> bool:
        """Whether AEN made this account (and not an administrator, who let AEN use it)."""
        entry = self._read()["accounts"].get(name)
        return bool(entry and entry["made"])

    def retired(self, name: str) -> bool:
        """Whether the account was locked because its person is gone."""
        entry = self._read()["accounts"].get(name)
        return bool(entry and entry.get("retired"))

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The register's content, alone with it; written back when the block ends well."""
        with open(self._lock, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = self._read()
            yield data
            self.keep(data)

    def keep(self, data: dict[str, Any]) -> None:
        """Write it down now; only inside `changing`."""
        write_json(self._path, data)

    def next_uid(self, data: dict[str, Any]) -> int:
        """The next uid that neither we nor anybody else on this node has given; the counter moves past it at once."""
        uid = max(int(data["next_uid"]), self._first_uid)
        while _taken(uid):
            uid += 1
        data["next_uid"] = uid + 1
        self.keep(data)
        return uid

    def _read(self) -> dict[str, Any]:
        try:
            data: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {"next_uid": self._first_uid, "accounts": {}}
        except ValueError:
            raise Internal(
                f"{self._path} is damaged. Restore it from a backup: it says which accounts AEN made."
            ) from None
        return data


def link(state_dir: str, name: str, first_uid: int = 20000) -> Account:
    """Let AEN use an account that it did not make (an administrator's decision; root only).

    Raises NotFound or Invalid (a system account). For the command line: no verb of the launcher leads here.
    """
    entry = _entry(name)
    if entry is None:
        raise NotFound(f"There is no Linux account {name!r} on this node.")
    _refuse_system(entry, -1)
    with Register(state_dir, first_uid).changing() as data:
        data["accounts"][name] = {"uid": entry.pw_uid, "made": False, "at": int(time.time())}
    return _account(entry)


class Accounts:
    """The accounts that AEN may act as on this node."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.register = Register(policy.state_dir, policy.first_uid)

    def find(self, user: str) -> Account:
        """The account of `user` as it is. Raises NotFound, ForeignAccount, Conflict or Invalid; makes nothing."""
        if self._policy.mode == "single":
            return _running_account()
        entry = _entry(user)
        if entry is None:
            raise NotFound(f"{user} has no Linux account on this node yet.")
        self._refuse(entry)
        if self._policy.mode == "managed" and self.register.retired(user):
            raise Conflict(
                f"The Linux account {user} belonged to somebody who was removed, and is locked. When an administrator "
                f"has removed it (userdel {user}) and moved {entry.pw_dir} away, {user} gets a new one."
            )
        return _account(entry)

    def retire(self, user: str) -> None:
        """Lock the account that AEN made for `user`: no password, no key, no shell. Its files stay. May be done twice."""
        entry = _entry(user)
        if entry is None or not self.made_by_us(user) or self.register.get(user) != entry.pw_uid:
            return
        with self.register.changing() as data:
            data["accounts"][user]["retired"] = int(time.time())
        _run("usermod", "--lock", "--expiredate", "1", "--shell", "/usr/sbin/nologin", user)

    def told(self, user: str) -> dict[str, Any]:
        """What there is of `user` on this node."""
        entry = None if self._policy.mode == "single" else _entry(user)
        if entry is None:
            return {"exists": False}
        made = self.made_by_us(user) and self.register.get(user) == entry.pw_uid
        known = {"exists": True, "made": made, "uid": entry.pw_uid, "home": entry.pw_dir}
        return known | {"locked": made and self.register.retired(user)}

    def uid_before(self, user: str) -> int | None:
        """The uid that `user` has or had here: whose files an ex-member's are. None: never seen."""
        if self._policy.mode == "single":
            return None
        known = self.register.get(user) if self._policy.mode == "managed" else None
        if known is not None:
            return known
        try:
            return self.find(user).uid
        except (NotFound, Conflict, Invalid):
            return None

    def made_by_us(self, user: str) -> bool:
        """Whether AEN made the account: then all that runs on it may be ended."""
        return self._policy.mode == "managed" and self.register.made(user)

    def ensure(self, user: str) -> Account:
        """The account of `user`, made when it is missing and the mode allows."""
        try:
            return self.find(user)
        except NotFound:
            if self._policy.mode == "existing":
                raise Conflict(
                    f"{user} has no Linux account on this node, and AEN makes none here (accounts.mode: existing). "
                    "Ask an administrator to add it."
                ) from None
        with self.register.changing() as data:
            if _entry(user) is None:  # nobody was faster
                self._make(user, data)
        return self.find(user)

    def _make(self, user: str, data: dict[str, Any]) -> None:
        """Registered first: an account without its line in the register would never be ours again."""
        uid = self.register.next_uid(data)
        data["accounts"][user] = {"uid": uid, "made": True, "at": int(time.time())}
        self.register.keep(data)
        try:
            _useradd(user, uid)
        except BaseException:
            del data["accounts"][user]
            self.register.keep(data)
            raise

    def _refuse(self, entry: pwd.struct_passwd) -> None:
        _refuse_system(entry, self._policy.service_uid)
        if self._policy.mode == "managed" and self.register.get(entry.pw_name) != entry.pw_uid:
            raise ForeignAccount(
                f"There is a Linux account {entry.pw_name!r} on this node that AEN did not make, so AEN does not use it. "
                f"An administrator can allow it: aen user link {entry.pw_name}"
            )


def _refuse_system(entry: pwd.struct_passwd, service_uid: int) -> None:
    if entry.pw_uid == service_uid:
        raise Invalid(f"{entry.pw_name} is the account that AEN itself runs as: it can't own or start projects.")
    if entry.pw_uid < LEAST_UID:
        raise Invalid(
            f"{entry.pw_name} is an account of the system (uid {entry.pw_uid}): it can't own or start projects."
        )


def _useradd(user: str, uid: int) -> None:
    """Make the account and its private group, both under one number: a group's number that came again would inherit too."""
    home = Path("/home", user)
    if os.path.lexists(home):
        raise Conflict(
            f"{home} is there already, from an earlier account: move it away, then {user} can have an account."
        )
    _run("groupadd", "--gid", str(uid), user)
    options = ["--uid", str(uid), "--gid", str(uid), "--create-home", "--home-dir", str(home)]
    options += ["--shell", "/bin/bash", "--key", "HOME_MODE=0700", "--comment", "made by AEN"]
    options += ["--password", "*"]  # no password fits; "!" would also keep keys out where sshd does without PAM
    try:
        _run("useradd", *options, user)
    except Conflict:
        with suppress(Conflict):
            _run("groupdel", user)
        raise
    os.chmod(home, 0o700)


def _run(name: str, *arguments: str) -> None:
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


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(
        user=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        home=entry.pw_dir,
        shell=entry.pw_shell or "/bin/sh",
        private_group=_is_private(entry),
    )


def _running_account() -> Account:
    """Who we are. A container may run us under a uid that has no account: then our home is what HOME says."""
    uid = os.geteuid()
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return Account(f"uid{uid}", uid, os.getegid(), os.environ.get("HOME", "/"), "/bin/sh", False)


def _is_private(entry: pwd.struct_passwd) -> bool:
    """Whether nobody else is in the account's primary group."""
    try:
        members = grp.getgrgid(entry.pw_gid).gr_mem
    except KeyError:
        members = []
    others = (other for other in pwd.getpwall() if other.pw_gid == entry.pw_gid and other.pw_uid != entry.pw_uid)
    return not set(members) - {entry.pw_name} and next(others, None) is None


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _taken(number: int) -> bool:
    """Whether a user or a group has this number."""
    for look in (pwd.getpwuid, grp.getgrgid):
        try:
            look(number)
        except KeyError:
            continue
        return True
    return False


def write_json(path: Path, data: dict[str, Any], *, durable: bool = True) -> None:
    """Written whole or not at all, 0600. `durable`: on the disk when this returns (not for what a new boot makes void)."""
    beside = path.with_name(f".{path.name}.new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w") as file:
        json.dump(data, file, indent=1, sort_keys=True)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(beside, path)
