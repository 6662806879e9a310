"""Privileges: start the privileged launcher, then drop to the service account. Before any thread or event loop."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from aen.errors import AenError, Conflict, Internal, Invalid, Unavailable
from aen.launchers import Policy, passwd
from aen.launchers.process import LauncherHandle
from aen.launchers.wire import LENGTH, error_from_wire, pack, unpack

_PR_SET_NO_NEW_PRIVS = 38
_ANSWER_SECONDS = 30  # the launcher makes directories, probes the file system and finds its apps


def spawn_launcher(policy: Policy) -> LauncherHandle:
    """Start the launcher and give it its policy. To be called before any thread or event loop, with all privileges.

    Raises Invalid (with the sentence for the administrator) when the launcher refuses: a directory that is missing or
    not safe, a file system without POSIX ACLs. Unavailable when it does not answer.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-I", "-m", "aen.launchers.privileged"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=_plain_environment(),
            cwd="/",
            start_new_session=True,  # a Ctrl-C at the terminal is ours to handle, not the launcher's
        )
    handle = LauncherHandle(ours, child, policy)
    try:
        ours.settimeout(_ANSWER_SECONDS)
        ours.sendall(pack({"policy": {**asdict(policy), "skeletons": list(policy.skeletons)}}))
        answer = unpack(_read(ours, LENGTH.unpack(_read(ours, LENGTH.size))[0]))
    except (OSError, AenError) as error:
        _give_up(handle)
        raise Unavailable(f"The privileged launcher did not start ({error}). Its last words are in the log.") from error
    if "error" in answer:
        _give_up(handle)
        raise error_from_wire(answer["error"])
    return replace(handle, limits=dict(answer.get("result", {}).get("limits", {})))


def drop(service_account: str) -> None:
    """Become the service account for good: groups, gid, uid, no_new_privs, umask 027.

    For an ordinary user only the umask and no_new_privs change. Raises Invalid when the process would stay root.
    """
    os.umask(0o027)
    if os.geteuid() == 0:
        account = _account(service_account)
        if account is None:
            raise Invalid(
                f"There is no account {service_account!r} (service_account): make it, or run `aen init` as root."
            )
        os.initgroups(account.pw_name, account.pw_gid)
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
        if 0 in (*os.getresuid(), *os.getresgid()):
            raise Internal("Privileges could not be dropped.")
    _no_new_privileges()


def ensure_service_account(name: str) -> tuple[int, int]:
    """Uid and gid of the service account; made (a system account without a login) when it is missing and we are root.

    Raises Invalid: the name belongs to root, or the account is missing and can't be made.
    """
    account = _account(name)
    if account is None and os.geteuid() == 0:
        _make_system_account(name)
        account = _account(name)
    if account is None:
        raise Invalid(f"There is no account {name!r} (service_account), and only root can make it.")
    return account.pw_uid, account.pw_gid


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return None
    if account.pw_uid == 0 or account.pw_gid == 0:
        raise Invalid(f"service_account is {name!r}, which is root or of root's group: name an account of its own.")
    return account


def _make_system_account(name: str) -> None:
    if shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        raise Invalid(f"The account {name!r} (service_account) is missing and there is no useradd: make it by hand.")
    options = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
    options += ["--gid", name] if _group_exists(name) else ["--user-group"]
    try:
        passwd.run("useradd", *options, name)
    except Conflict as error:
        raise Invalid(f"The account {name!r} (service_account) could not be made: {error.message}") from error


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _no_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def _plain_environment() -> dict[str, str]:
    """The launcher inherits nothing but where its home is (for a uid without an account)."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}


def _read(sock: socket.socket, size: int) -> bytes:
    parts: Sequence[bytes] = ()
    while (missing := size - sum(map(len, parts))) > 0:
        part = sock.recv(missing)
        if not part:
            raise ConnectionError("it ended before it answered")
        parts = [*parts, part]
    return b"".join(parts)


def _give_up(handle: LauncherHandle) -> None:
    """Close our end, at which the launcher exits by itself; what hangs is killed."""
    handle.sock.close()
    try:
        handle.child.wait(5)
    except subprocess.TimeoutExpired:
        handle.child.kill()
        handle.child.wait()


__all__ = ["LauncherHandle", "drop", "ensure_service_account", "spawn_launcher"]
