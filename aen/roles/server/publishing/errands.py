"""Errands: what nodes do in projects as one of their people: asked for, begun, followed. Who may is checked by who asks here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from pydantic import ValidationError

from aen import names
from aen.errors import Conflict, Denied, NotFound, TimedOut, Unavailable
from aen.messages import AskErrand, ErrandAnswer, ErrandReported, ReadErrand, StartErrand, StopErrand
from aen.model import Document, Word, new_id
from aen.model.errand import ErrandReport
from aen.model.project import Project
from aen.model.user import User
from aen.roles.server.background import held
from aen.roles.server.changes import put
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

W = TypeVar("W", bound=Word)
Listener = Callable[[str, ErrandReport], Awaitable[None]]
_SLACK = 15.0  # seconds that an answer may take longer than the errand


class LastErrand(Document):
    """The errand of a kind that somebody began last in a project: `<project>:<user>:<kind>`."""

    errand: str
    node: str
    project: str = ""


class Errands(Part):
    """The errands. Results are what a person's own process said: they are read as data, by a model."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._listeners: list[Listener] = []

    async def begin(self, service: Service) -> None:
        """See Part."""
        await service.enter(held(self.bus.subscribe(ErrandReported, self._reported)))

    def listen(self, listener: Listener) -> None:
        """`listener(node, report)` hears of every errand."""
        self._listeners.append(listener)

    async def ask(
        self, project: Project, user: User, verb: str, kind: type[W], told: dict[str, Any], seconds: float = 30.0
    ) -> W:
        """Done now, as that person. Raises Conflict with the reason, Unavailable, TimedOut."""
        command = AskErrand(
            project=self.domain.projects.spec(project), user=user.id, verb=verb, told=told, seconds=seconds
        )
        answer: ErrandAnswer = await self.bus.request(_address(project), command, seconds + _SLACK)
        return read(kind, answer.result)

    async def start(
        self,
        project: Project,
        user: str,
        verb: str,
        told: dict[str, Any],
        *,
        key: str,
        id: str = "",
        seconds: float = 3600.0,
    ) -> ErrandReport:
        """Begin one, or hear how that of `id` is doing. Raises TooMany, Unavailable, TimedOut."""
        command = StartErrand(
            errand=id or new_id(),
            key=key,
            project=self.domain.projects.spec(project),
            user=user,
            verb=verb,
            told=told,
            seconds=seconds,
        )
        report: ErrandReport = await self.bus.request(_address(project), command, 20.0)
        return report

    async def read(self, node: str, id: str) -> ErrandReport:
        """How it is doing. NotFound: the node knows nothing of it."""
        report: ErrandReport = await self.bus.request(names.address("compute", node), ReadErrand(errand=id), 5.0)
        return report

    async def stop(self, node: str, id: str, reason: str) -> None:
        """End it, if the node knows it and can be heard."""
        await self.bus.request(names.address("compute", node), StopErrand(errand=id, reason=reason), 15.0)

    async def begin_last(
        self, project: Project, user: User, kind: str, verb: str, told: dict[str, Any], seconds: float = 3600.0
    ) -> ErrandReport:
        """Begin one that `last` finds again: one of a kind at a time for a person in a project. Conflict."""
        last = await self.last(project, user.id, kind)
        if last is not None and last.state == "running":
            raise Conflict("Something of yours is still under way here: wait until it is done.", retry_after=5)
        report = await self.start(project, user.id, verb, told, key=kind, seconds=seconds)
        document = LastErrand(id=_last(project, user.id, kind), errand=report.id, node=project.node, project=project.id)
        await put(self.store, "errands", document)
        return report

    async def last(self, project: Project, user: str, kind: str) -> ErrandReport | None:
        """What that person began last here; None when there is nothing, or nobody knows any more."""
        doc = await self.store.get("errands", _last(project, user, kind))
        if doc is None:
            return None
        try:
            return await self.read(doc["node"], doc["errand"])
        except (NotFound, Unavailable, TimedOut):
            return None

    async def _reported(self, event: ErrandReported) -> None:
        report = event.errand
        said = {"verb": report.verb, "state": report.state}
        self.domain.events.publish(f"project:{report.project}", "job", said)
        for listener in self._listeners:
            await listener(event.node, report)


def person(actor: Actor) -> User:
    """Who does it: a person. Denied for the machine's administrator."""
    if actor.user is None:
        raise Denied("This is done as a person, with their account: sign in as one.")
    return actor.user


def check_placed(project: Project) -> None:
    """Conflict while no node has the project."""
    if not project.placed:
        raise Conflict(f"{project.slug} was never started: its files are made at the first start. Start it once.")


def read(kind: type[W], result: dict[str, Any]) -> W:
    """A result as a word. Raises Unavailable."""
    try:
        return kind.model_validate(result)
    except ValidationError as error:
        raise Unavailable("What the project's node answered can't be read. Try it again.") from error


def _address(project: Project) -> str:
    check_placed(project)
    return names.address("compute", project.node)


def _last(project: Project, user: str, kind: str) -> str:
    return f"{project.id}:{user}:{kind}"
