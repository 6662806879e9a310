"""What sessions take, what bounds them, and when they are stopped for want of use: real Jupyter, real launcher, real accounts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from aen.errors import Invalid, NotFound
from aen.launchers import proc
from aen.messages import KeepSession, SessionReport, StopSession
from aen.model import now
from aen.model.session import Phase
from tests.computing import MATE, TOKEN, Box, base, box, headers, start, through
from tests.kernels import Kernel
from tests.launching import Place, place
from tests.waiting import until

pytestmark = pytest.mark.root

HOURS = 2 / 3600  # two seconds
IDLE = {"hours": HOURS, "warning_minutes": 0.5 / 60, "max_keep_hours": 1}
POLLED = (
    "api/kernels",
    "api/sessions",
    "api/terminals",
    "api/contents?content=1",
    "api/status",
    "api/me",
    "lab/api/settings",
)

#: An HTTP server on the socket it is given, which answers once the file it is given is there (or none is given).
APP = """
import http.server, os, socketserver, sys, time
while len(sys.argv) > 2 and not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self): return "unix"
    def do_GET(self):
        self.send_response(200); self.end_headers()
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): pass
Server(sys.argv[1], Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    """A place for compute roles, with accounts of people."""
    with place("managed") as made:
        (made.top / "app.py").write_text(APP)
        yield made


@asynccontextmanager
async def jupyter(here: Place, generation: int, **compute: Any) -> AsyncIterator[tuple[Box, SessionReport]]:
    """A box in which a Jupyter runs."""
    async with box(here, **({"idle": IDLE} | compute)) as running:
        await running.ready()
        report = await running.started(start(generation=generation))
        yield running, report
        await running.ask(StopSession(session=report.session))


async def ended(running: Box, report: SessionReport) -> SessionReport:
    """The report that it was stopped."""
    return await running.reported(report.session, Phase.STOPPED, generation=report.generation)


def warnings(running: Box, report: SessionReport) -> list[SessionReport]:
    mine = [one for one in running.sessions if one.session == report.session and one.generation == report.generation]
    return [one for one in mine if one.idle is not None and one.idle.warned]


async def test_a_busy_kernel_is_never_stopped(here: Place) -> None:
    async with jupyter(here, 1) as (running, report):
        flag = here.top / "enough"
        async with through(report) as http:
            kernel = await Kernel.start(http, base(), headers(report, **TOKEN))
            code = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.05)"
            began = now()
            working = asyncio.create_task(kernel.run(code))
            record = running.role.sessions.running()[0]

            async def long_past() -> bool:
                return record.activity - began > 4 * HOURS * 3_600_000

            await until(long_past, 60, "it was looked at long after an idle one would have been stopped")
            assert record.phase is Phase.RUNNING
            assert record.idle is not None
            assert began - 1000 <= record.idle.busy_since <= began + 5000  # since it began, not since it was looked at
            assert "kernel 1" in record.activity_source
            assert not warnings(running, report)
            assert not working.done()
            flag.touch()
            await working
        over = await ended(running, report)  # now nobody uses it
        assert "without activity" in over.reason
        assert "kernel 1" in over.reason
        assert warnings(running, report), "people are warned before"


async def test_a_forgotten_tab_keeps_nothing_alive(here: Place) -> None:
    async with jupyter(here, 2) as (running, report):
        polls = 0
        async with through(report) as http:
            said = headers(report, **TOKEN)
            kernel = await Kernel.start(http, base(), said)
            async with http.post(f"{base()}api/terminals", json={"name": "7"}, headers=said) as answer:
                assert answer.status == 200
            channels = await http.ws_connect(f"{base()}api/kernels/{kernel.id}/channels", headers=said)
            events = await http.ws_connect(f"{base()}api/events/subscribe", headers=said)
            with suppress(aiohttp.ClientError, ConnectionError):
                while running.role.sessions.running():
                    for path in POLLED:
                        async with http.get(f"{base()}{path}", headers=said) as answer:
                            polls += answer.status == 200
                    # The tab was asleep and connects again: its terminal is shown again, and tells its size.
                    async with http.ws_connect(f"{base()}terminals/websocket/7", headers=said) as terminal:
                        await terminal.send_json(["set_size", 24, 80, 600, 800])
                    await channels.ping()
            over = await ended(running, report)
            await channels.close()
            await events.close()
        assert polls > 3 * len(POLLED)
        assert "without activity" in over.reason


async def test_what_a_terminal_writes_keeps_it_alive_without_a_tab(here: Place) -> None:
    async with jupyter(here, 3) as (running, report):
        said = headers(report, **TOKEN)
        async with through(report) as http:
            async with http.post(f"{base()}api/terminals", json={"name": "1"}, headers=said) as answer:
                assert answer.status == 200
            async with http.ws_connect(f"{base()}terminals/websocket/1", headers=said) as terminal:
                await terminal.send_json(["stdin", "while sleep 0.3; do echo on; done\n"])
                seen = ""
                while "\non\r\n" not in seen:
                    seen += str((await terminal.receive_json(timeout=30))[1])
        record, since = running.role.sessions.running()[0], now()

        async def long_past() -> bool:
            return record.activity - since > 3 * HOURS * 3_600_000

        await until(long_past, 60, "it lives long after the tab was closed")
        assert record.activity_source == "terminal 1"


async def test_what_it_started_keeps_it_alive_and_is_measured(here: Place) -> None:
    async with jupyter(here, 4) as (running, report):
        async with through(report) as http:
            kernel = await Kernel.start(http, base(), headers(report, **TOKEN))
            await kernel.run("import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'while True: pass'])")
        record = running.role.sessions.running()[0]

        async def at_work() -> bool:
            await running.role.usage.measure()
            await running.role.activity.ask()
            return report.session in running.role.usage.at_work and record.activity_source == "what it started"

        await until(at_work, 30, "a process that computes is seen")
        assert record.idle is not None
        assert record.idle.busy_since > 0
        assert record.use is not None
        assert record.use.processes >= 3
        assert record.use.memory > 30 << 20
        assert record.use.cpu > 10


async def test_keep(here: Place) -> None:
    async with jupyter(here, 5) as (running, report):

        async def keep(hours: float, generation: int = 5) -> SessionReport:
            return await running.ask(KeepSession(session=report.session, generation=generation, hours=hours))  # type: ignore[return-value]

        for wrong in (1.1, -1.0, 1e300):
            with pytest.raises(Invalid, match="at most 1 hour"):
                await keep(wrong)
        with pytest.raises(NotFound):
            await keep(1, generation=4)
        await keep(0.5)
        record = running.role.sessions.running()[0]
        until_then = record.keep_until

        async def told() -> bool:
            return record.idle is not None and record.idle.stops_at == until_then

        await until(told, 20, "the report says until when it is kept")
        assert abs(until_then - now() - 1_800_000) < 60_000

        async def long_past() -> bool:
            await running.role.activity.ask()
            return now() - record.activity > 3 * HOURS * 3_600_000

        await until(long_past, 60, "it is idle for longer than others may be")
        assert record.phase is Phase.RUNNING
        await keep(0)
        assert "without activity" in (await ended(running, report)).reason


async def test_nothing_is_stopped_where_idle_hours_are_not_set(here: Place) -> None:
    async with jupyter(here, 6, idle={}) as (running, report):
        with pytest.raises(Invalid, match="not stopped for being idle"):
            await running.ask(KeepSession(session=report.session, generation=6, hours=1))
        await running.role.activity.ask()
        record = running.role.sessions.running()[0]
        assert record.idle is not None
        assert record.idle.stops_at == 0


def apps(here: Place, **more: Any) -> dict[str, object]:
    """Small apps."""
    return {"small": {"command": ["python3", str(here.top / "app.py"), "{socket}"], **more}}


async def test_a_fork_bomb_hurts_only_who_threw_it(here: Place) -> None:
    flag = here.top / "now"
    bomb = f"""
if os.fork() == 0:
    while not os.path.exists({str(flag)!r}): time.sleep(0.05)
    while True:
        try: os.fork()
        except OSError: time.sleep(0.05)
"""
    (here.top / "bomb.py").write_text(APP.replace("Server(sys", f"{bomb}Server(sys"))
    told: dict[str, object] = apps(here) | {
        "bomb": {"command": ["python3", str(here.top / "bomb.py"), "{socket}"], "limits": {"processes": 60}}
    }
    async with box(here, told) as running:
        await running.ready()
        mate = await running.started(start(MATE, server="small"))
        bomber = await running.started(start(server="bomb"))
        flag.touch()
        most = 0

        async def full() -> bool:
            nonlocal most
            most = max(most, len(proc.of_uid(bomber.uid)))
            return most >= 55

        try:
            await until(full, 30, "the bomb has gone off")
            other = start(MATE, name="other", server="small")
            await running.started(other)  # others start apps
            async with through(mate) as http, http.get(base(server="small")) as answer:
                assert answer.status == 200  # and use them
            assert max(most, len(proc.of_uid(bomber.uid))) <= 61
        finally:
            await running.ask(StopSession(session=bomber.session))
        assert not proc.of_uid(bomber.uid)  # all of it is gone
        for session in (mate.session, other.session):
            await running.ask(StopSession(session=session))


async def test_too_much_memory_is_a_problem_with_the_end_of_the_log(here: Place) -> None:
    greedy = 'print("I take it all", flush=True)\nhoard = [bytearray(1 << 20) for _ in range(1000)]\n'
    (here.top / "greedy.py").write_text(APP.replace("Server(sys", greedy + "Server(sys"))
    told: dict[str, object] = {
        "greedy": {"command": ["python3", str(here.top / "greedy.py"), "{socket}"], "limits": {"memory": "200M"}}
    }
    async with box(here, told) as running:
        await running.ready()
        command = start(generation=1, server="greedy")
        await running.ask(command)

        async def problem() -> SessionReport | None:
            return next((one for one in running.sessions if one.phase is Phase.PROBLEM), None)

        report = await until(problem, 60, "it is a problem")
        assert "I take it all" in report.log_tail
        assert "MemoryError" in report.log_tail or "used more than 200 MB of memory" in report.reason


async def test_a_running_app_that_is_killed_is_a_problem(here: Place) -> None:
    async with box(here, apps(here)) as running:
        await running.ready()
        report = await running.started(start(generation=7, server="small"))
        process = running.role.sessions.running()[0].leader()
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        over = await running.reported(report.session, Phase.PROBLEM, generation=7)
        assert "out of memory?" in over.reason


async def test_who_waits_is_told_the_place(here: Place) -> None:
    flag = here.top / "go"
    told: dict[str, object] = {"small": {"command": ["python3", f"{here.top}/app.py", "{socket}", str(flag)]}}
    async with box(here, told, starts=1) as running:
        await running.ready()
        commands = [start(name=name, server="small", generation=8) for name in ("genome", "second", "third", "fourth")]
        for command in commands:
            await running.ask(command)

        async def told_places() -> bool:
            said = {one.session: one.reason for one in running.sessions if one.phase is Phase.QUEUED}
            places = [said.get(command.session, "")[:16] for command in commands[1:]]
            return places == ["1st in the queue", "2nd in the queue", "3rd in the queue"]

        await until(told_places, 60, "three sessions know their place")
        await running.ask(StopSession(session=commands[2].session, reason="impatient"))

        async def moved_up() -> bool:
            mine = [one.reason for one in running.sessions if one.session == commands[3].session]
            return mine[-1].startswith("2nd in the queue")

        await until(moved_up, 30, "the last one moved up")
        flag.touch()
        for command in (commands[0], commands[1], commands[3]):
            report = await running.reported(command.session, Phase.RUNNING, generation=8)
            assert not report.reason
            await running.ask(StopSession(session=command.session))
