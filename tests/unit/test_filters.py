"""Filters of templates: times, as people and machines read them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from aen.languages import LANGUAGE
from aen.web.filters import ago, ago_text, iso, when

MOMENT = 1_795_993_961_000  # 2026-11-29 23:12:41 UTC


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time now, in seconds after MOMENT."""
    now = [0.0]
    monkeypatch.setattr("aen.web.filters.time.time", lambda: MOMENT / 1000 + now[0])
    return now


@pytest.fixture
def german() -> Iterator[None]:
    token = LANGUAGE.set("de")
    yield
    LANGUAGE.reset(token)


def test_times_for_machines_are_those_of_the_c_library() -> None:
    chance = random.Random(1)
    for ms in (1, 999, 86_399_999, 86_400_000, *(chance.randrange(1, 4_102_444_800_000) for _ in range(2_000))):
        assert iso(ms) == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))


def test_times_for_people() -> None:
    assert when(MOMENT) == "29 Nov 2026, 23:12 UTC"
    assert when(0) == "never"


@pytest.mark.usefixtures("german")
def test_times_for_people_are_in_their_language() -> None:
    assert (when(MOMENT), when(0)) == ("29 Nov. 2026, 23:12 UTC", "nie")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "just now"),
        (9.9, "just now"),
        (10, "10 seconds ago"),
        (59.4, "59 seconds ago"),
        (60, "1 minute ago"),
        (3_599, "1 hour ago"),
        (7_300, "2 hours ago"),
        (86_400, "1 day ago"),
        (400 * 86_400, "1 year ago"),
    ],
)
def test_how_long_ago(at: list[float], seconds: float, told: str) -> None:
    at[0] = seconds
    assert ago_text(MOMENT) == told
    assert ago(MOMENT) == (
        f'<time datetime="2026-11-29T23:12:41Z" title="29 Nov 2026, 23:12 UTC" data-ago>{told}</time>'
    )


@pytest.mark.usefixtures("german")
def test_how_long_ago_is_told_in_the_readers_language(at: list[float]) -> None:
    assert ago_text(MOMENT) == "gerade eben"
    at[0] = 3_700
    assert (ago_text(MOMENT), ago(0)) == ("vor 1 Stunde", "<span>nie</span>")
