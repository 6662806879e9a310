"""Log: the traceback of a fault never shows what the variables held."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import structlog
from aen import log
log.configure(format={format!r})

def fails(word):
    raise RuntimeError("a fault")

try:
    fails("-".join(["hunter", "2"]))
except RuntimeError:
    structlog.get_logger().exception("the node failed")
"""


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_traceback_shows_lines_and_no_values(format: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE.format(format=format)], capture_output=True, check=True)
    written = done.stderr.decode()
    assert "a fault" in written
    assert "Traceback" in written
    assert "hunter-2" not in written
