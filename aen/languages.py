"""Languages: the words that people read, in the language of who reads them. Texts stand in English where they are used.

`_("{name} is locked.", name=user)` gives the text in the language of this task; `N_` only marks one for the catalogs.
Catalogs are gettext's (`config/languages/<language>.po`), read when a language is first used. `./dev texts` renews them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from typing import Any

from babel.messages.pofile import read_po
from markupsafe import Markup

from aen.config.files import packaged

#: What AEN speaks: the language's code and its own name. The first is what texts are written in.
LANGUAGES = {"en": "English", "de": "Deutsch"}
SOURCE = "en"

LANGUAGE: ContextVar[str] = ContextVar("language", default=SOURCE)

_FIELD = re.compile(r"\{(\w*)\}")


def gettext(text: str, **values: object) -> str:
    """`text` in this task's language, its `{fields}` filled in."""
    found = _catalog(LANGUAGE.get()).get(text, text)
    return _filled(found, values)


def ngettext(one: str, many: str, n: int, **values: object) -> str:
    """`one` or `many`, whichever fits `n` (also the field `{n}`). Both languages that AEN speaks count alike."""
    return gettext(one if n == 1 else many, n=n, **values)


_ = gettext


def N_(text: str) -> str:
    """`text` itself: it is translated where it is shown."""
    return text


def said(message: str) -> str:
    """A finished English message (of an error, a job, a node), in this task's language.

    It was put together far from the reader; so the catalog's texts with fields are matched against it.
    """
    language = LANGUAGE.get()
    if language == SOURCE or not message:
        return message
    catalog = _catalog(language)
    if message in catalog:
        return catalog[message]
    for pattern, translation, fields in _patterns(language):
        match = pattern.fullmatch(message)
        if match is not None:
            return _filled(translation, dict(zip(fields, match.groups(), strict=True)))
    return message


def choose(wanted: str, accepted: str) -> str:
    """The language for a reader: the one they chose, else the first of their browser's (Accept-Language) that we speak."""
    if wanted in LANGUAGES:
        return wanted
    for part in _by_quality(accepted):
        if part.partition("-")[0] in LANGUAGES:
            return part.partition("-")[0]
    return SOURCE


def _by_quality(accepted: str) -> Iterable[str]:
    found: list[tuple[float, str]] = []
    for part in accepted[:500].lower().split(","):
        name, _sep, quality = part.strip().partition(";q=")
        try:
            found.append((float(quality or 1), name))
        except ValueError:
            continue
    return (name for _quality, name in sorted(found, key=lambda one: -one[0]))


def _filled(text: str, values: dict[str, Any]) -> str:
    """Fields by name, and nothing else of str.format: texts may hold braces, values may hold anything.

    With a value that is HTML (as of a template's filter) the whole is: then everything else is escaped.
    """
    if not values:
        return text
    if any(hasattr(value, "__html__") for value in values.values()):
        return Markup("").join(_pieces(text, values))
    return _FIELD.sub(lambda match: str(values[match[1]]) if match[1] in values else match[0], text)


def _pieces(text: str, values: dict[str, Any]) -> Iterable[Any]:
    for index, part in enumerate(_FIELD.split(text)):
        yield part if index % 2 == 0 else values.get(part, f"{{{part}}}")


@cache
def _catalog(language: str) -> dict[str, str]:
    """The translations that are finished, by their English text."""
    if language == SOURCE or language not in LANGUAGES:
        return {}
    with (packaged("config") / "languages" / f"{language}.po").open("rb") as file:
        messages = read_po(file, locale=language)
    return {str(one.id): str(one.string) for one in messages if one.id and one.string and not one.fuzzy}


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str, list[str]]]:
    """The texts with fields, as patterns; the most definite (longest) first."""
    found = []
    for text, translation in sorted(_catalog(language).items(), key=lambda item: -len(_FIELD.sub("", item[0]))):
        fields = _FIELD.findall(text)
        if fields and len(_FIELD.sub("", text)) >= 8:  # of "{name}: {why}" too little is left to know it by
            pattern = "(.+?)".join(re.escape(part) for part in _FIELD.split(text)[::2])
            found.append((re.compile(pattern, re.DOTALL), translation, fields))
    return found
