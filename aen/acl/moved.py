"""Moved: what lies in a project and came from another, where rights on it were taken away, opens to nobody by that.

Whoever may write in a folder can move what lies there into a project of their own; a walk would pass it to them. The group
tells: it stays that of the project where an inode was made, and only the inode's owner can change it.
"""

from __future__ import annotations

import errno
import os

from aen.acl.permissions import Grants, from_elsewhere
from aen.acl.posix import ACCESS, attribute

MOVED = "It was moved here from another project, where rights on it were taken away. Its owner can give them back"


def check_meant_here(target: int | str, status: os.stat_result, grants: Grants) -> None:
    """Raises OSError for such an inode: it stays as it is."""
    if status.st_gid != grants.owner_gid and from_elsewhere(attribute(target, ACCESS), grants):
        raise OSError(errno.EPERM, MOVED)
