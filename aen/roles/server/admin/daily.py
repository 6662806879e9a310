"""Daily report: counts and actions of today, yesterday, this week and month. The log is the truth; finished days are counted once."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from aen.errors import AenError, Invalid
from aen.model import now
from aen.model.mail import Notice
from aen.model.report import Day, Period
from aen.model.session import Phase
from aen.model.user import User
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Doc, Duplicate, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
PERIODS = ("today", "yesterday", "week", "month")
_DAYS = 31
_DAY_MS = 86_400_000
_SAMPLE_MS, _LONGEST_MS = 60_000, 180_000  # between samples; a longer gap (AEN was down) counts as this
_MAIL_HOUR = 6  # UTC
_SHOWN_USERS = 200
_PAGE = 2000
# Of days that are over: nobody waits for them, and nobody shall wait because of them.
_PAST_PAGE, _PAST_PAUSE = 100, 0.01


class Daily(Part):
    """The reports, and what they are made of."""

    def __init__(self, domain: Domain, clock: Callable[[], int] = now) -> None:
        super().__init__(domain)
        self._clock = clock
        self._today = _Counting("")
        self._lock = asyncio.Lock()

    async def begin(self, service: Service) -> None:
        """Sample and count for life."""
        service.spawn(self._for_life(), "daily")

    async def report(self, actor: Actor, name: str) -> Period:
        """One period, for staff. Invalid."""
        check(actor, Permission.STAFF)
        if name not in PERIODS:
            raise Invalid(f"A report is of {', '.join(PERIODS)}.")
        return await self.period(name)

    async def period(self, name: str) -> Period:
        """The same, for the server itself."""
        today = self._date()
        first, last = _bounds(name, today)
        days = {day.id: day for day in await self._days(today)}
        inside = [day for date, day in days.items() if str(first) <= date <= str(last)]
        latest = inside[-1] if inside else Day(id=str(last))
        new, left_out = await self._new_users(first, last)
        acts: Counter[str] = Counter()
        for day in inside:
            acts.update(day.acts)
        return Period(
            name=name,
            first=str(first),
            last=str(last),
            users=await self.store.count("users") if last == today else latest.users,
            projects=await self.store.count("projects") if last == today else latest.projects,
            new_users=new,
            new_users_left_out=left_out,
            acts={act.replace("/", "."): count for act, count in acts.most_common()},
            session_hours=sum(day.session_hours for day in inside),
            cpu_hours=sum(day.cpu_hours for day in inside),
            most_sessions=max((day.most_sessions for day in inside), default=0),
            space=latest.space,
            faults=max((day.faults for day in inside), default=0),
            days=list(days.values()),
        )

    async def _days(self, today: datetime.date) -> list[Day]:
        """The last month, oldest first; today counted up to now."""
        dates = [str(today - datetime.timedelta(days=back)) for back in range(_DAYS - 1, -1, -1)]
        found = {
            doc["id"]: self.domain.seen.read(Day, doc) for doc in await self.store.get_many("days", dates, shared=True)
        }
        days = [found.get(date) or Day(id=date) for date in dates]
        acts = dict(await self._count_today(dates[-1]))
        return [*days[:-1], days[-1].model_copy(update={"acts": acts})]

    async def _new_users(self, first: datetime.date, last: datetime.date) -> tuple[list[tuple[str, str]], int]:
        low, high = _ms(first), _ms(last + datetime.timedelta(days=1)) - 1
        query = Query(low=low, high=high, sort="created", descending=True, limit=_SHOWN_USERS + 1, shared=True)
        page = await self.store.find("users", query)
        left = len(page.items) > _SHOWN_USERS
        return [(doc["id"], doc["email"]) for doc in page.items[:_SHOWN_USERS]], int(left)

    # ── counting ────────────────────────────────────────────────────────────────────────────────────

    async def _count_today(self, date: str) -> Counter[str]:
        async with self._lock:
            if self._today.date != date:
                self._today = _Counting(date)
            counting = self._today
            begin = _ms(_parsed(date))
            again = counting.at > begin  # the first time it may be all day's
            low, high = max(counting.at, begin), begin + _DAY_MS - 1
            query = Query(low=low, high=high, sort="at", limit=_PAGE, shared=again)
            async for doc in every(self.store, "activity", query):
                counting.take(doc)
            return counting.acts

    async def count_past(self) -> int:
        """Count the days of the last month that are over and not counted yet; returns how many."""
        today, counted = self._date(), 0
        for back in range(1, _DAYS):
            date = today - datetime.timedelta(days=back)
            doc = await self.store.get("days", str(date))
            if doc is not None and doc["complete"]:
                continue
            await self._complete(date)
            counted += 1
        return counted

    async def _complete(self, date: datetime.date) -> None:
        counting, looked = _Counting(str(date)), 0
        high = _ms(date + datetime.timedelta(days=1)) - 1
        async for doc in every(self.store, "activity", Query(low=_ms(date), high=high, sort="at", limit=_PAST_PAGE)):
            counting.take(doc)
            if (looked := looked + 1) % _PAST_PAGE == 0:
                await asyncio.sleep(_PAST_PAUSE)

        def edit(day: Day) -> None:
            day.acts, day.complete = dict(counting.acts), True

        await self._edit(str(date), edit)

    async def _edit(self, date: str, edit: Callable[[Day], None]) -> None:
        if await self.store.get("days", date) is None:
            try:
                await self.store.insert("days", Day(id=date).model_dump(mode="json"))
            except Duplicate:
                log.debug("another server was faster with this day")
        await change(self.store, "days", Day, date, edit)

    # ── sampling ────────────────────────────────────────────────────────────────────────────────────

    async def sample(self) -> None:
        """Add what runs now to the day; with several servers, whoever is first in each minute."""
        running = await self.store.count("sessions", (("phase", Phase.RUNNING.value),))
        users, projects = await self.store.count("users"), await self.store.count("projects")
        nodes = [node.load for node in self.domain.nodes.list() if self.domain.nodes.up(node.id)]
        space = sum(load.disk_total - load.disk_free for load in nodes)
        processors = self._processors()
        moment = self._clock()

        def edit(day: Day) -> None:
            passed = moment - day.sampled if day.sampled else 0
            if day.sampled and passed < _SAMPLE_MS * 0.8:
                return
            hours = min(passed, _LONGEST_MS) / 3_600_000
            day.session_hours += running * hours
            day.cpu_hours += processors * hours
            day.most_sessions = max(day.most_sessions, running)
            day.users, day.projects, day.space, day.sampled = users, projects, space or day.space, moment
            day.faults = max(day.faults, self.domain.faults.unread)

        await self._edit(str(self._date()), edit)

    def _processors(self) -> float:
        """How many processors all sessions keep busy now, as nodes measured last."""
        reports = self.domain.sessions.reports.present.values()
        return sum(one.use.cpu for node in reports for one in node.values() if one.use is not None) / 100

    async def _for_life(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_MS / 1000)
            try:
                await self.sample()
                await self.count_past()
                await self._mail()
            except AenError as error:
                log.warning("the daily report could not be prepared; it is tried again", reason=error.message)

    async def _mail(self) -> None:
        """Once a day, to staff and administrators who want it."""
        moment = datetime.datetime.fromtimestamp(self._clock() / 1000, datetime.UTC)
        if not (self.domain.mail.on and self.domain.settings.value("mail.daily")) or moment.hour < _MAIL_HOUR:
            return
        try:
            await self.store.insert("claims", {"id": f"daily:{moment.date()}", "at": self._clock()})
        except Duplicate:
            return
        await self.send()

    async def send(self) -> int:
        """Mail yesterday's report to all staff and administrators; returns to how many."""
        period = await self.period("yesterday")
        lines = [
            "{users} users, {projects} projects.",
            "Signed in: {logins}. Failed sign-ins: {failed}. Sessions opened: {sessions}. Session hours: {hours}.",
            "New users: {new}.",
        ]
        values = {
            "users": f"{period.users:,}",
            "projects": f"{period.projects:,}",
            "logins": period.acts.get("login.succeeded", 0),
            "failed": period.acts.get("login.failed", 0),
            "sessions": period.acts.get("session.opened", 0),
            "hours": f"{period.session_hours:.1f}",
            "new": ", ".join(name for name, _ in period.new_users[:30]) or "–",
            "date": period.first,
        }
        sent = 0
        where = "/admin/report?period=yesterday"
        for user in await self._readers():
            sent += await self.domain.mail.tell(user, Notice.DAILY, "AEN on {date}", lines, where, **values)
        return sent

    async def _readers(self) -> list[User]:
        """Who may read the report, each once."""
        found: dict[str, User] = {}
        for right in ("admin", "staff"):
            async for doc in every(self.store, "users", Query(((right, True),))):
                found[doc["id"]] = User.model_validate(doc)
        return list(found.values())

    def _date(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self._clock() / 1000, datetime.UTC).date()


class _Counting:
    """Acts of one day, counted as the log grows: what was counted is not read again."""

    def __init__(self, date: str) -> None:
        self.date = date
        self.at = 0
        self.acts: Counter[str] = Counter()
        self._seen: set[str] = set()  # those of the very last millisecond

    def take(self, record: Doc) -> None:
        """Count a record of activity, once."""
        at, id = int(record["at"]), str(record["id"])
        if at == self.at and id in self._seen:
            return
        if at != self.at:
            self.at, self._seen = at, set()
        self._seen.add(id)
        self.acts[str(record["act"]).replace(".", "/")] += 1


def _bounds(name: str, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """First and last day. A week begins on Monday."""
    if name == "yesterday":
        return today - datetime.timedelta(days=1), today - datetime.timedelta(days=1)
    if name == "week":
        return today - datetime.timedelta(days=today.weekday()), today
    return (today.replace(day=1), today) if name == "month" else (today, today)


def _ms(date: datetime.date) -> int:
    return int(datetime.datetime(date.year, date.month, date.day, tzinfo=datetime.UTC).timestamp() * 1000)


def _parsed(date: str) -> datetime.date:
    return datetime.date.fromisoformat(date)
