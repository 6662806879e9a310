"""Quotas where there are none: said, and never an error."""

from __future__ import annotations

import os
from pathlib import Path

from aen.launchers import quotas


def test_a_file_system_without(tmp_path: Path) -> None:
    for place in (tmp_path, Path("/proc/self")):
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert quotas.number_of(fd) == 0
            assert not quotas.enforced(fd)
        finally:
            os.close(fd)


def test_the_kernels_structures() -> None:
    """Sizes as in linux/fs.h and linux/quota.h: the ioctls' own numbers hold the first."""
    assert quotas._ATTRIBUTES.size == (quotas._FS_IOC_FSGETXATTR >> 16) & 0x3FFF == 28
    assert quotas._LIMITS.size == 72
