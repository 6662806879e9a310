"""Languages: choosing one, filling texts, and messages that were put together far from their reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aen import languages
from aen.languages import LANGUAGE, SOURCE, choose, gettext, ngettext, said
from aen.languages.user_side.aen_languages import Catalog


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small German catalog of our own, spoken."""
    catalog = {
        "{n} file": "{n} Datei",
        "{n} files": "{n} Dateien",
        "Saved.": "Gesichert.",
        "There is no project {name}.": "Es gibt kein Projekt {name}.",
        "{name}: {why}": "never used",
    }
    spoken = {"de": Catalog(catalog)}
    monkeypatch.setattr(languages, "_catalog", lambda language: spoken.get(language, Catalog({})))
    token = LANGUAGE.set("de")
    yield
    LANGUAGE.reset(token)


@pytest.mark.parametrize(
    ("wanted", "accepted", "found"),
    [
        ("", "", "en"),
        ("de", "en", "de"),
        ("xx", "de-AT,en;q=0.5", "de"),
        ("", "fr, de;q=0.3, en;q=0.7", "en"),
        ("", "fr;q=x, de;q=0.1", "de"),
        ("", ";;;,,,q=1" * 1000, "en"),
    ],
)
def test_choosing(wanted: str, accepted: str, found: str) -> None:
    assert choose(wanted, accepted) == found


def test_english_is_what_stands_in_the_source() -> None:
    assert gettext("{n} of {all}", n=1) == "1 of {all}"
    assert said("There is no project x.") == "There is no project x."


def test_fields(german: None) -> None:
    assert [ngettext("{n} file", "{n} files", n) for n in (0, 1, 2)] == ["0 Dateien", "1 Datei", "2 Dateien"]
    assert gettext("not translated {x}", x="{y}") == "not translated {y}"


def test_finished_messages(german: None) -> None:
    assert said("Saved.") == "Gesichert."
    assert said("There is no project {n} (a).b*.") == "Es gibt kein Projekt {n} (a).b*."
    assert said("bob: gone") == "bob: gone"


def test_every_catalog_can_be_read() -> None:
    for language in languages.LANGUAGES:
        if language != SOURCE:
            languages._catalog.cache_clear()
            assert languages._catalog(language)._texts
