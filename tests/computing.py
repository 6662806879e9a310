"""A compute role of its own for tests: in this process, with the real launcher and real accounts, over the local bus."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp

from aen import names
from aen.bus.local import LocalBus
from aen.config import Config
from aen.config.files import packaged
from aen.launchers.process import ProcessLauncher
from aen.messages import NodeReported, ProjectReported, ProjectSpec, SessionReport, SessionReported, StartSession
from aen.model.project import Member, Role
from aen.model.session import LIVE, Phase
from aen.privileges import spawn_launcher
from aen.roles import Context
from aen.roles.compute import Compute
from tests.launching import Place
from tests.waiting import until
from tests.world import ROOT

NODE = "n1"
OWNER, MATE = "aentowner", "aentmate"


class Box:
    """One running compute role, what it published, and how to ask it."""

    def __init__(self, place: Place, bus: LocalBus, launcher: ProcessLauncher, role: Compute) -> None:
        self.place, self.bus, self.launcher, self.role = place, bus, launcher, role
        self.sessions: list[SessionReport] = []
        self.projects: list[ProjectReported] = []
        self.beats: list[NodeReported] = []

    async def ask(self, command: object, timeout: float = 60) -> object:
        """Its answer."""
        return await self.bus.request(names.address("compute", NODE), command, timeout)  # type: ignore[arg-type]

    async def reported(self, session: str, *phases: Phase, generation: int = 1) -> SessionReport:
        """The first report of it in one of these phases. Fails at once when it ends otherwise."""

        async def look() -> SessionReport | None:
            mine = [one for one in self.sessions if one.session == session and one.generation == generation]
            found = next((one for one in mine if one.phase in phases), None)
            over = [one for one in mine if one.phase not in LIVE]
            assert found or not over, f"{over[-1].reason}\n{over[-1].log_tail}"
            return found

        return await until(look, 120, f"{session} is {' or '.join(phases)}")

    async def started(self, command: StartSession) -> SessionReport:
        """Start a session and wait until it runs."""
        await self.ask(command)
        return await self.reported(command.session, Phase.RUNNING, generation=command.generation)

    async def ready(self) -> None:
        """Wait until the root environments are there."""

        async def look() -> bool:
            return self.role.roots.ready

        await until(look, 300, "the root environments are built")

    async def heard_session(self, event: SessionReported) -> None:
        self.sessions.append(event.report)

    async def heard_project(self, event: ProjectReported) -> None:
        self.projects.append(event)

    async def heard_beat(self, event: NodeReported) -> None:
        self.beats.append(event)


def configuration(
    place: Place,
    apps: dict[str, object] | None = None,
    environments: dict[str, object] | None = None,
    **compute: object,
) -> Config:
    """The configuration that belongs to a place. With `environments` of their own, root environments are the place's."""
    options = {"name": NODE, "project_root": place.policy.project_root, "skeleton": skeleton(), "starts": 2}
    return Config.model_validate(
        {
            "data_dir": place.top / "data",
            "run_dir": place.policy.run_dir,
            "envs_dir": place.envs if environments else envs(),
            "environments": environments or {},
            "accounts": {"mode": place.policy.mode},
            "server": {"url": "http://site.example:8080"},
            "compute": options | compute,
            "apps": apps or {},
        }
    )


def envs() -> Path:
    """Root environments for all tests that run a compute role in their own process."""
    base = ROOT / ".dev"
    base.mkdir(exist_ok=True)
    return base / f"envs-{os.geteuid()}"


def skeleton() -> Path:
    """The one that comes with AEN."""
    return packaged("config") / "skeletons" / "default"


@asynccontextmanager
async def box(
    place: Place,
    apps: dict[str, object] | None = None,
    environments: dict[str, object] | None = None,
    **compute: object,
) -> AsyncIterator[Box]:
    """A compute role in this place. Leaving it ends the role, never the apps."""
    config = configuration(place, apps, environments, **compute)
    config.data_dir.mkdir(exist_ok=True)
    policy = replace(place.policy, envs_dir=str(config.envs_dir), skeletons=(str(config.compute.skeleton),))
    handle = spawn_launcher(policy)
    async with LocalBus() as bus, ProcessLauncher(handle) as launcher:
        role = Compute(Context(config, ("compute",), bus, launcher))
        made = Box(place, bus, launcher, role)
        bus.subscribe(SessionReported, made.heard_session)
        bus.subscribe(ProjectReported, made.heard_project)
        bus.subscribe(NodeReported, made.heard_beat)
        await role.start()
        try:
            yield made
        finally:
            await role.stop()


def project(name: str = "genome", mates: bool = True) -> ProjectSpec:
    """A project of `aentowner`, with `aentmate` in its team."""
    team = [Member(user=OWNER, role=Role.OWNER)]
    if mates:
        team.append(Member(user=MATE))
    return ProjectSpec(id=f"id-{name}", owner=OWNER, name=name, team=team)


def start(user: str = OWNER, name: str = "genome", generation: int = 1, server: str = "jupyter") -> StartSession:
    """The command that starts a session of a person."""
    return StartSession(
        session=names.session_id(f"id-{name}", user, server),
        generation=generation,
        project=project(name),
        user=user,
        app="jupyterlab" if server == "jupyter" else server,
        app_server=server,
    )


@asynccontextmanager
async def through(report: SessionReport) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client on the app's socket."""
    connector = aiohttp.UnixConnector(report.upstream.removeprefix("unix:"))
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield http
        await asyncio.sleep(0)


def base(name: str = "genome", server: str = "jupyter") -> str:
    """The address of an app server, for `through`."""
    return f"http://localhost/{OWNER}/{name}/{server}/"


def headers(report: SessionReport, user: str = OWNER, **more: str) -> dict[str, str]:
    """What the gateway says, with the right secret."""
    return {"X-AEN-User": user, "X-AEN-App-Token": report.secret, **more}


TOKEN = {"X-AEN-Auth": "token"}  # a login by API token: Jupyter asks for no XSRF cookie then
