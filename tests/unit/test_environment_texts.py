"""What people write of environments, and what is told of them: packages as they are typed, output without passwords, results."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from aen.errors import AenError, Conflict, Unavailable
from aen.roles.compute.environments import shown
from aen.roles.compute.user_program import MARK, result_of
from aen.roles.server.pages.project.environments import split


@pytest.mark.parametrize(
    ("typed", "packages"),
    [
        ("pandas", ["pandas"]),
        ("pandas>=2 scikit-learn", ["pandas>=2", "scikit-learn"]),
        ("pandas >=2, <3\nrich", ["pandas>=2,<3", "rich"]),
        ("a, b,c ; d", ["a", "b", "c", "d"]),
        ("uvicorn[standard, extra]==1.0", ["uvicorn[standard,extra]==1.0"]),
        ("thing @ https://example.org/thing-1.whl", ["thing@https://example.org/thing-1.whl"]),
        (" \n ", []),
    ],
)
def test_packages_as_people_type_them(typed: str, packages: list[str]) -> None:
    assert split(typed) == packages


def test_output_holds_no_passwords_and_no_result() -> None:
    said = f"Looking at https://bob:secret@pypi.example.org/simple\n\x1b[31mred\x00\n{MARK}abc\n"
    assert shown(said) == "Looking at https://…@pypi.example.org/simple\n[31mred"
    assert len(shown("x" * 100_000)) < 20_000


def packed(data: object) -> str:
    return f"said\n{MARK}{base64.b64encode(zlib.compress(json.dumps(data).encode())).decode()}\n"


def test_a_result_is_the_last_one_and_nothing_else() -> None:
    assert result_of(packed({"ok": True, "a": 1})) == {"a": 1}
    assert result_of(packed({"ok": False}) + packed({"ok": True})) == {}
    with pytest.raises(Conflict, match="no such"):
        result_of(packed({"ok": False, "reason": "no such thing"}))


@pytest.mark.parametrize("log", ["", "said", MARK, f"{MARK}!!!", f"{MARK}AAAA", packed([]), packed({}), packed("x")])
def test_what_is_no_result_is_told(log: str) -> None:
    with pytest.raises(Unavailable):
        result_of(log)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(b"[" * (64 << 20))).decode()
    with pytest.raises(AenError):
        result_of(f"{MARK}{bomb}")
