"""Quotas of the file system: a number for a project's files, and how much they may take together (ext4 and xfs: `prjquota`).

The kernel gives the number to all that is made in the project later, counts by it, and refuses what would be too much.
Standard library only: two ioctls and one system call.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from contextlib import suppress

_FS_IOC_FSGETXATTR, _FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820
_ATTRIBUTES = struct.Struct("=IIIII8x")  # xflags, extsize, nextents, projid, cowextsize
_INHERITED = 0x200  # FS_XFLAG_PROJINHERIT

_SYS_QUOTACTL_FD = 443  # the same on every machine; kernels from 5.14
_PROJECTS = 2  # PRJQUOTA
_SET_QUOTA, _GET_STATE = 0x800008, 0x5808  # Q_SETQUOTA, Q_XGETQSTATV
_LIMITS = struct.Struct(
    "=8QI4x"
)  # hard and soft bytes, used, hard and soft inodes, inodes, two times; what of it is meant
_BYTES_ARE_MEANT = 1  # QIF_BLIMITS
_BLOCK = 1024
_STATE_BYTES = 512
_ENFORCED = 1 << 5  # FS_QUOTA_PDQ_ENFD
_LIBC = ctypes.CDLL(None, use_errno=True)


def number_of(fd: int) -> int:
    """The number that is given to all that is made in this directory; 0: none."""
    with suppress(OSError):
        flags, _, _, number, _ = _ATTRIBUTES.unpack(fcntl.ioctl(fd, _FS_IOC_FSGETXATTR, bytes(_ATTRIBUTES.size)))
        return int(number) if flags & _INHERITED else 0
    return 0


def give(fd: int, number: int, *, directory: bool) -> bool:
    """Give a file or directory the number; whether that changed it. Raises OSError where the file system has none."""
    flags, extent, extents, had, cow = _ATTRIBUTES.unpack(fcntl.ioctl(fd, _FS_IOC_FSGETXATTR, bytes(_ATTRIBUTES.size)))
    wanted = flags | _INHERITED if directory else flags
    if (had, flags) == (number, wanted):
        return False
    fcntl.ioctl(fd, _FS_IOC_FSSETXATTR, _ATTRIBUTES.pack(wanted, extent, extents, number, cow))
    return True


def enforced(fd: int) -> bool:
    """Whether the file system that `fd` is on keeps bounds of projects."""
    state = ctypes.create_string_buffer(_STATE_BYTES)
    state[0] = b"\x01"  # the version of the structure
    try:
        _quotactl(fd, _GET_STATE, 0, state)
    except OSError:
        return False
    (flags,) = struct.unpack_from("=H", state.raw, 2)
    return bool(flags & _ENFORCED)


def bound(fd: int, number: int, most: int) -> None:
    """All files of that number together may take so many bytes; 0: as many as they like. Raises OSError."""
    blocks = -(-most // _BLOCK)
    limits = _LIMITS.pack(blocks, 0, 0, 0, 0, 0, 0, 0, _BYTES_ARE_MEANT)
    _quotactl(fd, _SET_QUOTA, number, ctypes.create_string_buffer(limits, _LIMITS.size))


def _quotactl(fd: int, command: int, number: int, data: ctypes.Array[ctypes.c_char]) -> None:
    asked = (command << 8) | _PROJECTS
    if _LIBC.syscall(_SYS_QUOTACTL_FD, fd, ctypes.c_uint(asked), ctypes.c_int(number), data) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
