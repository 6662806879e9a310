"""Apps that misbehave and machines that go down: each is told as what it is, and the node goes on. Real launcher, real accounts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aen.messages import SessionReport, StopSession
from aen.model.session import Phase
from tests.computing import Box, base, box, start, through
from tests.integration.test_compute_use import APP
from tests.launching import Place, lives, place
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]

#: Takes connections on its socket and never says a word.
SILENT = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()
kept = []
while True: kept.append(listener.accept())
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with place("managed") as made:
        (made.top / "app.py").write_text(APP)
        (made.top / "silent.py").write_text(SILENT)
        yield made


def apps(here: Place) -> dict[str, object]:
    return {
        "small": {"command": ["python3", str(here.top / "app.py"), "{socket}"]},
        "silent": {"command": ["python3", str(here.top / "silent.py"), "{socket}"], "ready": "up"},
        "dies": {"command": ["/bin/sh", "-c", "echo 'no such table: users' >&2; exit 7", "{socket}"]},
    }


async def problem(running: Box, session: str) -> SessionReport:
    async def look() -> SessionReport | None:
        return next((one for one in running.sessions if one.session == session and one.phase is Phase.PROBLEM), None)

    return await until(look, 60, "it is a problem")


async def test_an_app_that_dies_at_once(here: Place) -> None:
    async with box(here, apps(here)) as running:
        await running.ready()
        command = start(server="dies")
        await running.ask(command)
        report = await problem(running, command.session)
        assert "exit code 7" in report.reason
        assert "no such table: users" in report.log_tail


async def test_an_app_that_takes_connections_and_stays_silent(here: Place) -> None:
    """Given up after the time that it has, with the reason, and nothing of it is left; others start meanwhile."""
    async with box(here, apps(here), ready_seconds=4) as running:
        await running.ready()
        command = start(server="silent")
        await running.ask(command)
        other = await running.started(start(server="small"))
        report = await problem(running, command.session)
        assert "did not answer within 4 s (compute.ready_seconds)" in report.reason
        assert await running.launcher.usage() == {other.session: (await running.launcher.usage())[other.session]}
        await running.ask(StopSession(session=other.session))


async def test_an_app_that_was_stopped_in_its_tracks(here: Place) -> None:
    """SIGSTOP: the node beats on, others work, and Stop ends it."""
    async with box(here, apps(here), stop_seconds=1) as running:
        await running.ready()
        stuck = await running.started(start(server="small", generation=2))
        process = running.role.sessions.running()[0].leader()
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        beats = len(running.beats)
        await running.role.activity.ask()  # asks every app; this one never answers
        other = await running.started(start(server="small", name="second", generation=2))
        async with through(other) as http, http.get(base("second", "small")) as answer:
            assert answer.status == 200

        async def beating() -> bool:
            return len(running.beats) > beats

        await until(beating, 10, "the node beats on")
        await running.ask(StopSession(session=stuck.session))
        assert not lives(process)
        await running.ask(StopSession(session=other.session))


async def test_after_a_restart_of_the_machine_what_ran_is_reported_lost(here: Place) -> None:
    """Another boot id: pids mean nothing any more, even if somebody has them. Told with the node's first words."""
    async with box(here, apps(here)) as running:
        await running.ready()
        before = await running.started(start(server="small", generation=3))
        process = running.role.sessions.running()[0].leader()
        assert process is not None
        records = Path(running.role.context.config.data_dir, "compute", "sessions")
    booted_again(process.boot_id, records, Path(here.policy.state_dir, "apps"))
    try:
        async with box(here, apps(here)) as running:

            async def lost() -> SessionReport | None:
                told = [one for beat in running.beats for one in beat.sessions] + running.sessions
                mine = [one for one in told if one.session == before.session]
                return next((one for one in mine if one.phase is Phase.STOPPED), None)

            report = await until(lost, 10, "it is reported lost")
            assert "The machine was started anew" in report.reason
            assert lives(process)  # a process with its number was not touched: it is somebody else's by now
            again = await running.started(start(server="small", generation=4))
            await running.ask(StopSession(session=again.session))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def booted_again(boot_id: str, *folders: Path) -> None:
    """What is written down was written in another life of the machine."""
    changed = 0
    for path in (path for folder in folders for path in folder.glob("*.json")):
        text = path.read_text()
        changed += boot_id in text
        path.write_text(text.replace(boot_id, "00000000-0000-4000-8000-000000000000"))
        json.loads(path.read_text())
    assert changed >= 2


async def test_a_home_on_a_read_only_file_system(here: Place) -> None:
    """What can run without writing there does; else the reason stands with the problem. Never a blank, never a hang."""
    async with box(here, apps(here)) as running:
        await running.ready()
        account = await running.launcher.ensure_account("aentowner")
        subprocess.run(["mount", "--bind", account.home, account.home], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", account.home], check=True)
            small = await running.started(start(server="small", generation=5))
            await running.ask(StopSession(session=small.session))
            command = start(generation=5)
            await running.ask(command)

            async def settled() -> SessionReport | None:
                over = (Phase.RUNNING, Phase.PROBLEM)
                mine = [one for one in running.sessions if one.session == command.session and one.phase in over]
                return mine[-1] if mine else None

            report = await until(settled, 120, "it runs, or says why not")
            if report.phase is Phase.PROBLEM:
                assert "Read-only file system" in report.log_tail
            await running.ask(StopSession(session=command.session))
        finally:
            subprocess.run(["umount", "--lazy", account.home], check=True)
