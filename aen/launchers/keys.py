"""SSH keys from the account page in `~/.ssh/authorized_keys`: between two marks, done as the person, what else is there stays."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress

from aen.errors import Conflict
from aen.launchers import Account, trees
from aen.launchers.spawn import become

_BEGIN = b"# BEGIN keys from AEN: changed on your account page, not here"
_END = b"# END keys from AEN"
_LARGEST = 1 << 20  # bytes of a file that we rewrite
_FILE = "authorized_keys"


def install(account: Account, lines: Sequence[str]) -> bool:
    """Put exactly these keys between the marks; whether that changed the file. For a process of its own: it becomes the person.

    So nothing can be reached through what lies in the home that the person could not reach anyway. Raises Conflict.
    """
    become(account)
    os.umask(0o077)
    try:
        with trees.opened(account.home) as home:
            if not lines and not trees.exists(".ssh", home):
                return False
            with suppress(FileExistsError):
                os.mkdir(".ssh", 0o700, dir_fd=home)
            with trees.opened(home, ".ssh") as folder:
                return _rewrite(folder, [line.encode() for line in lines])
    except OSError as error:
        raise Conflict(f"SSH keys of {account.user} could not be installed in ~/.ssh: {error.strerror}.") from error


def _rewrite(folder: int, keys: list[bytes]) -> bool:
    before = _read(folder)
    kept = _outside(before)
    block = [_BEGIN, *keys, _END] if keys else []
    after = b"".join(line + b"\n" for line in [*kept, *block])
    if after == before:
        return False
    name = f".{_FILE}.{secrets.token_hex(4)}"
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    with open(fd, "wb") as file:
        file.write(after)
        file.flush()
        os.fsync(file.fileno())
    os.rename(name, _FILE, src_dir_fd=folder, dst_dir_fd=folder)
    return True


def _read(folder: int) -> bytes:
    try:
        fd = os.open(_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return b""
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            raise Conflict("~/.ssh/authorized_keys is not a plain file of reasonable size: it is left as it is.")
        return file.read()


def _outside(text: bytes) -> list[bytes]:
    """The lines that are not between our marks. A block without an end ends with the file."""
    kept, inside = [], False
    for line in text.splitlines():
        if line == _BEGIN:
            inside = True
        elif inside and line == _END:
            inside = False
        elif not inside:
            kept.append(line)
    return kept
