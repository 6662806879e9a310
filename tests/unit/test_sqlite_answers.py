"""What SQLite's store remembers to have answered: bounded, and forgotten with the first write."""

from __future__ import annotations

import pytest

from aen.store import Page, Query, sqlite_answers
from aen.store.sqlite_answers import Answers, question


def page(id: str) -> Page:
    return Page([{"id": id, "rev": 1}])


def keep(answers: Answers, collection: str, asked: str, size: int = 10) -> None:
    answers.keep(collection, asked, page(asked), size, answers.moment(collection))


def test_a_write_makes_its_collection_forgotten_and_no_other() -> None:
    answers = Answers()
    keep(answers, "users", "a")
    keep(answers, "projects", "a")
    answers.writing("users")
    assert answers.get("users", "a") is None
    assert answers.get("projects", "a") == page("a")
    keep(answers, "users", "a")
    assert answers.get("users", "a") is None, "it may be from before or after"
    answers.written("users")
    keep(answers, "users", "a")
    assert answers.get("users", "a") == page("a")


def test_nothing_is_kept_while_one_of_several_writes_is_open() -> None:
    answers = Answers()
    answers.writing("users")
    answers.writing("users")
    answers.written("users")
    keep(answers, "users", "a")
    assert answers.get("users", "a") is None


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_answers, "_MOST", 5)
    monkeypatch.setattr(sqlite_answers, "_ALL", 100)
    monkeypatch.setattr(sqlite_answers, "_LARGEST", 50)
    answers = Answers()
    keep(answers, "users", "large", 51)
    assert answers.get("users", "large") is None
    for number in range(20):
        keep(answers, "users", str(number), 1)
        keep(answers, "users", str(number), 1)  # asked by two at once
    assert sum(answers.get("users", str(number)) is not None for number in range(20)) == 5
    keep(answers, "projects", "a", 50)
    keep(answers, "projects", "b", 50)
    assert answers.get("projects", "b") == page("b")
    assert answers.get("users", "19") is None, "it was made room for"
    answers.writing("projects")
    answers.written("projects")
    for name in "cd":  # what was forgotten takes no room
        keep(answers, "users", name, 50)
    assert answers.get("users", "c") == page("c")


def test_kinds_of_values_are_told_apart_and_what_cannot_be_asked_is_no_question() -> None:
    true, one = (question(Query(equal=(("flag", value),))) for value in (True, 1))
    assert true != one
    assert question(Query(low=0)) != question(Query(low=False))
    assert question(Query(equal=(("flag", ["a"]),))) is None
