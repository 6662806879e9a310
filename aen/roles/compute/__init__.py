"""Compute: holds projects and runs apps. Answers at `compute.<node>`, tells how it is doing every 2 s."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from aen import __version__, apps, names, plugins
from aen.bus import Subscription
from aen.contents import USER_SIDE as CONTENTS_SIDE
from aen.credentials import Credentials
from aen.environments import USER_SIDE as ENVIRONMENTS_SIDE
from aen.errands import USER_SIDE as ERRANDS_SIDE
from aen.errors import AenError, Invalid, Unavailable
from aen.languages import size
from aen.messages import (
    ApplyPermissions,
    AskErrand,
    ChangeEnvironment,
    CheckPermissions,
    DeleteProject,
    Done,
    KeepAccount,
    KeepSession,
    ListEnvironments,
    MeasureProject,
    NodeReported,
    PathRightsOf,
    PrepareProject,
    ReadEnvironment,
    ReadErrand,
    ReadSessionLog,
    RenameProject,
    SessionReport,
    StartErrand,
    StartSession,
    StopEnvironmentChange,
    StopErrand,
    StopSession,
)
from aen.model import now
from aen.model.errand import ErrandReport
from aen.roles import Context, Role
from aen.roles.compute.accounts import Accounts
from aen.roles.compute.activity import Activity
from aen.roles.compute.contents import Contents
from aen.roles.compute.endpoint import Endpoint
from aen.roles.compute.environments import Environments
from aen.roles.compute.errands import Errands
from aen.roles.compute.launching import Launching
from aen.roles.compute.lease import NodeLease
from aen.roles.compute.load import read_load
from aen.roles.compute.projects import Projects
from aen.roles.compute.records import Records
from aen.roles.compute.roots import Roots
from aen.roles.compute.sessions import Sessions
from aen.roles.compute.usage import Usage
from aen.roles.trust import Trust

log = structlog.get_logger(__name__)

BEAT_SECONDS = 2.0
_LEAST_DISK = 200 << 20  # bytes free below the project root; with less no app starts


class Compute(Role):
    """The compute role of this node."""

    name = "compute"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        config = context.config
        if context.launcher is None:
            raise Unavailable("A compute node needs a launcher, and this node has none.")
        self.launcher = context.launcher
        self.node = names.node(config.compute.name)
        backend = plugins.load("aen.environments", config.environments.backend)
        self.roots = Roots(
            backend(config, {"apps": [*apps.user_sides(), ENVIRONMENTS_SIDE, CONTENTS_SIDE, ERRANDS_SIDE]})
        )
        self.projects = Projects(config, self.node, context.bus, self.launcher, self.roots)
        launching = Launching(config, self.launcher, self.roots, Records(config.data_dir))
        self.sessions = Sessions(config, self.node, context.bus, self.launcher, self.projects, launching)
        self.sessions.servers = apps.servers(config)
        self.environments = Environments(config, self.node, context.bus, self.launcher, self.projects, self.roots)
        self.contents = Contents(config, self.launcher, self.projects, self.roots)
        self.errands = Errands(config, self.node, context.bus, self.launcher, self.projects, self.roots)
        self.accounts = Accounts(self.node, self.launcher)
        self.usage = Usage(config, self.launcher, self.sessions)
        self.activity = Activity(config, self.launcher, self.sessions, launching, self.usage, self.projects.rooms)
        seconds = config.compute.lease_seconds if config.compute.storage and config.bus.mode != "local" else 0.0
        self.lease = NodeLease(self.node, seconds, context.bus, self.launcher, self.sessions)
        self.endpoint: Endpoint | None = None
        self._started = now()
        self._draining = False
        self._subscriptions: list[Subscription] = []

    async def open(self) -> None:
        """Find the sessions again, answer, and begin to build what is missing."""
        self._stack.push_async_callback(self._leave)
        credentials = Credentials.load(self.context.config.data_dir)
        if credentials is not None and "gateway" not in self.context.roles:
            self.endpoint = self._endpoint(credentials)
        await self.sessions.adopt()
        await self.environments.adopt()
        await self.errands.adopt()
        address, respond = names.address("compute", self.node), self.context.bus.respond
        self._subscriptions = [
            respond(address, StartSession, self._start),
            respond(address, StopSession, self.sessions.stop),
            respond(address, KeepAccount, self.accounts.keep),
            respond(address, KeepSession, self.activity.keep),
            respond(address, ReadSessionLog, self.sessions.read_log),
            *self._about_projects(),
            respond(address, ListEnvironments, self.environments.list),
            respond(address, ReadEnvironment, self.environments.read),
            respond(address, ChangeEnvironment, self.environments.change),
            respond(address, StopEnvironmentChange, self.environments.stop),
            respond(address, AskErrand, self.errands.ask),
            respond(address, StartErrand, self._start_errand),
            respond(address, ReadErrand, self.errands.read),
            respond(address, StopErrand, self.errands.stop),
            *self.contents.answers(self.context.bus, address),
        ]
        if self.endpoint is not None:
            await self.enter(self.endpoint)
            self.spawn(_failing(self.endpoint), "endpoint")
        self.spawn(self.roots.ensure_for_life(), "environments")
        self.spawn(self._beat_for_life(), "heartbeat")
        if self.lease.seconds:
            self.spawn(self.lease.keep_for_life(), "lease")
        self.spawn(self.activity.ask_for_life(), "activity")
        self.spawn(self.usage.measure_for_life(), "usage")

    def _about_projects(self) -> list[Subscription]:
        address, respond = names.address("compute", self.node), self.context.bus.respond
        return [
            respond(address, PrepareProject, self.projects.prepare),
            respond(address, ApplyPermissions, self.projects.apply),
            respond(address, CheckPermissions, self.projects.check),
            respond(address, PathRightsOf, self.projects.rights),
            respond(address, MeasureProject, self.projects.measure),
            respond(address, RenameProject, self._rename),
            respond(address, DeleteProject, self._delete),
        ]

    def _endpoint(self, credentials: Credentials) -> Endpoint:
        """For gateways on other hosts. What it listens on was bound as root."""
        bound, options = self.context.listeners.get("compute"), self.context.config.compute
        if bound is None:
            raise Invalid("compute.listen: nothing is bound for the gateway of this data center.")
        self.sessions.address = f"node:{options.address}"
        return Endpoint(bound, Trust(credentials), self.sessions.find, options.connections)

    async def drain(self) -> None:
        """Start nothing new. Apps go on: the next AEN finds them."""
        self._draining = True
        if self.endpoint is not None:
            self.endpoint.draining = True

    def health(self) -> dict[str, Any]:
        """Whether apps can start, and how many run."""
        found = super().health()
        if not self.roots.ready:
            found["status"] = "degraded"
        if self.endpoint is not None:
            found["endpoint"] = self.endpoint.health()
        return found | {
            "node": self.node,
            "environments": "ready" if self.roots.ready else self.roots.message,
            "sessions": len(self.sessions.running()),
        }

    # ── commands ────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, command: StartSession) -> SessionReport:
        if self._draining:
            raise Unavailable("This node is being stopped. Try again in a moment.", retry_after=5)
        self.lease.need()
        free = read_load(self.context.config.compute.project_root).disk_free
        if free < _LEAST_DISK:
            raise Unavailable(
                f"The disk of the projects on {self.node} is full ({size(free)} free): remove what is not needed."
            )
        self.projects.work(self.accounts.install_keys(command), f"keys {command.user}")
        return await self.sessions.start(command)

    async def _start_errand(self, command: StartErrand) -> ErrandReport:
        if self._draining:
            raise Unavailable("This node is being stopped. Try again in a moment.", retry_after=5)
        return await self.errands.start(command)

    async def _rename(self, command: RenameProject) -> Done:
        self.environments.check_idle(command.project.id)
        await self.errands.stop_project(command.project.id, "The project was renamed.")
        await self.sessions.stop_project(command.project.id, "the project was renamed")
        return await self.projects.rename(command)

    async def _delete(self, command: DeleteProject) -> Done:
        await self.errands.stop_project(command.project.id, "The project was deleted.")
        await self.sessions.stop_project(command.project.id, "the project was deleted")
        self.environments.forget(command.project.id)
        self.contents.forget(command.project.id)
        return await self.projects.delete(command)

    # ── heartbeat ───────────────────────────────────────────────────────────────────────────────────

    async def _beat_for_life(self) -> None:
        while True:
            try:
                await self.beat()
            except AenError as error:
                log.warning("heartbeat not sent", reason=error.message)
            await asyncio.sleep(BEAT_SECONDS)

    async def beat(self) -> None:
        """Tell everybody who this is, how busy, and which sessions it really has."""
        config = self.context.config
        event = NodeReported(
            node=self.node,
            datacenter=config.gateway.datacenter,
            roles=list(self.context.roles),
            version=__version__,
            load=read_load(config.compute.project_root),
            isolated=self.launcher.isolated,
            ready=self.roots.ready and not self._draining,
            message=self.roots.message,
            progress=self.roots.progress,
            sessions=self.sessions.reports(),
            started=self._started,
            storage=config.compute.storage,
            project_root=str(config.compute.project_root),
            gateway_url=config.gateway.url if "gateway" in self.context.roles else "",
        )
        await self.context.bus.publish(event)

    async def _leave(self) -> None:
        """Hear no more, and let go of everything under way: nothing that runs is ended."""
        for subscription in self._subscriptions:
            subscription.cancel()
        tasks = list(self.projects.open_work)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _failing(service: Endpoint) -> None:
    """Fail as `service` fails: it is a part of us."""
    raise await asyncio.shield(service.failed)
