"""Every act that is recorded has words, and what is recorded for the security log can be filtered there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import aen.roles.server
from aen.languages import LANGUAGE
from aen.model.activity import Activity
from aen.roles.server.account.backends import RIGHTS
from aen.web.acts import ACTS, DETAILED, OWN, SECURITY
from aen.web.filters import act_alone, detail
from aen.web.words import JOBS

_RECORDERS = {"record", "_record", "_say", "note", "_changed"}
_FUNCTION = ast.AsyncFunctionDef
_ACT = re.compile(r"[a-z_]+\.[a-z_-]+")


def _recorded() -> Iterator[tuple[str, bool]]:
    """Acts that stand in calls, and whether it is said there that they are of the security log."""
    (folder,) = aen.roles.server.__path__
    for file in Path(folder).rglob("*.py"):
        tree = ast.parse(file.read_text())
        always = {"note", *(one.name for one in ast.walk(tree) if isinstance(one, _FUNCTION) and _secure(one))}
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _RECORDERS:
                secure = call.func.attr in always or _secure(call)
                texts = [
                    part for argument in call.args for part in ast.walk(argument) if isinstance(part, ast.Constant)
                ]
                yield from ((str(text.value), secure) for text in texts if _ACT.fullmatch(str(text.value)))


def _secure(tree: ast.AST) -> bool:
    """Whether `security=` is said in it; of a function that others here record by, that counts for them."""
    return any(isinstance(one, ast.keyword) and one.arg == "security" for one in ast.walk(tree))


def test_each_act_has_words() -> None:
    found = {act for act, _ in _recorded()}
    assert len(found) > 50
    assert found - ACTS.keys() == set()
    assert OWN.keys() <= ACTS.keys()


def test_the_security_log_can_be_filtered_by_all_that_stands_there() -> None:
    given = {act for pair in RIGHTS.values() for act in pair}
    assert ({act for act, secure in _recorded() if secure} | given) <= SECURITY
    assert ACTS.keys() >= SECURITY


def test_no_two_of_them_read_alike() -> None:
    assert len({act_alone(act) for act in SECURITY}) == len(SECURITY)


def test_by_themselves_they_are_whole() -> None:
    """What is counted, or chosen from a list, ends with no word that waits for another."""
    for act in ACTS:
        alone = act_alone(act)
        assert not alone.endswith((":", " as", ",")), act


@pytest.mark.parametrize(
    ("act", "text", "german"),
    [
        ("team.role", "maintainer", "Betreuer"),
        ("project.renamed", "from old to new", "von old zu new"),
        ("user.allowed", "as for everybody", "wie für alle"),
        ("user.allowed", "projects 3", "projects 3"),
        ("dashboard.deployed", "Settings", "Settings"),  # what people wrote is nobody's to translate
        ("publication.made", "member", "member"),
    ],
)
def test_details_are_in_the_readers_language_where_they_are_ours(act: str, text: str, german: str) -> None:
    entry = Activity(id="a", who="bob", actor="alice", act=act, detail=text)
    assert detail(entry) == text
    before = LANGUAGE.set("de")
    try:
        assert detail(entry) == german
    finally:
        LANGUAGE.reset(before)


def test_acts_with_words_of_ours_are_acts() -> None:
    assert ACTS.keys() >= DETAILED


def test_every_kind_of_job_has_words() -> None:
    """What the server registers, however it names it."""
    (folder,) = aen.roles.server.__path__
    found = set()
    for file in Path(folder).rglob("*.py"):
        text = file.read_text()
        for name in re.findall(r"jobs\.handle\(([^,]+),", text):
            imported = re.search(rf"from ([\w.]+) import [^\n]*\b{re.escape(name)}\b", text)
            module = (
                imported[1]
                if imported
                else "aen.roles.server." + ".".join(file.relative_to(folder).with_suffix("").parts)
            )
            found.add(ast.literal_eval(name) if name.startswith('"') else getattr(import_module(module), name))
    assert len(found) > 5
    assert found == JOBS.keys()
