"""Session words: what a session is doing, why it is alive and until when, or why it ended; what it takes, as a little curve."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from aen.model import now
from aen.model.session import Idle, Phase, Session, StepState, Use
from aen.web.filters import ago, ago_text, clock, size, step

_ENDED = {Phase.STOPPED: "It was stopped.", Phase.PROBLEM: "It ended by itself.", Phase.LOST: "Its node is not heard."}
_FIRST_LOOK = 90_000  # ms: a node has not looked at a session that is younger
_HOURS = (1, 4, 12, 24, 72, 168)  # offered to keep a session for
_WIDE, _HIGH = 60, 16  # of the curve, in its own units: one measurement is one unit wide


def why(session: Session, idle: Idle | None = None, activity: int = 0, source: str = "") -> Markup:
    """What a session is doing, or why it is alive, or why it ended; in a sentence or two."""
    if session.phase is Phase.RUNNING:
        return _alive(session, idle, activity or session.activity, source or session.activity_source)
    if session.phase is Phase.STARTING:
        running = next((each.name for each in session.steps if each.state is StepState.RUNNING), "")
        return Markup("Starting: {}.").format(step(running).lower()) if running else Markup("Starting.")
    if session.phase is Phase.QUEUED:
        return Markup("{}").format(session.reason or "Waiting for a free place on the node.")
    if session.phase is Phase.STOPPING:
        return Markup("Stopping.")
    return Markup("{}").format(session.reason or _ENDED.get(session.phase, ""))


def _alive(session: Session, idle: Idle | None, activity: int, source: str) -> Markup:
    since = Markup("Started {}: ").format(ago_text(session.since))
    if idle is None and now() - session.since < _FIRST_LOOK:
        return Markup("Started {}.").format(ago_text(session.since))
    if idle is None:
        return since + Markup("AEN can\u2019t see whether it is used, so it goes on until somebody stops it.")
    if idle.busy_since:
        what = Markup("alive because {} has been busy since {}. ").format(source, clock(idle.busy_since))
    else:
        seen = Markup("last activity {}").format(ago(activity)) if activity else Markup("no activity seen yet")
        what = seen + (Markup(" ({})").format(source) if source else Markup("")) + Markup(". ")
    return since + what + _end(idle)


def _end(idle: Idle) -> Markup:
    if not idle.hours:
        return Markup("It goes on until somebody stops it.")
    if idle.keep_until:
        return Markup("It is kept until {} at least.").format(clock(idle.keep_until))
    if idle.busy_since:
        return Markup("It is not stopped while that goes on; if it ended now, it would stop at {}.").format(
            clock(idle.stops_at)
        )
    return Markup("It stops at {} unless it is used before.").format(clock(idle.stops_at))


def keep_choices(idle: Idle | None) -> list[float]:
    """For how many hours a session can be kept; nothing where idle sessions are not stopped."""
    if idle is None or not idle.hours or not idle.most_keep_hours:
        return []
    most = idle.most_keep_hours
    return [hours for hours in _HOURS if hours < most] + [most]


def use_text(use: Use | None) -> str:
    """What a session takes: CPU 12 %, 340 MB of 4.0 GB, 9 processes."""
    if use is None:
        return ""
    of = f" of {size(use.memory_limit)}" if use.memory_limit else ""
    count = f"{use.processes} process{'' if use.processes == 1 else 'es'}"
    lost = f". {_lost(use)}" if use.out_of_memory else ""
    return f"CPU {use.cpu:.0f} %, {size(use.memory)}{of}, {count}{lost}"


def _lost(use: Use) -> str:
    """Of a kernel that was ended, people see only that it is gone."""
    many = f"{use.out_of_memory} programs were" if use.out_of_memory > 1 else "A program was"
    limit = f" more than {size(use.memory_limit)} of memory" if use.memory_limit else " more memory than it may"
    return f"{many} ended because the session used{limit}"


def curve(uses: Sequence[Use]) -> str:
    """Its CPU use of the last minutes as the points of an SVG polyline, newest at the right; empty when there is no line yet."""
    if len(uses) < 2:
        return ""
    shown = uses[-_WIDE:]
    top = max(100.0, *(use.cpu for use in shown))  # one processor at least: idle looks idle
    left = _WIDE - len(shown)
    return " ".join(f"{left + i},{_HIGH - 1 - use.cpu / top * (_HIGH - 2):.1f}" for i, use in enumerate(shown))
