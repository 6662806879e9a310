"""Seen: a document is made into a model once, and never shown as what it was."""

from __future__ import annotations

import pytest

from aen.model.project import Project
from aen.model.user import User
from aen.roles.server.seen import Seen


def doc(**more: object) -> dict[str, object]:
    return {**User(id="ada", incarnation="1", rev=1, created=1).model_dump(mode="json"), **more}


def test_the_same_document_is_the_same_model() -> None:
    seen = Seen()
    assert seen.read(User, doc()) is seen.read(User, doc())


def test_what_was_changed_or_is_somebody_elses_is_read_anew() -> None:
    seen = Seen()
    assert seen.read(User, doc(full_name="Ada")).full_name == "Ada"
    assert seen.read(User, doc(full_name="Ada L.", rev=2)).full_name == "Ada L."
    assert seen.read(User, doc(full_name="Another", created=2)).full_name == "Another"  # the name was given again
    project = Project(id="ada", slug="a/b", owner="a", name="b", datacenter="main", rev=1, created=1)
    assert isinstance(seen.read(Project, project.model_dump(mode="json")), Project)


def test_it_is_bounded_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.roles.server.seen._MOST", 10_000)
    seen = Seen()
    first = seen.read(User, doc())
    for number in range(20):
        seen.read(User, doc(id=f"u{number}"))
        assert seen._size == sum(size for _, size in seen._models.values()) <= 10_000
    assert seen.read(User, doc()) is not first
    last = seen.read(User, doc())
    seen.read(User, doc(id="long", full_name="x" * 30_000))
    assert (seen._models, seen._size) == ({}, 0)
    assert seen.read(User, doc()) is not last


def test_of_a_document_its_newest_is_kept_alone() -> None:
    seen = Seen()
    for rev in range(1, 50):
        assert seen.read(User, doc(rev=rev)).rev == rev
    assert seen.read(User, doc(rev=1)).rev == 1, "one that was read before a write, and comes after it"
    assert len(seen._models) == 1
