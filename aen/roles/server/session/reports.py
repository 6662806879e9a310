"""Reports: what nodes say of sessions, compared with what is wanted. Lost messages are repaired from heartbeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from aen.errors import AenError
from aen.messages import NodeReported, SessionReport, SessionReported
from aen.model.session import LIVE, PHASE_MOVES, Phase, Session
from aen.roles.server.background import held
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.session.heartbeats import Heartbeats, Said, noted
from aen.roles.server.session.uses import Uses
from aen.service import Service
from aen.store import Doc, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

SILENT_SECONDS = 15.0  # a node silent for longer: its sessions stay, and are shown as out of sight
_MISSING_SECONDS = 6.0  # live in the record, but not at its node that is up
_UNWANTED_SECONDS = 3.0  # at a node, but not in the record
_AGAIN_SECONDS = 3.0  # a start or stop that its node does not show is asked for again
_QUEUED_SECONDS = 60.0  # a start that its node never takes up has failed
_SWEEP_SECONDS = 1.0
_SHARE = 20  # so much longer than a look at all sessions takes is the time until the next; what is under way is looked at each time
_LONGEST_PAUSE = 10.0  # seconds between two looks at all
_ACTIVITY_MS = 300_000  # activity is stored no more often: what nodes told last is in memory
_TAIL = 8_000  # characters of a log that stay with the session
_AT_NODE = (Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.STOPPING)
_UNDER_WAY = (Phase.QUEUED, Phase.STARTING, Phase.STOPPING)

#: What is not as it should be: what, node, session, generation.
Suspect = tuple[str, str, str, int]


class Reports(Part):
    """What is real. `present` is the last word of each node on each of its sessions."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.present: dict[str, dict[str, SessionReport]] = {}
        self.uses = Uses()
        self._beat: dict[str, float] = {}  # node → its last heartbeat (monotonic)
        self._applied: dict[str, Said] = {}  # session → what was applied last
        self._since: dict[Suspect, float] = {}  # seen first (monotonic)
        self._asked: dict[tuple[str, int], float] = {}  # session, generation → asked again last

    async def begin(self, service: Service) -> None:
        """See Part."""
        query = Query(equal=(("phase", Phase.RUNNING.value),), limit=500)
        self.domain.sessions.routes.wait_for({doc["node"] async for doc in every(self.store, "sessions", query)})
        heartbeats = Heartbeats(self._heartbeat)
        self.domain.nodes.listeners.append(heartbeats.put)
        await service.enter(held(self.bus.subscribe(SessionReported, self._reported)))
        service.spawn(heartbeats.handle_for_life(), "heartbeats")
        service.spawn(self._sweep_for_life(), "sessions")

    def latest(self, session: Session) -> SessionReport | None:
        """The node's last word on this generation of a session, or None."""
        report = self.present.get(session.node, {}).get(session.id)
        return report if report is not None and report.generation == session.generation else None

    # ── one report ──────────────────────────────────────────────────────────────────────────────────

    async def apply(self, node: str, report: SessionReport) -> Session | None:
        """Bring the record in line with a report. None: it is not about what is wanted (older, elsewhere, unknown)."""
        doc = await self.store.get("sessions", report.session)
        session = Session.model_validate(doc) if doc else None
        if session is None or session.node != node or session.generation != report.generation:
            return None
        before, was = session.phase, session

        def edit(session: Session) -> None:
            nonlocal before
            before = session.phase
            _take(session, report)

        if _changes(session, report):
            session = await self.domain.sessions.dispatch.edit(session, edit)
        await self._route(session, report)
        if session.phase is not before or session.phase is Phase.STARTING:
            await self.domain.projects.life.session_changed(session)
        self.domain.notices.session_changed(was, session)
        if session.phase is not before:
            log.info("session", session=session.id, project=session.slug, user=session.user, phase=session.phase)
        return session

    async def _route(self, session: Session, report: SessionReport) -> None:
        routes = self.domain.sessions.routes
        if session.phase is not Phase.RUNNING or report.phase is not Phase.RUNNING or not report.upstream:
            if session.phase not in (Phase.RUNNING, Phase.QUEUED, Phase.STARTING):
                final = session.phase is not Phase.LOST
                routes.drop(session.id, session.generation, session.datacenter, final=final)
            return
        project = await self.domain.projects.by_id(session.project)
        if project is None:
            return
        why = (
            "" if project.node in ("", session.node) else f"the project is at {project.node} now"
        )  # never at two nodes
        if why := why or await self.domain.admitting.refusal(session, project):
            self.domain.sessions.dispatch.end_soon(session, why)
            return
        routes.put(session, report, project)

    async def _reported(self, event: SessionReported) -> None:
        known = self.present.setdefault(event.node, {}).get(event.report.session)
        if known is None or known.generation <= event.report.generation:
            self.present[event.node][event.report.session] = event.report
        for report, said in self._news(event.node, [event.report]):
            await self._apply_new(event.node, report, said)

    async def _heartbeat(self, event: NodeReported) -> None:
        self.present[event.node] = {report.session: report for report in event.sessions}
        self._beat[event.node] = time.monotonic()
        for report in event.sessions:
            self.uses.take(report)
        # Together: after a start all of them are news, and the store answers many readers as fast as one.
        doing = (self._apply_new(event.node, *news) for news in self._news(event.node, event.sessions))
        failed = [error for error in await asyncio.gather(*doing, return_exceptions=True) if error is not None]
        if failed:
            raise failed[0]
        self.domain.sessions.routes.heard(event.node)

    def _news(self, node: str, reports: Sequence[SessionReport]) -> list[tuple[SessionReport, Said]]:
        """The reports that say what the ones before them did not: of a heartbeat, hardly any."""
        told = ((report, Said.of(node, report)) for report in reports)
        return [(report, said) for report, said in told if not said.nothing_after(self._applied.get(report.session))]

    async def _apply_new(self, node: str, report: SessionReport, said: Said) -> None:
        try:
            await self.apply(node, report)
        except AenError as error:
            log.warning("a report could not be applied; the next one is", session=report.session, reason=error.message)
            return
        self._applied[report.session] = said

    # ── the sweep ───────────────────────────────────────────────────────────────────────────────────

    async def _sweep_for_life(self) -> None:
        due = 0.0
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            begun = time.monotonic()
            try:
                await (self.sweep() if begun >= due else self.sweep_under_way())
            except AenError as error:
                log.warning("sweep of sessions failed; it is tried again", reason=error.message)
            if begun >= due:
                done = time.monotonic()
                due = done + min((done - begun) * _SHARE, _LONGEST_PAUSE)

    async def sweep_under_way(self) -> None:
        """Compare the sessions that start or stop with what is real, and repair: people wait for these."""
        moving, suspects = await self._compare_all(_UNDER_WAY)
        self._since = {key: since for key, since in self._since.items() if key in suspects or key[2] not in moving}

    async def sweep(self) -> None:
        """Compare all that is wanted with all that is real, and repair."""
        live, suspects = await self._compare_all(tuple(LIVE))
        for node, reports in list(self.present.items()):
            for report in list(reports.values()):
                if live.get(report.session) != (node, report.generation) and report.phase in _AT_NODE:
                    await self._unwanted(node, report, suspects)
        self._since = {key: since for key, since in self._since.items() if key in suspects}
        self.uses.keep_only(live)
        self._applied = {id: said for id, said in self._applied.items() if id in live}
        self._asked = {key: asked for key, asked in self._asked.items() if key[0] in live}

    async def _compare_all(self, phases: Sequence[Phase]) -> tuple[dict[str, tuple[str, int]], set[Suspect]]:
        """All sessions in these phases (id → node, generation), and what is suspicious about them."""
        found: dict[str, tuple[str, int]] = {}
        suspects: set[Suspect] = set()
        for phase in phases:
            async for doc in every(self.store, "sessions", Query(equal=(("phase", phase.value),), limit=500)):
                found[doc["id"]] = doc["node"], doc["generation"]
                if not self._runs_as_told(doc) and self.domain.nodes.up(doc["node"], SILENT_SECONDS):
                    await self._compare(Session.model_validate(doc), suspects)
        return found, suspects

    def _runs_as_told(self, doc: Doc) -> bool:
        """Whether a stored session runs, and its node says so: that is nearly all of them, and there is nothing to do."""
        report = self.present.get(doc["node"], {}).get(doc["id"])
        return (
            report is not None
            and doc["phase"] == report.phase == Phase.RUNNING
            and doc["generation"] == report.generation
            and report.activity - doc["activity"] <= _ACTIVITY_MS
        )

    async def _compare(self, session: Session, suspects: set[Suspect]) -> None:
        report = self.latest(session)
        if report is not None:
            await self._compare_with(session, report)
            return
        key = ("missing", session.node, session.id, session.generation)
        suspects.add(key)
        missing = self._beat.get(session.node, 0.0) - self._since.setdefault(key, time.monotonic())
        if session.phase is Phase.QUEUED:
            await self._queued(session, time.monotonic() - self._since[key])
        elif missing > _MISSING_SECONDS and session.phase is Phase.STOPPING:
            await self.domain.sessions.dispatch.ended(session, Phase.STOPPED, session.reason)
        elif missing > _MISSING_SECONDS:
            reason = f"it is no longer there at {session.node}: the machine or the app was ended from outside"
            await self.domain.sessions.dispatch.ended(session, Phase.LOST, reason)

    async def _compare_with(self, session: Session, report: SessionReport) -> None:
        """Its node knows it: only a stop that was not heard, or a report that was not applied, is left to repair."""
        if session.phase is Phase.STOPPING and report.phase in _AT_NODE:
            if self._time_to_ask(session):
                self.domain.sessions.dispatch.end_soon(session, session.reason)
        elif report.phase is not session.phase and _follows(session.phase, report.phase):
            await self.apply(session.node, report)
        elif report.activity - session.activity > _ACTIVITY_MS:
            await self.domain.sessions.dispatch.edit(session, lambda session: _take(session, report))

    async def _queued(self, session: Session, seconds: float) -> None:
        if seconds > _QUEUED_SECONDS:
            reason = f"the compute node {session.node} did not take up the start"
            await self.domain.sessions.dispatch.ended(session, Phase.PROBLEM, reason)
        elif self._time_to_ask(session):
            self.domain.sessions.dispatch.launch_soon(session)

    def _time_to_ask(self, session: Session) -> bool:
        """At most every 3 s, counted from when this server first saw that it may be needed."""
        key = (session.id, session.generation)
        if time.monotonic() - self._asked.setdefault(key, time.monotonic()) < _AGAIN_SECONDS:
            return False
        self._asked[key] = time.monotonic()
        return True

    async def _unwanted(self, node: str, report: SessionReport, suspects: set[Suspect]) -> None:
        """It is at a node, and not in the record."""
        key = ("unwanted", node, report.session, report.generation)
        suspects.add(key)
        if time.monotonic() - self._since.setdefault(key, time.monotonic()) < _UNWANTED_SECONDS:
            return
        found = await self.apply(node, report)  # LOST and found again: it is RUNNING once more
        if found is not None and found.phase in LIVE:
            return
        del self._since[key]
        log.warning("a session that is not wanted is stopped", session=report.session, node=node)
        self.domain.sessions.dispatch.stop_stray(node, report)


def _follows(known: Phase, reported: Phase) -> bool:
    """Whether a report may bring a session from one phase to another. What is over stays over, unless it was only lost."""
    if known in (Phase.STOPPED, Phase.PROBLEM) or reported in (Phase.QUEUED, Phase.LOST):
        return False
    return reported in PHASE_MOVES[known]


def _changes(session: Session, report: SessionReport) -> bool:
    """Whether the record becomes another by a report. After a restart of the server, most do not."""
    copy = session.model_copy()
    _take(copy, report)
    return copy != session


def _take(session: Session, report: SessionReport) -> None:
    """What a report changes in the record. A phase that may not follow (a late report) changes nothing."""
    if report.phase is not session.phase:
        if not _follows(session.phase, report.phase):
            return
        if session.phase is Phase.STOPPING:  # however it ended: that was asked for, and why stands there already
            session.move(Phase.STOPPED, session.reason)
        else:
            session.move(report.phase, report.reason)
    elif session.phase in (Phase.QUEUED, Phase.STARTING, Phase.RUNNING):
        session.reason = report.reason
    session.keep_until, session.stops_soon = noted(report)
    session.steps = report.steps or session.steps
    session.log_tail = report.log_tail[-_TAIL:] or session.log_tail
    if report.activity - session.activity > _ACTIVITY_MS or (report.activity and not session.activity):
        session.activity, session.activity_source = report.activity, report.activity_source
