"""The catalogs: every text that people read is there, translated, with the same fields. `./dev texts` brings them up to date."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

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


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_apps_say_goes_with_them(language: str) -> None:
    """Each text that stands in their code, translated; else `./dev texts` was not run."""
    copied = json.loads(texts.copy_for_apps(language).read_text())
    assert copied == texts.of_apps(language), "Run ./dev texts"
    said = {text for path, text in texts._all() if path.startswith(texts.APPS)}
    assert sorted(said - copied.keys()) == []
    assert len(said) > 200


LITERAL = re.compile(r"""(?<!say\()(?:"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)""")
WORDS = re.compile(r"[A-Z][a-z]+ .*[a-z]{2}.*|.*[a-z]{2}[,.;:]? [a-z]{2}.*[.…?!]|[A-Z][a-z]+[.…]")


def unsaid(script: str) -> list[str]:
    """What looks like words for people, and is not in `say("…")`."""
    lines = [re.sub(r"(^|\s)//.*", "", line) for line in script.splitlines()]
    found = [re.sub(r"\$\{[^}]*\}", "{}", "".join(one.groups(""))) for line in lines for one in LITERAL.finditer(line)]
    return [text for text in found if WORDS.fullmatch(text)]


@pytest.mark.parametrize("path", sorted((texts.ROOT / texts.APPS).rglob("*.js")), ids=lambda path: path.name)
def test_scripts_of_apps_say_what_people_read(path: Path) -> None:
    """A sentence that is not in `say("…")` would be English in every language."""
    assert unsaid(path.read_text()) == []


def test_a_sentence_is_found() -> None:
    assert unsaid('toast("Moved to the trash.");') == ["Moved to the trash."]
    assert unsaid("toast(`${n} things moved.`); h(`Saving…`)") == ["{} things moved.", "Saving…"]
    assert (
        unsaid('toast(say("Moved to the trash.")); h("svg", { viewBox: "0 0 24 24", className: `btn ${kind}` })') == []
    )


def test_finished_messages_are_found() -> None:
    source = """
raise Invalid(f"{len(given)} of {limit} for {user.name} or {project.name}.")
log.warning("not for people", message="never seen")
found = Word(reason="It ended." if ended else f"It goes on at {node}.")
"""
    found = list(texts._python("aen/roles/x/y.py", ast.parse(source)))
    assert sorted(found) == ["It ended.", "It goes on at {node}.", "{given} of {limit} for {name} or {name2}."]
