"""Clock: when a schedule is due next. Times of day are local to a zone, whatever it does in spring and autumn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from aen.errors import Invalid
from aen.model.schedule import NEVER, Timing

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _DAYS),
)
_FAR_DAYS = 366 * 5  # 29 February comes in time
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LEAST, _MOST = 5, 60 * 24 * 31  # minutes between two runs


@dataclass(frozen=True)
class Cron:
    """A cron expression, read."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool  # both day and weekday are restricted: either will do, as cron has it

    def on(self, day: date) -> bool:
        """Whether that is a day of it."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either else by_day and by_weekday


def parse(text: str) -> Cron:
    """Read `minute hour day month weekday`. Raises Invalid with what is wrong."""
    parts = text.lower().split()
    if len(parts) != 5:
        raise Invalid("A cron expression has five parts: minute, hour, day, month, weekday. As 30 6 * * 1-5.")
    sets = [_field(part, *row) for part, row in zip(parts, _FIELDS, strict=True)]
    weekdays = frozenset(value % 7 for value in sets[4])
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    return Cron(sets[0], sets[1], sets[2], sets[3], weekdays, either)


def _field(text: str, name: str, low: int, high: int, words: Sequence[str]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if step_text.isdecimal() and len(step_text) < 4 else 0
        if slash and not step:
            raise Invalid(f"{part!r} is no {name}: after / comes a number.")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, name, low, high, words)
            end = _number(last, name, low, high, words) if dash else high if slash else begin
        if begin > end:
            raise Invalid(f"{part!r} is no {name}: it begins after its end.")
        found.update(range(begin, end + 1, step or 1))
    return frozenset(found)


def _number(text: str, name: str, low: int, high: int, words: Sequence[str]) -> int:
    if text in words:
        return words.index(text) + (1 if name == "month" else 0)
    if not text.isdecimal() or len(text) > 3 or not low <= int(text) <= high:
        raise Invalid(f"{text[:20]!r} is no {name}: {low} to {high}.")
    return int(text)


def check(timing: Timing) -> None:
    """Raises Invalid, in words, when this can't be a time."""
    zone(timing.zone)
    if timing.kind == "every" and not _LEAST <= timing.minutes <= _MOST:
        raise Invalid(f"Every {timing.minutes} minutes can't be: {_LEAST} minutes to 31 days.")
    if timing.kind == "weekly" and (not timing.days or any(day not in range(7) for day in timing.days)):
        raise Invalid("On which days of the week? Choose at least one.")
    if timing.kind == "once":
        _moment(timing.at)
    if timing.kind in ("daily", "weekly", "cron"):
        cron_of(timing)


def zone(name: str) -> tzinfo:
    """A time zone by its name; UTC is there also on a machine without time zones. Raises Invalid."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Invalid(f"{name[:60]!r} is no time zone. Write it as Europe/Berlin, or UTC.") from None


def cron_of(timing: Timing) -> Cron:
    """Daily and weekly ones as cron has them. Raises Invalid."""
    if timing.kind == "cron":
        return parse(timing.cron)
    match = _TIME.fullmatch(timing.time.strip())
    if match is None:
        raise Invalid(f"{timing.time[:20]!r} is no time of day. Write it as 06:30.")
    days = ",".join(str((day + 1) % 7) for day in sorted(set(timing.days))) if timing.kind == "weekly" else "*"
    return parse(f"{int(match[2])} {int(match[1])} * * {days}")


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text[:40]!r} is no date and time. Write it as 2026-11-22T07:30.") from None
    if found.tzinfo is not None:
        raise Invalid("Write the time as it is in the time zone, without an offset.")
    return found


def following(timing: Timing, after: int, anchor: int = 0) -> int:
    """The first moment later than `after` (ms since 1970), or NEVER. `anchor`: from where intervals are counted."""
    if timing.kind == "never":
        return NEVER
    if timing.kind == "every":
        step = timing.minutes * 60_000
        return anchor + ((after - anchor) // step + 1) * step
    here = zone(timing.zone)
    if timing.kind == "once":
        at = _ms(_moment(timing.at), here)
        return at if at > after else NEVER
    return _by_cron(cron_of(timing), after, here)


def _by_cron(cron: Cron, after: int, here: tzinfo) -> int:
    day = datetime.fromtimestamp(after / 1000, here).date()
    times = [(hour, minute) for hour in sorted(cron.hours) for minute in sorted(cron.minutes)]
    for _ in range(_FAR_DAYS):
        if cron.on(day):
            for hour, minute in times:
                at = _ms(datetime(day.year, day.month, day.day, hour, minute), here)
                if at > after:
                    return at
        day += timedelta(days=1)
    return NEVER


def _ms(local: datetime, here: tzinfo) -> int:
    """What a clock on the wall there shows; a time that spring leaves out counts as the hour after, one of autumn once."""
    return round(local.replace(tzinfo=here, fold=0).astimezone(UTC).timestamp() * 1000)


def missed(timing: Timing, due: int, until: int, anchor: int = 0) -> int:
    """How many times there were after `due` and up to `until`; 1000 are counted at most."""
    count, at = 0, following(timing, due, anchor)
    while at <= until and count < 1000:
        count, at = count + 1, following(timing, at, anchor)
    return count
