"""Notices: what people are told of by mail, as they chose: an idle session, a new project of theirs, work that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from aen.errors import AenError
from aen.languages import N_
from aen.model.activity import Activity
from aen.model.job import Job
from aen.model.mail import NOTICES, Notice
from aen.model.session import Phase, Session
from aen.model.user import User
from aen.roles.server.background import Background
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor
from aen.service import Service
from aen.web.filters import when

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
_MOST_AT_ONCE = 1000


class Notices(Part):
    """Who is told what. It hears what happens and never holds it up: a letter that can't be written is only logged."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.background = Background()
        self._number = 0

    async def begin(self, service: Service) -> None:
        """Hear of acts and jobs, if mail is set up."""
        if not self.domain.mail.on:
            return
        await service.enter(self.background)
        self.domain.activity.listeners.append(self._acted)
        self.domain.jobs.listeners.append(self._job)

    async def choose(self, actor: Actor, wanted: set[Notice]) -> User:
        """Be told of these by mail and of no others: one's own choice."""
        self.domain.accounts.check_self(actor, actor.name)

        def edit(user: User) -> None:
            user.mail_off = sorted(str(notice) for notice in NOTICES if notice not in wanted)

        return await self.domain.accounts.change_user(actor.name, edit)

    def session_changed(self, before: Session, session: Session) -> None:
        """A session was reported differently: its person hears when it is near its end for want of use, or has met it."""
        if not self.domain.mail.on or session.user in ("", "*"):
            return
        where = f"/{session.owner}/{session.name}"
        if session.stops_soon and not before.stops_soon:
            lines = [
                N_("Nobody has used your session of {project} for a while: it is stopped at {time} unless it is used."),
                N_("Variables in memory are lost then; files stay. On the project's page you can keep it."),
            ]
            self._soon(
                session.user,
                Notice.SESSION,
                N_("{project}: your session is stopped soon"),
                lines,
                where,
                project=session.slug,
                time=when(session.stops_soon),
            )
        if before.phase is Phase.RUNNING and session.phase is Phase.STOPPED and before.stops_soon:
            lines = [
                N_(
                    "Nobody used your session of {project}, so it was stopped. Files stay; opening an app starts it anew."
                )
            ]
            self._soon(
                session.user,
                Notice.SESSION,
                N_("{project}: your session was stopped"),
                lines,
                where,
                project=session.slug,
            )

    def tell(self, user: str, notice: Notice, subject: str, lines: list[str], path: str = "", **values: object) -> None:
        """For other parts: tell a person in the background."""
        if self.domain.mail.on:
            self._soon(user, notice, subject, lines, path, **values)

    def _acted(self, entry: Activity) -> None:
        if entry.act != "team.added" or entry.who == entry.actor:
            return
        lines = [N_("{actor} added you to the project {project} as {role}.")]
        self._soon(
            entry.who,
            Notice.TEAM,
            N_("You are in the team of {project}"),
            lines,
            f"/{entry.object}",
            actor=entry.actor,
            project=entry.object,
            role=entry.detail,
        )

    def _job(self, job: Job) -> None:
        if job.state.value != "FAILED" or not job.created_by or job.created_by.startswith("("):
            return
        lines = [N_("What you started ({kind}) has failed: {message}")]
        where = f"/{job.subject}" if "/" in job.subject else ""
        self._soon(
            job.created_by,
            Notice.JOB,
            N_("{about}: work in the background failed"),
            lines,
            where,
            kind=job.kind,
            message=job.message,
            about=job.subject or "AEN",
        )

    def _soon(self, user: str, notice: Notice, subject: str, lines: list[str], path: str, **values: object) -> None:
        if len(self.background) >= _MOST_AT_ONCE:
            log.warning("too many notices at once; one is left out", kind=str(notice))
            return
        self._number += 1
        self.background.spawn(f"notice {self._number}", self._write(user, notice, subject, lines, path, values))

    async def _write(
        self, name: str, notice: Notice, subject: str, lines: list[str], path: str, values: dict[str, object]
    ) -> None:
        user = await self.domain.accounts.find(name)
        if user is None:
            return
        try:
            await self.domain.mail.tell(user, notice, subject, lines, path, **values)
        except AenError as error:
            log.warning("a notice could not be written", kind=str(notice), reason=error.message)
