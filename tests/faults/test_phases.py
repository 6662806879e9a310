"""Each role is killed, and held up, in each phase of signing in, of a project's start and of a session's start.

What was acknowledged comes to its end by itself; what was not is asked for once more, as a person would press the button
again. Nothing runs twice, and no state stays between. The table is printed (`-s`), and kept in docs/faults.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from aen.model.session import STEP_NAMES
from tests.apart import EDGE, NODE, Apart
from tests.faults.use import Table, copies
from tests.integration.test_main_job import bearer, project_of
from tests.kernels import Kernel
from tests.served import PASSWORD, Answer, Client
from tests.waiting import until

pytestmark = pytest.mark.slow

ROLES = ("server", "gateway", "compute")
LOGIN = ("the password is being checked", "the ticket is under way")
STEPS = ("asked", *STEP_NAMES[:-1])
APP = ("asked", "app")
PAUSED = 3.0  # seconds
REPAIRED = 90.0  # a bound for the test to end; what is measured is told in the table
BROKEN = (aiohttp.ClientError, TimeoutError, OSError, AssertionError, ValueError, KeyError)
TABLE = Table(("phase", *(f"{role}: {how}" for role in ROLES for how in ("kill -9", "pause"))))
_SECONDS: dict[str, dict[tuple[str, str], float]] = {}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def site() -> Iterator[Apart]:
    """Server, gateway and compute node apart."""
    with Apart() as made:
        yield made
    for phase, found in _SECONDS.items():
        cells = (found.get((role, how)) for role in ROLES for how in ("kill", "pause"))
        TABLE.add(phase, *("" if seconds is None else f"{seconds:.1f} s" for seconds in cells))
    TABLE.show()


@pytest.fixture(scope="module")
def ida(site: Apart) -> str:
    """A person."""
    name = site.add("ida")
    site.token(name)
    return name


class Fault:
    """What happens to a role. `mended` is when it was there again."""

    def __init__(self, site: Apart, role: str, how: str) -> None:
        self.site, self.role, self.how = site, role, how
        self.mended = 0.0

    def strike(self) -> None:
        """Now."""
        program = self.site.programs[self.role]
        assert program.process is not None
        if self.how == "kill":
            program.kill()
        else:
            os.kill(program.process.pid, signal.SIGSTOP)

    async def mend(self) -> None:
        """A killed one is started, as systemd would; one that was held up goes on after a while."""
        program = self.site.programs[self.role]
        if self.how == "kill":
            program.spawn()
        else:
            await asyncio.sleep(PAUSED)  # so long it is held up
            assert program.process is not None
            os.kill(program.process.pid, signal.SIGCONT)
        self.mended = time.monotonic()

    def told(self, phase: str) -> None:
        """A figure for the table."""
        _SECONDS.setdefault(phase, {})[self.role, self.how] = time.monotonic() - self.mended


@pytest.fixture(params=itertools.product(ROLES, ("kill", "pause")), ids=lambda pair: "-".join(pair))
async def fault(site: Apart, request: pytest.FixtureRequest) -> AsyncIterator[Fault]:
    """One role, one way; afterwards all is well again, whatever the test found."""
    role, how = request.param
    made = Fault(site, role, how)
    await until(lambda: _all_heard(site), REPAIRED, "all is well before")
    yield made
    program = site.programs[role]
    if program.process is None:
        program.spawn()
    else:
        program.process.send_signal(signal.SIGCONT)


async def _all_heard(site: Apart) -> bool:
    with contextlib.suppress(*BROKEN, Exception):
        nodes = (await asyncio.to_thread(site.api.get, "nodes"))["items"]
        return {node["name"] for node in nodes if node["up"] and node["ready"]} >= {EDGE, NODE}
    return False


@asynccontextmanager
async def steps_of(client: Client, slug: str) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """A function that comes back when a step of a start in this project has begun."""
    seen: dict[str, str] = {}
    came = asyncio.Event()

    async def listen() -> None:
        headers = {"Authorization": f"Bearer {client.token}"}
        url = f"{client.url}/api/v1/projects/{slug}/events"
        async with client.http.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as stream:
            listening.set()
            async for line in stream.content:
                if line.startswith(b"data:"):
                    for step in json.loads(line[5:]).get("steps", ()):
                        seen[step["name"]] = step["state"]
                    came.set()

    async def begun(name: str) -> None:
        async with asyncio.timeout(REPAIRED):
            while seen.get(name, "waiting") == "waiting":
                came.clear()
                await came.wait()

    listening = asyncio.Event()
    task = asyncio.create_task(listen())
    await asyncio.wait_for(listening.wait(), 20)
    try:
        yield begun
    finally:
        task.cancel()
        await asyncio.wait([task])


async def asked(ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
    """The answer, or None when the one who was asked went away over it."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        return await ask()
    return None


async def acknowledged(ask: Callable[[], Awaitable[Answer]], first: Answer | None) -> Answer:
    """The first answer if it was a yes; else that of whoever presses again until it is one."""

    async def yes() -> Answer | None:
        answer = await asked(ask)
        return answer if answer is not None and _taken(answer) else None

    return first if first is not None and _taken(first) else await until(yes, REPAIRED, "it is taken")


def _taken(answer: Answer) -> bool:
    """A yes. That its node is gone just now is told at once, too, with the reason: people press again."""
    return answer.status == 202 and "PROBLEM" not in (answer.json.get("state"), answer.json.get("phase"))


async def struck(
    fault: Fault, ask: Callable[[], Awaitable[Answer]], begun: Callable[[str], Awaitable[None]], phase: str
) -> Answer:
    """Ask; the fault comes in that phase, and goes. The answer that counts."""
    asking = asyncio.create_task(asked(ask))
    if phase == "asked":
        await asyncio.sleep(0)  # it is sent
    else:
        await begun(phase)
    fault.strike()
    await fault.mend()
    return await acknowledged(ask, await asking)


# ── signing in ──────────────────────────────────────────────────────────────────────────────────────


class Browser:
    """Somebody who signs in and opens an app's address at the gateway."""

    def __init__(self, site: Apart, name: str, http: aiohttp.ClientSession) -> None:
        self.site, self.name, self.http = site, name, http

    async def signs_in(self) -> bool:
        """The form. Whether the server says yes."""
        form = {"name": self.name, "password": PASSWORD}
        headers = {"Origin": self.site.server, "Accept": "text/html"}
        url = f"{self.site.server}/login"
        async with self.http.post(url, data=form, headers=headers, allow_redirects=False) as answer:
            return answer.status == 303

    async def knows_me(self) -> bool:
        """Whether the server knows this browser as signed in."""
        async with self.http.get(f"{self.site.server}/api/v1/me") as answer:
            return answer.status == 200 and (await answer.json())["name"] == self.name

    async def gets(self, url: str) -> str:
        """Where that address leads next; empty when it leads nowhere."""
        async with self.http.get(url, headers={"Accept": "text/html"}, allow_redirects=False) as answer:
            return str(answer.headers.get("Location", ""))

    async def enters(self) -> bool:
        """Whether the whole way leads to the gateway's page of a project, where one is let in or told no: known, in any case."""
        url = f"{self.site.gateway}/{self.name}/nothing/jupyter/"
        async with self.http.get(url, headers={"Accept": "text/html"}) as answer:
            return answer.status in (200, 404) and str(answer.url).startswith(self.site.gateway)


@pytest.mark.parametrize("phase", LOGIN)
async def test_somebody_signs_in(site: Apart, ida: str, fault: Fault, phase: str) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        browser = Browser(site, ida, http)
        yes = False
        if phase == LOGIN[0]:
            signing = asyncio.create_task(browser.signs_in())
            await asyncio.sleep(0.03)  # the form is there; Argon2id takes longer
            fault.strike()
            await fault.mend()
            with contextlib.suppress(*BROKEN):
                yes = await signing
        else:
            yes = await browser.signs_in()
            assert yes
            ticket = await browser.gets(await browser.gets(f"{site.gateway}/{ida}/nothing/jupyter/"))
            assert "ticket=" in ticket
            entering = asyncio.create_task(browser.gets(ticket))
            await asyncio.sleep(0)
            fault.strike()
            await fault.mend()
            await asyncio.wait([entering])
            entering.exception()  # it may have been cut off: the next way in is asked for anew

        async def well() -> bool:
            with contextlib.suppress(*BROKEN):
                return (yes or await browser.signs_in()) and await browser.knows_me() and await browser.enters()
            return False

        await until(well, REPAIRED, "who was told yes is in, and others sign in anew")
        fault.told(f"sign-in: {phase}")


# ── starts ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("phase", STEPS)
async def test_a_project_starts(site: Apart, ida: str, fault: Fault, phase: str) -> None:
    number = next(_numbers)
    owner = site.add(f"p{number}") if phase == "account" else ida
    async with site.client(owner) as client:
        slug = await project_of(client, owner, f"phase-{number}")
        async with steps_of(client, slug) as begun:
            await struck(fault, lambda: client.post(f"/api/v1/projects/{slug}/start"), begun, phase)

        async def runs() -> bool:
            with contextlib.suppress(*BROKEN):
                found = (await client.get(f"/api/v1/projects/{slug}")).json
                if found["state"] == "PROBLEM":
                    pytest.fail(f"it was taken, and came to nothing: {found['reason']}")
                return bool(found["state"] == "RUNNING")
            return False

        await until(runs, REPAIRED, "it runs, by itself")
        fault.told(f"project's start: {phase}")
        assert (await client.post(f"/api/v1/projects/{slug}/stop")).status == 202


@pytest.mark.parametrize("phase", APP)
async def test_a_session_starts(site: Apart, ida: str, fault: Fault, phase: str) -> None:
    async with site.client(ida) as client, aiohttp.ClientSession() as http:
        slug = f"{ida}/sessions"
        if (await client.get(f"/api/v1/projects/{slug}")).status == 404:
            await project_of(client, ida, "sessions")
        async with steps_of(client, slug) as begun:
            answer = await struck(
                fault, lambda: client.post(f"/api/v1/projects/{slug}/sessions", {"app": "jupyterlab"}), begun, phase
            )
        session = answer.json

        async def computes() -> bool:
            with contextlib.suppress(*BROKEN):
                found = (await client.get(f"/api/v1/sessions/{session['id']}")).json
                if found["phase"] in ("PROBLEM", "LOST", "STOPPED"):
                    pytest.fail(f"{found['phase']}: {found['reason']}")
                if found["phase"] == "RUNNING":
                    kernel = await Kernel.start(http, found["url"], bearer(site, ida))
                    return await kernel.run("print(6 * 7)", 10) == "42\n"
            return False

        await until(computes, REPAIRED, "somebody computes, with nothing more pressed")
        fault.told(f"session's start: {phase}")
        assert len(copies(site, session["id"])) == 1, "it runs twice"
        await client.ask("DELETE", f"/api/v1/sessions/{session['id']}")
        await until(lambda: _gone(site, session["id"]), REPAIRED, "what it had started has ended")


async def _gone(site: Apart, session: str) -> bool:
    return not copies(site, session)
