"""An app is its person's process and may say anything when AEN asks how it is doing: that never ends the node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aen.apps.jupyter import JupyterServer
from aen.config import Config
from aen.messages import ProjectSpec
from aen.model import now
from aen.model.session import Phase
from aen.roles.compute.activity import Activity
from aen.roles.compute.asking import Asker
from aen.roles.compute.records import Record

OK = b"HTTP/1.0 200 OK\r\n\r\n"
SAID = {
    "nothing": b"",
    "half a line": b"HTTP/1.0",
    "no number": b"HTTP/1.0 abc x\r\n\r\n",
    "a huge number": b"HTTP/1.0 " + b"9" * 5000 + b" OK\r\n\r\n[]",
    "no HTTP": b"\xff" * 1000,
    "no JSON": OK + b"{",
    "deep JSON": OK + b"[" * 100_000,
    "numbers": OK + b"[1, 2]",
    "texts": OK + b'["a"]',
    "an object": OK + b'{"a": 1}',
    "nothing in JSON": OK + b"null",
    "no times": OK + b'[{"execution_state": "idle"}]',
    "a time that is none": OK + b'[{"last_activity": 7}]',
    "the first year": OK + b'[{"last_activity": "0001-01-01T00:00:00Z"}]',
    "the last year": OK + b'[{"last_activity": "9999-12-31T23:59:59.999999-23:59"}]',
    "not UTF-8": OK + b"\xff\xfe[]",
    "too much": OK + b" " * (5 << 20),
}


def record_of(path: Path) -> Record:
    """A running session whose app listens at `path`."""
    project = ProjectSpec(id="p1", owner="alice", name="genome", team=[])
    return Record(
        session="a" * 16,
        generation=1,
        project=project,
        user="alice",
        app="jupyterlab",
        app_server="jupyter",
        phase=Phase.RUNNING,
        upstream=f"unix:{path}",
        uid=os.geteuid(),
        secret="s",
    )


@pytest.mark.parametrize("name", SAID)
async def test_whatever_an_app_says_the_node_goes_on(name: str, tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SAID[name])
        writer.close()

    async def account(user: str) -> object:
        return SimpleNamespace(user=user)

    record = record_of(tmp_path / "s")
    sessions = SimpleNamespace(running=lambda: [record], servers={"jupyter": JupyterServer()})
    launching = SimpleNamespace(launch_of=lambda record, account: None)
    launcher = SimpleNamespace(ensure_account=account)
    usage = SimpleNamespace(at_work=frozenset())
    parts: list[Any] = [launcher, sessions, launching, usage, {}]
    activity = Activity(Config(), *parts)
    async with await asyncio.start_unix_server(talk, tmp_path / "s"):
        await activity.ask()
        assert await Asker(record).answers("api/status") in (True, False)
    assert 0 <= record.activity <= now()  # a time to come would keep a forgotten session for ever
    assert record.phase is Phase.RUNNING
