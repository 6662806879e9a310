"""Languages: choosing one, filling texts, and messages that were put together far from their reader."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from aen import languages
from aen.languages import LANGUAGE, SOURCE, choose, gettext, ngettext, said, size
from aen.languages.user_side.aen_languages import Catalog
from tests import texts


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


SIZES = {
    0: "0 bytes",
    1: "1 byte",
    1023: "1023 bytes",
    1024: "1.0 KB",
    1280: "1.3 KB",  # halves go up
    10_188: "9.9 KB",
    10_189: "10 KB",  # never 10.0
    10_752: "11 KB",
    1_048_063: "1023 KB",
    1_048_064: "1.0 MB",  # never 1024 KB
    1_572_864: "1.5 MB",
    20 << 30: "20 GB",
    5 << 50: "5120 TB",
}


@pytest.mark.parametrize("number", SIZES)
def test_sizes(number: int) -> None:
    """One rule for pages, messages, the terminal and apps; what scripts say is compared with it in the browser."""
    assert size(number) == SIZES[number]


def test_sizes_in_german(german: None) -> None:
    assert (size(1), size(1536), size(300 << 30)) == ("1 Byte", "1,5 KB", "300 GB")


def test_sizes_are_written_by_one_rule_only() -> None:
    """No text has a unit of its own: what may be 20 GB is no "20480 MB" or "20 GiB" elsewhere."""
    alone = ("aen/errands/user_side/", "aen/contents/user_side/")  # programs that run by themselves, with whole MB
    unit = re.compile(r"\b[KMGT]iB\b|\bkB\b|\} [KMGT]B\b")
    assert [text for text, path in texts.texts().items() if unit.search(text) and not path.startswith(alone)] == []
