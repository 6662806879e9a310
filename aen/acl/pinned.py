"""Pinned: an inode held by a descriptor, so that nobody can put another in its place between a look and a change."""

from __future__ import annotations

import os

O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
O_PINNED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_O_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def pin(parent: int, name: str) -> tuple[int, int | str]:
    """A descriptor of what is called `name` in the directory `parent`, and by what its attributes are reached.

    A file that is open for reading is its own way: half the cost of one through /proc, which O_PATH needs. What can't
    be opened (unreadable to an account without root's rights, a symlink by now) is pinned by O_PATH. Raises OSError.
    """
    try:
        fd = os.open(name, _O_FILE, dir_fd=parent)
    except OSError:
        fd = os.open(name, O_PINNED, dir_fd=parent)
        return fd, f"/proc/self/fd/{fd}"
    return fd, fd
