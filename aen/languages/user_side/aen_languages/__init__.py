"""Languages: choosing the reader's, and texts in it. The one way of both, for AEN itself and for its apps.

Apps run from an environment of their own: this package is copied into it and needs the standard library only. There the
texts of apps lie beside it (`<language>.json`, made of `config/languages` by `./dev texts`), and its `gettext` speaks them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import cache, cached_property, lru_cache
from pathlib import Path

#: What AEN speaks: the language's code and its own name. The first is what texts are written in.
LANGUAGES = {"en": "English", "de": "Deutsch"}
SOURCE = "en"

LANGUAGE: ContextVar[str] = ContextVar("language", default=SOURCE)

FIELD = re.compile(r"\{(\w*)\}")
_UNITS = ("KB", "MB", "GB", "TB")
_SAYING = re.compile(r"""\bsay\(\s*"([^"\\]*)\"""")


class Catalog:
    """The texts of one language, by what they are in English."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def get(self, text: str) -> str:
        """`text` in this language, its fields not filled in; in English where it lacks it."""
        return self._texts.get(text, text)

    def said(self, message: str) -> str:
        """A finished English message in this language: the texts with fields are matched against it."""
        if message in self._texts:
            return self._texts[message]
        for pattern, translation, fields in self._patterns:
            match = pattern.fullmatch(message)
            if match is not None:
                return filled(translation, dict(zip(fields, match.groups(), strict=True)))
        return message

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str, list[str]]]:
        """The texts with fields, as patterns; the most definite (longest) first."""
        found = []
        for text, translation in sorted(self._texts.items(), key=lambda item: -len(FIELD.sub("", item[0]))):
            fields = FIELD.findall(text)
            if fields and len(FIELD.sub("", text)) >= 8:  # of "{name}: {why}" too little is left to know it by
                pattern = "(.+?)".join(re.escape(part) for part in FIELD.split(text)[::2])
                found.append((re.compile(pattern, re.DOTALL), translation, fields))
        return found


@lru_cache(maxsize=1000)
def choose(wanted: str, accepted: str) -> str:
    """The language for a reader: the one they chose, else the first of their browser's (Accept-Language) that we speak."""
    if wanted in LANGUAGES:
        return wanted
    for part in _by_quality(accepted):
        if part.partition("-")[0] in LANGUAGES:
            return part.partition("-")[0]
    return SOURCE


def of_request(headers: Mapping[str, str]) -> str:
    """The language for who sends these headers to an app: of their account, as the gateway tells, else of their browser."""
    return choose(headers.get("X-AEN-Language", ""), headers.get("Accept-Language", ""))


def _by_quality(accepted: str) -> Iterable[str]:
    found: list[tuple[float, str]] = []
    for part in accepted[:500].lower().split(","):
        name, _sep, quality = part.strip().partition(";q=")
        try:
            found.append((float(quality or 1), name))
        except ValueError:
            continue
    return (name for _quality, name in sorted(found, key=lambda one: -one[0]))


def filled(text: str, values: Mapping[str, object]) -> str:
    """Fields by name, and nothing else of str.format: texts may hold braces, values may hold anything."""
    if not values:
        return text
    return FIELD.sub(lambda match: str(values[match[1]]) if match[1] in values else match[0], text)


def sayings(script: str) -> list[str]:
    """What a script says: `say("…")` (words.js)."""
    return _SAYING.findall(script)


def decimal(number: float, digits: int = 1) -> str:
    """A number in this task's language, with so many digits behind the point."""
    return f"{number:.{digits}f}".replace(".", "." if LANGUAGE.get() == SOURCE else ",")


def size(number: float) -> str:
    """Bytes for people: 1.5 GB. Powers of 1024, as `4G` in the configuration; the one way of it (scripts: dom.js does the same)."""
    if round(number) < 1024:
        return ngettext("{n} byte", "{n} bytes", round(number))
    for unit in _UNITS:
        number /= 1024
        if number < 1023.5 or unit == _UNITS[-1]:
            break
    tenths = math.floor(number * 10 + 0.5)  # halves go up, as in scripts
    return f"{decimal(tenths / 10) if tenths < 100 else decimal(math.floor(number + 0.5), 0)} {unit}"


def N_(text: str) -> str:
    """`text` itself: it is translated where it is shown."""
    return text


# ── where the texts of apps lie beside this file ──────────────────────────────────────────────────


@cache
def catalog(language: str) -> Catalog:
    """The texts of apps in a language."""
    path = Path(__file__).with_name(f"{language}.json")
    return Catalog(json.loads(path.read_text("utf-8")) if language != SOURCE and language in LANGUAGES else {})


def gettext(text: str, **values: object) -> str:
    """`text` in this task's language, its `{fields}` filled in."""
    return filled(catalog(LANGUAGE.get()).get(text), values)


def ngettext(one: str, many: str, n: int, **values: object) -> str:
    """`one` or `many`, whichever fits `n` (also the field `{n}`)."""
    return gettext(one if n == 1 else many, n=n, **values)


def said(message: str) -> str:
    """A finished English message, in this task's language."""
    return catalog(LANGUAGE.get()).said(message)


@cache
def _sayings(folder: Path) -> list[str]:
    return sorted({text for path in folder.rglob("*.js") for text in sayings(path.read_text("utf-8"))})


def spoken(folder: Path) -> str:
    """What the scripts in a folder say, in this task's language, as JSON (`words.js`); nothing in English."""
    if LANGUAGE.get() == SOURCE:
        return ""
    return json.dumps({text: gettext(text) for text in _sayings(folder)}, ensure_ascii=False)
