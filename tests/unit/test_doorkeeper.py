"""Doorkeeper: what is asked for once is kept nowhere; what is asked for again is, in each memory that has one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from markupsafe import Markup

from aen import doorkeeper
from aen.doorkeeper import Doorkeeper
from aen.model.user import User
from aen.roles.server.seen import Seen
from aen.store.sqlite_decoded import Decoded
from aen.web.templates import Pieces
from tests import looking


@pytest.fixture(autouse=True)
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """In other tests all is let in at once."""
    monkeypatch.setattr(Doorkeeper, "knows", looking.knows)


def test_it_knows_what_was_asked_for_before() -> None:
    door = Doorkeeper()
    assert [door.knows(key) for key in ("a", ("a", 1), "a", ("a", 1), ("a", 2))] == [False, False, True, True, False]
    assert not Doorkeeper().knows("a")


def test_it_remembers_the_newest_of_those_with_one_place() -> None:
    door, places = Doorkeeper(), doorkeeper._PLACES
    assert [door.knows(key) for key in (7, 7 + places, 7 + places, 7)] == [False, False, True, False]
    assert not door.knows(-5)
    assert door.knows(-5)


def test_of_many_that_are_asked_for_twice_nearly_all_are_let_in() -> None:
    door = Doorkeeper()
    keys = [("a kind", f"u{number}", 1) for number in range(5_000)]
    assert not sum(map(door.knows, keys))
    assert sum(map(door.knows, keys)) > 4_000


def _pieces() -> Callable[[int], object]:
    pieces = Pieces(lambda: 0)
    return lambda number: pieces.kept("row", lambda user: Markup("{}").format(user.id), _user(number))


def _user(number: int) -> User:
    return User(id=f"u{number}", incarnation="1", rev=1, created=1)


def _seen() -> Callable[[int], object]:
    seen = Seen()
    return lambda number: seen.read(User, _user(number).model_dump(mode="json"))


def _decoded() -> Callable[[int], object]:
    decoded = Decoded()
    return lambda number: decoded.read(f'{{"id": "u{number}"}}')


@pytest.mark.parametrize("memory", [_pieces, _seen, _decoded])
def test_a_memory_keeps_what_is_asked_for_again(memory: Callable[[], Callable[[int], object]]) -> None:
    ask = memory()
    first, second, third = ask(1), ask(1), ask(1)
    assert first == second == third
    assert second is third
    assert first is not second
    assert ask(2) is not ask(2)
