"""Limits: a node takes all the open files that it may have."""

from __future__ import annotations

import subprocess
import sys

_LOOK = """
import resource
from aen.cli.serve import allow_all_files
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
allow_all_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most))
"""


def test_a_small_soft_limit_is_raised_to_the_hard_one() -> None:
    """In a process of its own: the limit is the process's."""
    assert subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, check=True).stdout == "True\n"
