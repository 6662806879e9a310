"""Session words: what a session is doing, why it is alive and until when, or why it ended; what it takes, as a little curve."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from aen.languages import N_, ngettext, said, size
from aen.languages import gettext as _
from aen.model import now
from aen.model.session import Idle, Phase, Session, StepState, Use
from aen.web.filters import ago, ago_text, clock
from aen.web.words import step

_ENDED = {
    Phase.STOPPED: N_("It was stopped."),
    Phase.PROBLEM: N_("It ended by itself."),
    Phase.LOST: N_("Its node is not heard."),
}
#: What nodes and apps call what they saw (`SessionReport.activity_source`).
SOURCES = (
    N_("files"),
    N_("an upload"),
    N_("what it started"),
    N_("a change of files"),
    N_("a terminal that was opened or closed"),
    N_("a kernel that was started or ended"),
    N_("a page that was opened"),
    N_("the kernel of {path}"),
    N_("the kernel of {path} and {n} more"),
    N_("terminal {number}"),
)
_FIRST_LOOK = 90_000  # ms: a node has not looked at a session that is younger
_HOURS = (1, 4, 12, 24, 72, 168)  # offered to keep a session for
_WIDE, _HIGH = 60, 16  # of the curve, in its own units: one measurement is one unit wide


def why(session: Session, idle: Idle | None = None, activity: int = 0, source: str = "") -> str:
    """What a session is doing, or why it is alive, or why it ended; in a sentence or two."""
    if session.phase is Phase.RUNNING:
        return _alive(session, idle, activity or session.activity, source or session.activity_source)
    if session.phase is Phase.STARTING:
        running = next((each.name for each in session.steps if each.state is StepState.RUNNING), "")
        return _("Starting: {step}.", step=step(running)) if running else _("Starting.")
    if session.phase is Phase.QUEUED:
        return said(session.reason) or _("Waiting for a free place on the node.")
    if session.phase is Phase.STOPPING:
        return _("Stopping.")
    return said(session.reason or _ENDED.get(session.phase, ""))


def _alive(session: Session, idle: Idle | None, activity: int, source: str) -> str:
    since = ago_text(session.since)
    if idle is None and now() - session.since < _FIRST_LOOK:
        return _("Started {since}.", since=since)
    begin = _("Started {since}: ", since=since)
    if idle is None:
        return begin + _("AEN can\u2019t see whether it is used, so it goes on until somebody stops it.")
    if idle.busy_since:
        what = _(
            "alive because {source} has been busy since {time}. ", source=said(source), time=clock(idle.busy_since)
        )
    else:
        seen = _("last activity {ago}", ago=ago(activity)) if activity else _("no activity seen yet")
        what = seen + (Markup(" ({})").format(said(source)) if source else "") + ". "
    return Markup("").join([begin, what, _end(idle)])


def _end(idle: Idle) -> str:
    if not idle.hours:
        return _("It goes on until somebody stops it.")
    if idle.keep_until:
        return _("It is kept until {time} at least.", time=clock(idle.keep_until))
    if idle.busy_since:
        return _(
            "It is not stopped while that goes on; if it ended now, it would stop at {time}.", time=clock(idle.stops_at)
        )
    return _("It stops at {time} unless it is used before.", time=clock(idle.stops_at))


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
    memory = size(use.memory)
    if use.memory_limit:
        memory = _("{memory} of {limit}", memory=memory, limit=size(use.memory_limit))
    count = ngettext("{n} process", "{n} processes", use.processes)
    lost = f". {_lost(use)}" if use.out_of_memory else ""
    return f"CPU {use.cpu:.0f} %, {memory}, {count}{lost}"


def _lost(use: Use) -> str:
    """Of a kernel that was ended, people see only that it is gone."""
    limit = size(use.memory_limit) if use.memory_limit else _("it may")
    return ngettext(
        "A program was ended because the session used more memory than {limit}",
        "{n} programs were ended because the session used more memory than {limit}",
        use.out_of_memory,
        limit=limit,
    )


def curve(uses: Sequence[Use]) -> str:
    """Its CPU use of the last minutes as the points of an SVG polyline, newest at the right; empty when there is no line yet."""
    if len(uses) < 2:
        return ""
    shown = uses[-_WIDE:]
    top = max(100.0, *(use.cpu for use in shown))  # one processor at least: idle looks idle
    left = _WIDE - len(shown)
    return " ".join(f"{left + i},{_HIGH - 1 - use.cpu / top * (_HIGH - 2):.1f}" for i, use in enumerate(shown))
