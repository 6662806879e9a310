"""Names: what is allowed, and that no two things ever get the same path, label, address or session id."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aen import names
from aen.errors import Invalid

USERS = st.from_regex(r"[a-z][a-z0-9_-]{0,30}[a-z0-9]", fullmatch=True)
PROJECTS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,30}[a-z0-9]", fullmatch=True)

HOSTILE = [
    "", " ", ".", "..", "-", "_", "a/b", "a\\b", "a\0b", "a\nb", "A", "Alice", "ä", "é", "a b", "a..b/..", "../etc",
    "%2e%2e", "a%2fb", "~", "~root", "$HOME", "a;b", "a'b", 'a"b', "<b>", "{project}", "a" * 33 + "-", "\u202eabc",
    "\ud800", "ａｌｉｃｅ", "а", "a\u200db", ".ssh", "-rf", "--help", "con/..", "a@b", "a:b", "a*", "?", "\t", "a\r",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("check", [names.user, names.project, names.environment, names.node])
def test_hostile_names_are_refused(name: str, check: object) -> None:
    if check is names.environment and name in ("A", "Alice"):
        assert names.environment(name) == name  # environments may have capitals, as conda's have
        return
    with pytest.raises(Invalid) as caught:
        check(name)  # type: ignore[operator]
    assert "\n" not in caught.value.message
    assert "\0" not in caught.value.message


@pytest.mark.parametrize("name", ["root", "aen", "admin", "public", "anonymous", "api", "gateway", "static", "daemon"])
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="reserved"):
        names.user(name)


@pytest.mark.parametrize("name", ["a", "al", "alice", "a1", "a-b", "a_b", "a" * 32])
def test_good_user_names(name: str) -> None:
    assert names.user(name) == name


@pytest.mark.parametrize("name", ["a", "1", "genome", "genome-2", "v1.0", "a_b", "a" * 63])
def test_good_project_names(name: str) -> None:
    assert names.project(name) == name


def test_lengths_end_where_they_should() -> None:
    for check, longest in ((names.user, 32), (names.project, 63), (names.environment, 63)):
        assert check("a" * longest)
        with pytest.raises(Invalid):
            check("a" * (longest + 1))


@given(USERS, PROJECTS, USERS, PROJECTS)
def test_host_labels_are_dns_labels_and_injective(owner: str, name: str, other: str, another: str) -> None:
    label = names.host_label(owner, name)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label)
    assert (label == names.host_label(other, another)) == ((owner, name) == (other, another))


def test_host_labels_that_look_alike_differ() -> None:
    parts = ["a", "a-b", "a--b", "b", "a.b", "a_b", "h", "a--h", "h--a", "a---b", "1--a"]
    labels = [names.host_label(owner, name) for owner, name in itertools.product(parts, parts)]
    assert len(set(labels)) == len(labels)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_bus_addresses_are_injective(role: str, part: str, other: str, another: str) -> None:
    if "." in role or "." in other or not part or not another:
        return
    assert (names.address(role, part) == names.address(other, another)) == ((role, part) == (other, another))


@given(st.lists(st.text(alphabet="abc*-", min_size=1, max_size=4), min_size=6, max_size=6))
def test_session_ids_are_injective_and_fit_into_paths(words: list[str]) -> None:
    first, second = words[:3], words[3:]
    one, two = names.session_id(*first), names.session_id(*second)
    assert re.fullmatch(r"[a-z2-7]{16}", one)
    assert (one == two) == (first == second)


@given(st.text(max_size=80))
def test_a_suggestion_is_always_a_name(text: str) -> None:
    near = names.suggestion(text)
    assert near == "" or names.project(near) == near or near in names.RESERVED_PROJECTS


def test_a_suggestion_reads_well() -> None:
    assert names.suggestion("My Genome/../x") == "my-genome-x"
    assert names.suggestion(" RNA__seq 2.0! ") == "rna_seq-2.0"


@given(USERS, PROJECTS)
def test_slugs_come_apart_again(owner: str, name: str) -> None:
    if owner in names.RESERVED_USERS or name in names.RESERVED_PROJECTS or ".." in name:
        return
    assert names.split_slug(names.slug(owner, name)) == (owner, name)
