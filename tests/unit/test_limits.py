"""Limits: a node takes all the open files that it may have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aen.launchers.cgroups import Cgroup

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


@pytest.mark.parametrize("version", [1, 2])
def test_a_limit_of_memory_is_none_of_memory_and_swap(version: int, tmp_path: Path) -> None:
    group = Cgroup(tmp_path / "two", {"memory": tmp_path / "one"} if version == 1 else {})
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    assert group.limit({"memory_bytes": 5000}) == {"memory_bytes"}
    if version == 1:
        assert (tmp_path / "one/memory.memsw.limit_in_bytes").read_text() == "5000"
    else:
        assert (tmp_path / "two/memory.swap.max").read_text() == "0"
