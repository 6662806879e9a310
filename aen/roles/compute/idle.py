"""Idle: when a session that nobody uses is stopped, and why it is not. Pure: times in ms since 1970."""

from __future__ import annotations

from dataclasses import dataclass

from aen.config.sessions import Idle as Policy
from aen.model.session import Idle

_HOUR, _MINUTE = 3_600_000, 60_000


@dataclass(frozen=True)
class Verdict:
    """What to tell of a session, since when people are warned (0: they need not be), and whether it is to stop now."""

    idle: Idle
    warned_at: int
    stop: bool


def judge(policy: Policy, now: int, *, activity: int, busy_since: int, keep_until: int, warned_at: int) -> Verdict:
    """Judge a session. It never stops while something works, nor before people were warned for as long as is promised."""
    told = Idle(busy_since=busy_since, hours=policy.hours, most_keep_hours=policy.max_keep_hours)
    if not policy.hours:
        return Verdict(told, 0, False)
    told.keep_until = keep_until if keep_until > now else 0
    told.stops_at = max((now if busy_since else activity) + round(policy.hours * _HOUR), told.keep_until)
    warning = round(min(policy.warning_minutes * _MINUTE, policy.hours * _HOUR / 2))
    if busy_since or now < told.stops_at - warning:
        return Verdict(told, 0, False)
    since = warned_at or now
    told.stops_at = max(told.stops_at, since + warning)
    told.warned = True
    return Verdict(told, since, now >= told.stops_at)


def pause(policy: Policy) -> float:
    """Seconds between two looks at what sessions do."""
    return min(30.0, max(0.5, policy.hours * 3600 / 8)) if policy.hours else 30.0
