"""The catalogs: every text that people read is there, translated, with the same fields. `./dev texts` brings them up to date."""

from __future__ import annotations

import ast

import pytest

from tests import texts

LANGUAGES = [path.stem for path in sorted(texts.LANGUAGES.glob("*.po"))]


@pytest.fixture(scope="module")
def english() -> dict[str, str]:
    return texts.texts()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_in_the_catalog_and_nothing_else(language: str, english: dict[str, str]) -> None:
    known = {str(message.id) for message in texts.catalog(language) if message.id}
    new, old = sorted(english.keys() - known), sorted(known - english.keys())
    assert not new, f"Run ./dev texts, then translate in config/languages/{language}.po: {new}"
    assert not old, f"Run ./dev texts: nobody says this any more: {old}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_with_the_same_fields(language: str) -> None:
    for message in texts.catalog(language):
        text, translation = str(message.id), str(message.string)
        if not text:
            continue
        assert translation, f"config/languages/{language}.po lacks a translation of {text!r}"
        assert texts.fields(text) == texts.fields(translation), f"other fields in {language}: {text!r}"


def test_finished_messages_are_found() -> None:
    source = """
raise Invalid(f"{len(given)} of {limit} for {user.name} or {project.name}.")
log.warning("not for people", message="never seen")
found = Word(reason="It ended." if ended else f"It goes on at {node}.")
"""
    found = list(texts._python("aen/roles/x/y.py", ast.parse(source)))
    assert sorted(found) == ["It ended.", "It goes on at {node}.", "{given} of {limit} for {name} or {name2}."]
