"""A machine's clock is set an hour on or back while somebody computes: nothing is given up for it, ended, or done twice."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.apart import Apart
from tests.clocks import Clock, why_not
from tests.faults.use import Table, Use, in_use
from tests.integration.test_main_job import opened, project_of
from tests.program import Program
from tests.served import PASSWORD
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

HOUR = 3600.0
TABLE = Table(("whose clock", "is set", "the session meanwhile", "all well again after"))


class Clocked(Apart):
    """Each role on a machine with a clock of its own."""

    def make_programs(self) -> dict[str, Program]:
        """See World."""
        made = super().make_programs()
        self.clocks = {role: Clock(self.folder, role) for role in made}
        for role, program in made.items():
            program.environ = program.environ | self.clocks[role].environ
        return made


@pytest.fixture(scope="module")
def site() -> Iterator[Clocked]:
    with Clocked() as made:
        yield made
    TABLE.show()


@pytest.fixture
async def use(site: Clocked) -> AsyncIterator[Use]:
    async with in_use(site) as made:
        yield made


async def enters(site: Clocked, name: str, url: str) -> bool:
    """Whether somebody who signs in by the form now is let in at the gateway, to that address."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        form = {"name": name, "password": PASSWORD}
        headers = {"Origin": site.server, "Accept": "text/html"}
        async with http.post(f"{site.server}/login", data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
        async with http.get(f"{url}api/status", headers={"Accept": "text/html"}) as answer:
            return answer.status == 200 and "started" in await answer.text()


async def reads(ops: str, ahead: float) -> bool:
    """Whether the program's own clock is so many seconds ahead of ours."""
    async with aiohttp.ClientSession() as http, http.get(f"{ops}/-/live") as answer:
        told = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        return abs(told - time.time() - ahead) < HOUR / 2


async def watch(use: Use, phases: set[str]) -> None:
    """What the server says of the session, again and again."""
    while True:
        phases.add((await use.client.get(f"/api/v1/sessions/{use.session['id']}")).json["phase"])
        await asyncio.sleep(0.05)  # between two looks


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("whose", ["server", "gateway", "compute", "everybody"])
async def test_a_clock_is_set(use: Use, whose: str, hours: int) -> None:
    """Set, then put right again: two jumps."""
    site = use.site
    assert isinstance(site, Clocked)
    phases: set[str] = set()
    watching = asyncio.create_task(watch(use, phases))
    clocks = {role: clock for role, clock in site.clocks.items() if whose in (role, "everybody")}
    name, count = use.session["project"].partition("/")[0], len(TABLE.rows)
    for ahead, how in ((hours * HOUR, f"{hours:+d} h"), (0.0, "right again")):
        for role, clock in clocks.items():
            clock.set(ahead)
            await until(lambda: reads(site.programs[role].ops, ahead), 20, f"the clock of {role} is set")  # noqa: B023
        assert await use.computes(), "who computes notices nothing"
        seconds = await use.until_well(f"the clock of {whose} was set {how}")
        TABLE.add(whose, how, "computes", f"{seconds:.1f} s")
        # New things begin as ever: a sign-in that leads to the app, a project with a session of its own.
        await until(lambda: enters(site, name, use.session["url"]), 20, "who signs in now is let in")
        slug = await project_of(use.client, name, f"clock-{count}-{'set' if ahead else 'right'}")
        fresh = await opened(use.client, slug, "workbench")
        await use.client.ask("DELETE", f"/api/v1/sessions/{fresh['id']}")
    watching.cancel()
    await asyncio.wait([watching])
    assert phases == {"RUNNING"}, "it was given up meanwhile"
