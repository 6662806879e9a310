"""The next version of AEN, for tests of upgrades: this one, with a field more in every message and answer, and a message more."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from tests.world import PROGRAM, ROOT

NEXT = "0.9.9"
_MESSAGE = re.compile(r'^(class \w+\((?:Event|Command|Word)\):\n    """(?:.|\n)*?"""\n)', re.MULTILINE)
_FIELD = '\n    of_the_next_version: dict[str, int] = Field(default_factory=lambda: {"more": 1})\n'
_NEWS = '''

class NodeMused(Event):
    """What only the next version knows: told with each heartbeat."""

    node: str
'''


def next_version(folder: Path) -> Path:
    """The program `aen` of the next version, which is put together below `folder`; open to all."""
    place = folder / "next"
    shutil.copytree(ROOT / "aen", place / "aen", ignore=shutil.ignore_patterns("__pycache__"))
    for kind in ("templates", "static", "config"):
        (place / kind).symlink_to(ROOT / kind)
    changed = sum(_changed(path) for path in (place / "aen" / "messages").glob("*.py"))
    assert changed > 40, "the messages look otherwise than this test thinks"
    _put(place / "aen/__init__.py", '__version__ = "', f'__version__ = "{NEXT}"  # "')
    _muses(place / "aen")
    program = place / "aen-next"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={place} exec {sys.executable} {PROGRAM} "$@"\n')
    program.chmod(0o755)
    return program


def _changed(path: Path) -> int:
    """Give each message in a module a field more; how many there are."""
    text, count = _MESSAGE.subn(lambda found: found[1] + _FIELD, path.read_text())
    if count and not re.search(r"^from pydantic import .*\bField\b", text, re.MULTILINE):
        text = text.replace("from aen.m", "from pydantic import Field\n\nfrom aen.m", 1)
    path.write_text(text)
    return count


def _muses(package: Path) -> None:
    """Compute nodes of the next version say something with each heartbeat that nobody else knows of."""
    nodes = package / "messages/nodes.py"
    nodes.write_text(nodes.read_text() + _NEWS)
    _put(
        package / "messages/speaking.py",
        '    "NodeReported": Rule',
        '    "NodeMused": Rule(("compute",), "server", ("node",)),\n    "NodeReported": Rule',
    )
    compute = package / "roles/compute/__init__.py"
    _put(
        compute,
        "        await self.context.bus.publish(event)\n",
        "        await self.context.bus.publish(event)\n        await self.context.bus.publish(NodeMused(node=self.node))\n",
    )
    _put(
        compute,
        "from aen.messages import (\n",
        "from aen.messages.nodes import NodeMused\nfrom aen.messages import (\n",
    )


def _put(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} looks otherwise than this test thinks: {old!r}"
    path.write_text(text.replace(old, new))
