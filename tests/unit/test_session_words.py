"""What a session's line on the page says: why it is alive, until when, what it takes."""

from __future__ import annotations

import re

from aen.languages import LANGUAGE
from aen.model import now
from aen.model.session import Idle, Phase, Session, Use
from aen.roles.server.pages.project.session_words import curve, keep_choices, use_text, why

EVIL = "the kernel of <script>alert(1)</script>.ipynb"


def session(**more: object) -> Session:
    known = {"project": "p", "slug": "alice/g", "owner": "alice", "name": "g", "app_server": "jupyter", "app": "lab"}
    rest = {
        "id": "s",
        "user": "alice",
        "started_by": "alice",
        "datacenter": "main",
        "node": "n",
        "phase": Phase.RUNNING,
    }
    return Session.model_validate({**known, **rest, **more})


def said(idle: Idle | None, activity: int = 0, source: str = "") -> str:
    text = str(why(session(), idle, activity, source))
    assert "<script" not in text
    return re.sub(r"<[^>]+>", "", text)


def test_busy() -> None:
    text = said(Idle(hours=2, busy_since=now() - 1000, stops_at=now() + 7_200_000), now(), EVIL)
    assert re.search(r"alive because the kernel of &lt;script.* has been busy since \d\d:\d\d UTC", text)
    assert "not stopped while that goes on" in text


def test_idle_kept_and_never() -> None:
    at = now()
    text = said(Idle(hours=2, stops_at=at + 60_000), at, "terminal 1")
    assert "last activity just now (terminal 1)" in text
    assert "unless it is used before" in text
    assert "kept until" in said(Idle(hours=2, stops_at=at, keep_until=at + 60_000), at)
    assert "until somebody stops it" in said(Idle(), at)
    assert "see whether it is used" in why(session(since=at - 600_000))
    assert why(session(since=at)) == "Started just now."  # nobody has looked yet


def test_waiting_says_its_place() -> None:
    waiting = session(phase=Phase.QUEUED, reason="2nd in the queue: this node starts 2 at a time.")
    assert why(waiting) == "2nd in the queue: this node starts 2 at a time."


def test_choices_are_bounded() -> None:
    assert keep_choices(Idle(hours=2, most_keep_hours=12)) == [1, 4, 12]
    assert keep_choices(Idle(hours=2, most_keep_hours=0.5)) == [0.5]
    assert keep_choices(Idle(hours=2)) == keep_choices(Idle(most_keep_hours=4)) == keep_choices(None) == []


def test_use() -> None:
    use = Use(cpu=12.4, memory=340 << 20, memory_limit=4 << 30, processes=1)
    assert use_text(use) == "CPU 12 %, 340 MB of 4.0 GB, 1 process"
    assert use_text(None) == curve([]) == curve([use]) == ""


def test_curve_stays_in_its_box() -> None:
    uses = [Use(cpu=cpu) for cpu in (0, 100, 400, 50)] * 30
    points = [tuple(map(float, point.split(","))) for point in curve(uses).split()]
    assert len(points) == 60
    assert all(0 <= x < 60 and 1 <= y <= 15 for x, y in points)


def test_what_was_seen_is_said_in_the_readers_language() -> None:
    before = LANGUAGE.set("de")
    try:
        for source, words in (
            ("files", "(Dateien)"),
            ("terminal 1", "(Terminal 1)"),
            ("the kernel of a b.ipynb", "(der Kernel von a b.ipynb)"),
            ("what an app of the site says", "(what an app of the site says)"),
        ):
            assert words in said(Idle(hours=2, stops_at=now() + 7_200_000), now(), source)
    finally:
        LANGUAGE.reset(before)
