"""Log: what people send stays one line of plain text, on a terminal and in JSON."""

from __future__ import annotations

import subprocess
import sys

import pytest

HOSTILE = "\x1b[31mevil\x07\x9b2J\u2028\u0085\u202e\r\nadmin signed in"
CODE = f"""
import structlog
from aen import log
log.configure(format={{format!r}})
structlog.get_logger().info("login", user={HOSTILE!r}, path={HOSTILE.replace(" ", "")!r}, password="hidden")
"""


@pytest.mark.parametrize("format", ["text", "json"])
def test_nobody_writes_to_the_administrators_terminal(format: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE.format(format=format)], capture_output=True, check=True)
    written = done.stderr.decode()
    assert written.endswith("\n")
    assert written[:-1].isprintable(), repr(written)
    assert "evil" in written
    assert "hidden" not in written
