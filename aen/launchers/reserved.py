"""Reserved names in a project: AEN needs directories there, and any member may have put something else."""

from __future__ import annotations

import os
import pwd
import stat

from aen.launchers import trees

OURS = ("envs", "public")
_KINDS = {stat.S_IFREG: "a file", stat.S_IFLNK: "a symlink", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def make(name: str, parent: int) -> bool:
    """Make the directory. False: something of that name is there."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def wrong(name: str, parent: int) -> str:
    """What lies there and is no directory, and whose it is, as a clause; empty when there is nothing wrong."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    if stat.S_ISDIR(status.st_mode):
        return ""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
    return f"`{name}` is {kind} that belongs to {_name(status.st_uid)}"


def move_aside(name: str, parent: int) -> str:
    """Move away what is wrong, nothing else; what was done, as a sentence, or an empty string."""
    found = wrong(name, parent)
    return f"{found}: it was moved aside as `{trees.move_aside(name, parent)}`." if found else ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the uid {uid}"
