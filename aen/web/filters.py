"""Filters of templates: times, sizes, names and acts as people read them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from babel.dates import format_date, format_timedelta
from babel.lists import format_list
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from aen.languages import LANGUAGE, SOURCE, said, size
from aen.languages import gettext as _
from aen.model.activity import Activity
from aen.web.acts import ACTS, ALONE, DETAILED, OWN
from aen.web.words import WORDS, job, step, word

_EPOCH = date(1970, 1, 1).toordinal()
_CLOCK = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(1440)]
_SECONDS = [f"{second:02}" for second in range(60)]
_BROWSERS = (
    ("Edg/", "Edge"),
    ("Firefox/", "Firefox"),
    ("OPR/", "Opera"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def ago(ms: int) -> Markup:
    """How long ago a time (ms since 1970) was, as a `<time>` that the page keeps fresh; "never" for 0."""
    if not ms:
        return Markup("<span>{}</span>").format(_("never"))
    # Lists show hundreds of these: of parts that are at hand it takes a tenth of the time that Markup.format takes.
    day, minute, second = _parts(ms)
    date, shown = _day(day, _locale())
    at = _CLOCK[minute]
    told = f'<time datetime="{date}T{at}:{_SECONDS[second]}Z" title="{shown}, {at} UTC" data-ago>{_ago_html(_age(ms), _locale())}</time>'
    return Markup(told)  # noqa: S704 (numbers, a date of Babel, and what is escaped)


def ago_text(ms: int) -> str:
    """How long ago a time was, in words."""
    return _ago(_age(ms), _locale())


def clock(ms: int) -> Markup:
    """The time of day of a time near now, as a `<time>` that the page turns into the reader's own; nothing for 0."""
    if not ms:
        return Markup("")
    text = datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M UTC")
    return Markup('<time datetime="{}" title="{}" data-clock>{}</time>').format(iso(ms), when(ms), text)


def when(ms: int) -> str:
    """A time for people, in UTC."""
    if not ms:
        return _("never")
    day, minute, _second = _parts(ms)
    return f"{_day(day, _locale())[1]}, {_CLOCK[minute]} UTC"


def iso(ms: int) -> str:
    """A time for machines."""
    day, minute, second = _parts(ms)
    return f"{_day(day, SOURCE)[0]}T{_CLOCK[minute]}:{_SECONDS[second]}Z"


def duration(seconds: float | None) -> str:
    """A short time for people: 0.4 s, 12 s, 2 min 5 s; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{_rounded(seconds) if seconds % 1 else int(seconds)} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def segment(text: str) -> str:
    """Text as one segment of a path, or as a value in a query."""
    return quote(text, safe="")


def hue(name: str) -> int:
    """The number (0 to 7) of a name's colour."""
    return sum(name.encode()) % 8


def initials(name: str) -> str:
    """One or two letters that stand for a person."""
    words = [word for word in name.replace(".", " ").replace("-", " ").replace("_", " ").split() if word]
    if not words:
        return "?"
    return (words[0][0] + words[-1][0]) if len(words) > 1 else words[0][:2]


def together(names: Sequence[str]) -> str:
    """Names as the reader joins them: JupyterLab, Notebook, and Terminal."""
    return format_list(names, locale=_locale())


def number(value: float) -> str:
    """A number as the reader writes it: 1,234.5."""
    return format_decimal(value, locale=_locale())


def _age(ms: int) -> int:
    """Seconds since a time, as exactly as people are told; 0 for now."""
    seconds = time.time() - ms / 1000
    if seconds < 10:
        return 0
    unit = 86_400 if seconds >= 86_400 else 3600 if seconds >= 3600 else 60 if seconds >= 60 else 1
    return round(seconds / unit) * unit


@lru_cache(4096)
def _ago(seconds: int, locale: str) -> str:
    if not seconds:
        return _("just now")  # `locale` is the language of this task
    return format_timedelta(-seconds, threshold=1, add_direction=True, locale=locale)


@lru_cache(4096)
def _ago_html(seconds: int, locale: str) -> str:
    return str(escape(_ago(seconds, locale)))


@lru_cache(4096)
def _day(day: int, locale: str) -> tuple[str, str]:
    """A day, by whole days since 1970: for machines, and for people."""
    of = date.fromordinal(_EPOCH + day)
    return of.isoformat(), format_date(of, "d MMM y", locale=locale)


def _parts(ms: int) -> tuple[int, int, int]:
    """Days since 1970, minute of that day and second of that minute."""
    minutes, second = divmod(ms // 1000, 60)
    day, minute = divmod(minutes, 1440)
    return day, minute, second


def _rounded(value: float) -> str:
    """A number with one digit behind the point while it is small."""
    return format_decimal(value, "0.0" if value < 10 else "0", locale=_locale())


def _locale() -> str:
    return LANGUAGE.get()


def act(entry: Activity, whom: str = "") -> str:
    """What somebody did, as the end of a sentence that begins with their name. `whom`: what the other person is called."""
    if entry.who == entry.actor:
        return _own_act(entry.act, _locale())
    return _(_act(entry.act), who=whom or entry.who)


@lru_cache(256)
def _own_act(name: str, locale: str) -> str:
    """What somebody did to their own account. `locale` is the language of this task."""
    own = OWN.get(name, "")
    return _(own) if own else _(_act(name).replace(" of {who}", ""), who=_("themselves"))


def detail(entry: Activity) -> str:
    """What a record says besides: roles and sentences of AEN in the reader's language, what people wrote as it is."""
    if not entry.act.startswith("team.") and entry.act not in DETAILED:
        return entry.detail
    role = entry.detail in WORDS and LANGUAGE.get() != SOURCE  # English says it as the code is
    return word(entry.detail) if role else said(entry.detail)


def act_alone(name: str) -> str:
    """An act by itself, whoever did it to whom: what a report counts."""
    if name in ALONE:
        return _(ALONE[name])
    words = _(_act(name), who="…").removesuffix(":")
    return words[:1].upper() + words[1:]


def unfinished(entry: Activity) -> bool:
    """Whether what `act` says of it goes on with the record's detail: "added bob to the team as" member."""
    return _act(entry.act).endswith((":", " as"))


def _act(name: str) -> str:
    return ACTS.get(name) or name.replace(".", " ").replace("_", " ")


def browser(agent: str) -> str:
    """A browser's name for people, from its User-Agent."""
    name = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if name and system:
        return _("{browser} on {system}", browser=name, system=system)
    return name or agent[:60] or _("Unknown browser")


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "when": when,
    "clock": clock,
    "iso": iso,
    "bytes": size,
    "duration": duration,
    "segment": segment,
    "hue": hue,
    "initials": initials,
    "step": step,
    "word": word,
    "number": number,
    "together": together,
    "act": act,
    "detail": detail,
    "job": job,
    "act_alone": act_alone,
    "unfinished": unfinished,
    "browser": browser,
}
