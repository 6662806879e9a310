"""Log: what people send stays one line of plain text, on a terminal and in JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


#: What the journal gives a service: its stderr, and which file that is.
UNIT = """
import os, sys
from aen import log
import structlog
file = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{file.st_dev}:{file.st_ino + int(sys.argv[1])}"
log.configure()
structlog.get_logger().warning("careful", value=1)
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("a fault")
"""


def test_the_journal_is_told_what_is_a_warning(tmp_path: Path) -> None:
    careful, fault = _logged(tmp_path, 0)
    assert careful.startswith("<4>{")
    assert json.loads(careful[3:])["value"] == 1
    assert fault.startswith("<3>{")


def test_another_file_gets_no_priorities(tmp_path: Path) -> None:
    """A program that the unit started with a log of its own inherits the word, not the journal."""
    assert [json.loads(line)["level"] for line in _logged(tmp_path, 1)] == ["warning", "error"]


def _logged(tmp_path: Path, other: int) -> list[str]:
    file = tmp_path / "log"
    with file.open("wb") as log:
        command = [sys.executable, "-c", UNIT, str(other)]
        subprocess.run(command, stderr=log, check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
    return file.read_text().splitlines()
