"""Preparation: what the launcher makes sure of before it takes a single request, and small things about its directories."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat
from contextlib import suppress

from aen.acl import posix
from aen.errors import Invalid
from aen.launchers import Account, Policy, Unsupported, trees

_RUN_DIR = re.compile(r"[a-z2-7]{12}-[0-9a-f]{4}")  # as `make_run_dir` names them


def prepare(policy: Policy) -> None:
    """Make the directories and check that nobody else can change what we rely on.

    Raises Invalid or Unsupported with the sentence for the administrator, naming the setting.
    """
    single = policy.mode == "single"
    if not single and os.geteuid() != 0:
        raise Unsupported(f"accounts.mode is {policy.mode}, which needs root. Start AEN as root, or use mode single.")
    if not single and policy.service_uid == 0:
        raise Invalid("service_account is root: name an account of its own.")
    service = None if single else (policy.service_uid, policy.service_gid)
    _make("compute.project_root", policy.project_root, 0o711, None)
    _make("run_dir", policy.run_dir, 0o711, service)
    _make("state_dir", policy.state_dir, 0o700, None)
    _make("log_dir", policy.log_dir, 0o711, None)
    if not single:
        _only_ours("state_dir", policy.state_dir)
        _only_ours("compute.project_root", policy.project_root)
        for option, path in (("compute.project_root", policy.project_root), ("run_dir", policy.run_dir)):
            _open_to_all(option, path)
    _can_be_used(policy)
    if not single and not posix.supports_acl(policy.run_dir):
        raise Invalid(
            f"run_dir: the file system of {policy.run_dir} keeps no POSIX ACLs. Choose a directory on one that does."
        )


def no_acl(project_root: str) -> str:
    """What to say of a file system without ACLs."""
    return (
        f"compute.project_root: the file system of {project_root} keeps no POSIX ACLs, by which teams get their rights. "
        "Choose a directory on ext4, xfs or btrfs (zfs: acltype=posixacl)."
    )


def _can_be_used(policy: Policy) -> None:
    """Programs of environments can be run where they lie, and teams can have rights on the projects' file system."""
    for option, path in (("compute.project_root", policy.project_root), ("envs_dir", policy.envs_dir)):
        with suppress(FileNotFoundError):
            if os.statvfs(path).f_flag & os.ST_NOEXEC:
                raise Invalid(
                    f"{option}: {path} is mounted with noexec, so nothing of an environment could be run there. "
                    "Mount it with exec, or choose another place."
                )
    if not posix.supports_acl(policy.project_root):
        raise Invalid(no_acl(policy.project_root))


def label(policy: Policy) -> str:
    """A short word that tells this launcher's control groups from those of another AEN on the same machine."""
    return label_of(policy.state_dir)


def label_of(state_dir: str) -> str:
    """See `label`."""
    return hashlib.sha256(state_dir.encode()).hexdigest()[:8]


def service_account(policy: Policy) -> Account:
    """The service account, for a root that is to run everything as it (mode single)."""
    try:
        entry = pwd.getpwuid(policy.service_uid)
    except KeyError:
        raise Invalid(f"There is no account with the uid {policy.service_uid} (service_account).") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell, False)


def clear_run_dirs(run_dir: str, prefix: str, in_use: set[str]) -> None:
    """Remove a session's run directories of earlier generations; never one whose app still runs."""
    with trees.opened(run_dir) as parent:
        for name in os.listdir(parent):
            used = any(socket.startswith(f"{run_dir.rstrip('/')}/{name}/") for socket in in_use)
            if name.startswith(prefix) and not used:
                with suppress(OSError):  # it is only in the way of order
                    trees.remove(name, parent)


def run_dirs(run_dir: str) -> list[str]:
    """The names of all run directories of sessions."""
    with trees.opened(run_dir) as parent:
        return [name for name in os.listdir(parent) if _RUN_DIR.fullmatch(name)]


def remove_run_dirs(run_dir: str, names: list[str]) -> None:
    """Remove these. What a person left in them can be much: for a child of the launcher."""
    with trees.opened(run_dir) as parent:
        for name in names:
            with suppress(OSError):  # it is only in the way of order
                trees.remove(name, parent)


def staged(project_root: str) -> list[str]:
    """What lies in staging: left by a launcher that was ended in the middle."""
    with trees.opened(project_root) as root, trees.staging(root) as stage:
        return os.listdir(stage)


def unstage(project_root: str, names: list[str]) -> None:
    """Remove it."""
    with trees.opened(project_root) as root, trees.staging(root) as stage:
        for name in names:
            trees.remove(name, stage)


def tail(path: str, lines: int, most: int) -> str:
    """The last lines of a log, at most so many bytes of it. Empty when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or lines == 0:
            return ""
        file.seek(max(0, status.st_size - most))
        text = file.read(most).decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def _make(option: str, path: str, mode: int, owner: tuple[int, int] | None) -> None:
    if os.path.isdir(path):
        return
    mask = os.umask(0o022)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path, mode)
        os.chmod(path, mode)
        if owner is not None:
            os.chown(path, *owner, follow_symlinks=False)
    except OSError as error:
        raise Invalid(f"{option}: {path} can't be made: {error.strerror}.") from None
    finally:
        os.umask(mask)


def _only_ours(option: str, path: str) -> None:
    """Nobody but root may exchange it: not it, and nothing above it (a sticky directory protects what root has in it)."""
    place = os.path.realpath(path)
    lowest = place
    while True:
        status = os.stat(place)
        shared = status.st_mode & 0o022 and not (status.st_mode & stat.S_ISVTX and place != lowest)
        if status.st_uid != 0 or shared:
            raise Invalid(
                f"{option}: {path} is not safe, because others than root may change {place}. "
                "Choose a directory that belongs to root, below directories that belong to root."
            )
        if place == "/":
            return
        place = os.path.dirname(place)


def _open_to_all(option: str, path: str) -> None:
    """People's accounts must be able to pass through."""
    place = os.path.realpath(path)
    while True:
        if not os.stat(place).st_mode & 0o001:
            raise Invalid(
                f"{option}: {path} can't be reached by ordinary accounts, because they may not enter {place}."
            )
        if place == "/":
            return
        place = os.path.dirname(place)
