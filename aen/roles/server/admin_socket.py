"""Admin socket: `<run_dir>/admin.sock`, where the machine's administrator (root, AEN's account) needs no login."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import structlog
from aiohttp import web

from aen.config import Config
from aen.errors import Conflict, Invalid

log = structlog.get_logger(__name__)
NAME = "admin.sock"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

#: Where the admin socket of this site is bound, and the uids that may speak there.
ADMIN_SOCKET: web.AppKey[str] = web.AppKey("admin_socket", str)
ADMIN_UIDS: web.AppKey[frozenset[int]] = web.AppKey("admin_uids", frozenset)


def path_of(config: Config) -> Path:
    """Where the admin socket is."""
    return Path(config.run_dir) / NAME


def allowed_uids(config: Config) -> frozenset[int]:
    """root, the service account, and the account that AEN runs as."""
    uids = {0, os.geteuid()}
    with contextlib.suppress(KeyError):
        uids.add(pwd.getpwnam(config.service_account).pw_uid)
    return frozenset(uids)


@contextlib.contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """The socket, bound with mode 0600; its file is gone afterwards.

    Raises Conflict when another server answers there, Invalid when it can't be made.
    """
    if _answers(path):
        raise Conflict(
            f"Another AEN server is running: it answers at {path}. Stop it, or give this one its own run_dir."
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(old)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise Invalid(f"The admin socket {path} can't be made ({error.strerror or error}): check run_dir.") from error
    inode = path.stat().st_ino
    try:
        yield listener
    finally:
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:  # not a newer server's
                path.unlink()


def is_local_administrator(request: web.Request) -> bool:
    """Whether the request came through the admin socket from an account that may administer."""
    transport = request.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family != socket.AF_UNIX or ADMIN_SOCKET not in request.app:
        return False
    if sock.getsockname() != request.app[ADMIN_SOCKET]:
        return False
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    if uid in request.app[ADMIN_UIDS]:
        return True
    log.warning("admin socket refused", uid=uid)
    return False


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
