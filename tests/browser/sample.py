"""Sample data for pictures: a small installation as it looks after some weeks, on a real server with a stand-in node."""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aen.faults import describe
from aen.model import now
from aen.model.project import Visibility
from aen.model.report import Day
from aen.model.session import Phase, Step, StepState
from aen.roles.server.account.accounts import NewUser, UserPatch
from aen.roles.server.node.loads import Loads, Point
from aen.roles.server.permissions import Actor
from aen.roles.server.project.projects import NewProject, ProjectPatch
from tests.browser.shown import answering, content
from tests.fakenode import FakeNode
from tests.served import PASSWORD, ROOT, Served, served
from tests.waiting import until

DESCRIPTION = """Variant calling for the 2026 cohort: **GRCh38**, 412 samples.

## How to run it
1. Open *JupyterLab*, choose the kernel `default`.
2. Run `01-prepare.ipynb`, then `02-call.ipynb`.

| folder | holds |
|---|---|
| `data/` | links to the sequencer's share |
| `public/` | figures for the paper |

> Raw data never leave this machine.
"""
SCRATCH = "Small things that are tried once"
PEOPLE = (
    ("alice", "Alice Karlsson", "Institute of Genetics", "Uppsala"),
    ("bob", "Bob Okafor", "Institute of Genetics", "Uppsala"),
    ("carol", "Carol Lindqvist", "Statistics", "Lund"),
    ("dmitri", "Dmitri Volkov", "", "Remote"),
    ("eve", "Eve Tanaka", "Visitors", ""),
)


@dataclass
class Sample:
    """The running installation."""

    server: Served
    node: FakeNode
    starting: str = ""  # session id of a start that is under way


@contextlib.asynccontextmanager
async def sample(folder: Path) -> AsyncIterator[Sample]:
    """The installation, with `alice` as its administrator."""
    async with (
        served(folder) as server,
        FakeNode(server.role.context.bus) as node,
        answering(server.role.context.bus, node.name),
    ):
        made = Sample(server, node)
        await _people(server)
        await _projects(made)
        await _administration(server)
        await content(server, await server.domain.projects.get(await server.actor("alice"), "alice", "genome"))
        yield made


@contextlib.asynccontextmanager
async def quiet_sample(folder: Path) -> AsyncIterator[Sample]:
    """The same without trouble and announcements: what README.md shows."""
    async with served(folder) as server, FakeNode(server.role.context.bus) as node:
        made = Sample(server, node)
        await _people(server)
        await _projects(made, troubled=False)
        alice = await server.actor("alice")
        await server.domain.team.remove(alice, "alice", "genome", "dmitri")  # all of it fits into the picture
        await server.domain.projects.update(alice, "alice", "scratch", ProjectPatch(summary=SCRATCH))
        yield made


async def _administration(server: Served) -> None:
    """Some weeks of figures, a fault, an announcement: what an installation has that is in use."""
    domain = server.domain
    today = datetime.datetime.now(datetime.UTC).date()
    for back in range(1, 31):
        busy = 3 if (today - datetime.timedelta(days=back)).weekday() > 4 else 14
        acts = {
            "login/succeeded": busy * 3 + back % 5,
            "session/opened": busy * 2 + back % 7,
            "project/created": back % 4,
        }
        day = Day(id=str(today - datetime.timedelta(days=back)), acts=acts, complete=True, session_hours=busy * 4.5)
        await domain.store.insert("days", day.model_dump(mode="json"))
    points = [
        Point(
            at=now() - 300_000 * step,
            load=0.3 + 0.25 * math.sin(step / 20),
            memory=0.5 + step / 1200,
            disk=0.61,
            sessions=step % 9,
        )
        for step in range(288, -1, -1)
    ]
    await domain.store.insert("loads", Loads(id="n1", fine=points, coarse=points[::12]).model_dump(mode="json"))
    try:
        raise ValueError("could not read the answer: password=hunter2")
    except ValueError as error:
        for number in range(3):
            fault = describe(error, "request failed by a fault", f"a1b2c3d4e5f{number}")
            await domain.faults.take(fault.model_copy(update={"node": "n1"}))
    told = {
        "text": "Maintenance on Friday at 18:00: sessions go on, pages are away for some minutes.",
        "level": "info",
        "until": 0,
    }
    await domain.settings.set(ROOT, "announcement", told)


async def _people(server: Served) -> None:
    for name, full_name, company, location in PEOPLE:
        new = NewUser(
            name=name,
            full_name=full_name,
            company=company,
            location=location,
            email=f"{name}@example.org",
            password=PASSWORD,
            admin=name == "alice",
            staff=name == "carol",
        )
        await server.domain.accounts.create(ROOT, new)
    await server.domain.accounts.update(ROOT, "alice", UserPatch(url="https://example.org/alice"))
    await server.domain.accounts.lock(ROOT, "eve")
    for number in range(60):
        await server.domain.accounts.create(ROOT, NewUser(name=f"student{number:02}", full_name=f"Student {number}"))


async def _projects(made: Sample, *, troubled: bool = True) -> None:
    domain = made.server.domain
    alice, bob = await made.server.actor("alice"), await made.server.actor("bob")
    tags = ["genomics", "cohort-2026", "grch38"]
    text = "Variant calling for the 2026 cohort"
    await domain.projects.create(alice, NewProject(name="genome", summary=text, description=DESCRIPTION, tags=tags))
    for user, role in (("bob", "maintainer"), ("carol", "member"), ("dmitri", "viewer")):
        await domain.team.set(alice, "alice", "genome", user, role)
    await domain.projects.star(bob, "alice", "genome", True)
    await domain.projects.star(alice, "alice", "genome", True)
    public = NewProject(name="climate-atlas", summary="Maps for everybody", visibility=Visibility.PUBLIC, tags=["maps"])
    await domain.projects.create(alice, public)
    await domain.projects.create(alice, NewProject(name="scratch"))
    await domain.projects.create(bob, NewProject(name="microscopy", summary="Cell counting", tags=["imaging"]))
    await domain.team.set(bob, "bob", "microscopy", "alice", "member")
    await _running(made, alice, bob)
    if troubled:
        await _troubled(made, alice)


async def _running(made: Sample, alice: Actor, bob: Actor) -> None:
    domain = made.server.domain
    for actor in (alice, bob):
        session = await domain.sessions.open(actor, "alice", "genome", "jupyterlab")
        await _phase(made, actor, session.id, Phase.RUNNING)
        report = made.node.sessions[session.id]
        made.node.sessions[session.id] = report.model_copy(
            update={"activity": now() - 120_000, "activity_source": "1 kernel busy" if actor is alice else "terminal"}
        )
    made.node.hold = True
    session = await domain.sessions.open(alice, "bob", "microscopy", "jupyterlab")
    made.starting = session.id

    async def asked() -> bool:
        return session.id in made.node.sessions

    await until(asked, 20, "the node is asked to start")
    await made.node._set(session.id, phase=Phase.STARTING, steps=half_way())
    made.node.hold = False


async def _troubled(made: Sample, alice: Actor) -> None:
    made.node.fail_at = "environment"
    session = await made.server.domain.sessions.open(alice, "alice", "scratch", "jupyterlab")
    await _phase(made, alice, session.id, Phase.PROBLEM)
    made.node.fail_at = ""


async def _phase(made: Sample, actor: Actor, id: str, phase: Phase) -> None:
    async def there() -> bool:
        return (await made.server.domain.sessions.get(actor, id)).phase is phase

    await until(there, 20, f"the session is {phase}")


def half_way() -> list[Step]:
    """The steps of a start that is making its environment."""
    return [
        Step(name="account", state=StepState.SKIPPED),
        Step(name="directory", state=StepState.DONE, seconds=0.3),
        Step(name="environment", state=StepState.RUNNING, detail="cloning the root environment: 6,120 of 11,304 files"),
        Step(name="permissions"),
        Step(name="app"),
    ]
