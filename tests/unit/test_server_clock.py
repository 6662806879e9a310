"""When a schedule is due next: cron as cron has it, zones through spring and autumn."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aen.errors import Invalid
from aen.model.schedule import NEVER, Timing
from aen.roles.server.publishing import clock


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def after(timing: Timing, *moments: str) -> None:
    """From the first moment on, it is due at the others."""
    at = ms(moments[0])
    for moment in moments[1:]:
        at = clock.following(timing, at)
        assert datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M") == moment


def test_cron() -> None:
    after(Timing(kind="cron", cron="30 6 * * 1-5"), "2026-11-20T06:30", "2026-11-23T06:30", "2026-11-24T06:30")
    after(Timing(kind="cron", cron="*/20 8-9 * * *"), "2026-11-20T09:10", "2026-11-20T09:20", "2026-11-20T09:40",
          "2026-11-21T08:00")  # fmt: skip
    after(Timing(kind="cron", cron="0 0 29 feb *"), "2026-01-01T00:00", "2028-02-29T00:00")
    after(Timing(kind="cron", cron="0 0 13 * fri"), "2026-11-01T00:00", "2026-11-06T00:00", "2026-11-13T00:00",
          "2026-11-20T00:00")  # fmt: skip
    after(Timing(kind="cron", cron="0 0 * * 7"), "2026-11-20T00:00", "2026-11-22T00:00")
    assert clock.following(Timing(kind="cron", cron="0 0 31 2 *"), ms("2026-01-01T00:00")) == NEVER


def test_daily_and_weekly_through_the_change_of_clocks() -> None:
    daily = Timing(kind="daily", time="02:30", zone="Europe/Berlin")
    after(daily, "2026-03-27T12:00", "2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30")
    after(daily, "2026-10-23T12:00", "2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30")
    weekly = Timing(kind="weekly", days=[0, 6], time="23:30", zone="America/New_York")
    after(weekly, "2026-11-20T00:00", "2026-11-23T04:30", "2026-11-24T04:30", "2026-11-30T04:30")


def test_intervals_keep_their_step_and_missed_ones_are_counted() -> None:
    timing, anchor = Timing(kind="every", minutes=15), ms("2026-11-20T00:05")
    assert clock.following(timing, ms("2026-11-20T01:00"), anchor) == ms("2026-11-20T01:05")
    assert clock.missed(timing, ms("2026-11-20T01:05"), ms("2026-11-20T02:00"), anchor) == 3
    once = Timing(kind="once", at="2026-11-20T10:00", zone="Asia/Tokyo")
    assert clock.following(once, ms("2026-11-19T00:00")) == ms("2026-11-20T01:00")
    assert clock.following(once, ms("2026-11-20T01:00")) == NEVER


@pytest.mark.parametrize("cron", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
                                  "5-1 * * * *", "*/0 * * * *", "a * * * *", "* * * * * *", "1,,2 * * * *", "² * * * *"])  # fmt: skip
def test_what_is_no_cron(cron: str) -> None:
    with pytest.raises(Invalid):
        clock.check(Timing(kind="cron", cron=cron))
