"""Languages: the words that people read, in the language of who reads them. Texts stand in English where they are used.

`_("{name} is locked.", name=user)` gives the text in the language of this task; `N_` only marks one for the catalogs.
Catalogs are gettext's (`config/languages/<language>.po`), read when a language is first used. `./dev texts` renews them,
and what of them goes with the apps (`user_side`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po
from markupsafe import Markup

from aen.config.files import packaged
from aen.languages.user_side.aen_languages import (
    FIELD,
    LANGUAGE,
    LANGUAGES,
    N_,
    SOURCE,
    Catalog,
    choose,
    filled,
    of_request,
    sayings,
    size,
)

__all__ = [
    "LANGUAGE",
    "LANGUAGES",
    "N_",
    "SOURCE",
    "USER_SIDE",
    "choose",
    "gettext",
    "ngettext",
    "of_request",
    "said",
    "sayings",
    "size",
]

#: How apps do the same: copied into the site-packages of the `apps` environment.
USER_SIDE = Path(__file__).with_name("user_side") / "aen_languages"


def gettext(text: str, **values: object) -> str:
    """`text` in this task's language, its `{fields}` filled in."""
    shown = _catalog(LANGUAGE.get()).get(text)
    return _filled(shown, values) if values else shown


def ngettext(one: str, many: str, n: int, **values: object) -> str:
    """`one` or `many`, whichever fits `n` (also the field `{n}`). Both languages that AEN speaks count alike."""
    return gettext(one if n == 1 else many, n=n, **values)


_ = gettext


def said(message: str) -> str:
    """A finished English message (of an error, a job, a node), in this task's language.

    It was put together far from the reader; so the catalog's texts with fields are matched against it.
    """
    return _catalog(LANGUAGE.get()).said(message)


def _filled(text: str, values: dict[str, Any]) -> str:
    """With a value that is HTML (as of a template's filter) the whole is: then everything else is escaped."""
    if any(hasattr(value, "__html__") for value in values.values()):
        return Markup("").join(_pieces(text, values))
    return filled(text, values)


def _pieces(text: str, values: dict[str, Any]) -> Iterable[Any]:
    for index, part in enumerate(FIELD.split(text)):
        yield part if index % 2 == 0 else values.get(part, f"{{{part}}}")


@cache
def _catalog(language: str) -> Catalog:
    """The translations that are finished."""
    if language == SOURCE or language not in LANGUAGES:
        return Catalog({})
    with (packaged("config") / "languages" / f"{language}.po").open("rb") as file:
        messages = read_po(file, locale=language)
    return Catalog({str(one.id): str(one.string) for one in messages if one.id and one.string and not one.fuzzy})
