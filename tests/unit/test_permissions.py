"""Permissions: every permission against every kind of actor, from one table that can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from aen.errors import Denied, Invalid, NotFound, NotSignedIn
from aen.model import scopes
from aen.model.project import Member, Project, Role, Visibility
from aen.model.user import Login, LoginKind, User
from aen.roles.server.permissions import RULES, Actor, Permission, allows, check, may_see
from aen.roles.server.rights import markdown


def user(name: str, *, admin: bool = False) -> User:
    return User(id=name, incarnation=name, admin=admin)


def project(visibility: Visibility = Visibility.PRIVATE) -> Project:
    team = [
        Member(user="olga", role=Role.OWNER),
        Member(user="mary", role=Role.MAINTAINER),
        Member(user="mike", role=Role.MEMBER),
        Member(user="vera", role=Role.VIEWER),
    ]
    return Project(
        id="p1",
        slug="olga/genome",
        owner="olga",
        name="genome",
        datacenter="main",
        team=team,
        members=[member.user for member in team],
        visibility=visibility,
    )


ACTORS = {
    "anonymous": Actor(),
    "stranger": Actor(user("sam")),
    "viewer": Actor(user("vera")),
    "member": Actor(user("mike")),
    "maintainer": Actor(user("mary")),
    "owner": Actor(user("olga")),
    "staff": Actor(User(id="sue", incarnation="sue", staff=True)),
    "admin": Actor(user("ada", admin=True)),
    "local": Actor(local=True),
}

#: Permission → who may, in a private project.
MAY = {
    Permission.ANYBODY: set(ACTORS),
    Permission.SIGNED_IN: set(ACTORS) - {"anonymous"},
    Permission.LIST: set(ACTORS) - {"anonymous"},
    Permission.ACCOUNT: set(ACTORS) - {"anonymous"},
    Permission.CREATE: set(ACTORS) - {"anonymous"},
    Permission.VIEW: {"viewer", "member", "maintainer", "owner", "admin", "local"},
    Permission.LOOK: {"viewer", "member", "maintainer", "owner"},
    Permission.WATCH: set(ACTORS) - {"anonymous"},  # whom a dashboard is for, it says itself
    Permission.RUN: {"member", "maintainer", "owner"},
    Permission.CONTROL: {"member", "maintainer", "owner", "admin", "local"},
    Permission.EDIT: {"maintainer", "owner", "admin", "local"},
    Permission.TEAM: {"maintainer", "owner", "admin", "local"},
    Permission.OWN: {"owner", "admin", "local"},
    Permission.STAFF: {"staff", "admin", "local"},
    Permission.ADMIN: {"admin", "local"},
}


def test_the_table_names_every_permission() -> None:
    assert set(MAY) == set(Permission)
    assert set(RULES) == set(Permission) - {Permission.ANYBODY}


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("who", list(ACTORS))
def test_private_project(who: str, permission: Permission) -> None:
    assert allows(ACTORS[who], permission, project()) == (who in MAY[permission])


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("who", list(ACTORS))
def test_public_project_lets_everybody_look_and_no_more(who: str, permission: Permission) -> None:
    may = MAY[permission] | ({"stranger", "staff"} if permission is Permission.VIEW else set())
    assert allows(ACTORS[who], permission, project(Visibility.PUBLIC)) == (who in may)


def test_what_one_may_not_see_is_not_found() -> None:
    with pytest.raises(NotFound):
        check(ACTORS["stranger"], Permission.OWN, project())
    with pytest.raises(Denied, match="needs the role owner"):
        check(ACTORS["stranger"], Permission.OWN, project(Visibility.PUBLIC))
    with pytest.raises(NotSignedIn):
        check(ACTORS["anonymous"], Permission.VIEW, project(Visibility.PUBLIC))
    assert not may_see(ACTORS["anonymous"], project(Visibility.PUBLIC))


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (["read"], {Permission.VIEW, Permission.SIGNED_IN, Permission.LIST}),
        (["run"], {Permission.LOOK, Permission.WATCH, Permission.RUN, Permission.CONTROL}),
        (["write"], {Permission.ACCOUNT, Permission.CREATE, Permission.EDIT, Permission.TEAM, Permission.OWN}),
        (["admin"], {Permission.STAFF, Permission.ADMIN}),
        (["staff"], {Permission.STAFF}),
        ([], set(Permission) - {Permission.ANYBODY}),
        (["projects:read"], {Permission.VIEW, Permission.LIST}),
        (["projects:read!project=olga/genome"], {Permission.VIEW}),
        (["projects:read!project=olga/genome2"], set()),
        (["projects:read!project=olga/genom"], set()),
        (
            ["sessions:write!project=olga/genome"],
            {Permission.VIEW, Permission.LOOK, Permission.WATCH, Permission.RUN, Permission.CONTROL},
        ),
        (["sessions:look"], {Permission.VIEW, Permission.LIST, Permission.LOOK, Permission.WATCH}),
        (["projects:team!project=olga/genome"], {Permission.VIEW, Permission.TEAM}),
        (["account:read"], {Permission.SIGNED_IN}),
        (["account:write"], {Permission.ACCOUNT}),
        (["unknown:read"], set()),
        (["run!project=olga/genome"], {Permission.LOOK, Permission.WATCH, Permission.RUN, Permission.CONTROL}),
        (["admin!project=olga/genome"], set()),
    ],
)
def test_a_token_is_narrowed_by_its_scope(scope: list[str], allowed: set[Permission]) -> None:
    login = Login(id="l", user="olga", incarnation="olga", kind=LoginKind.TOKEN, scope=scope, expires=1)
    actor = Actor(user("olga", admin=True), login)
    assert {p for p in RULES if allows(actor, p, project())} == allowed


def test_names_of_actors() -> None:
    assert [Actor().name, Actor(local=True).name, ACTORS["owner"].name] == ["", "(local)", "olga"]
    assert not ACTORS["stranger"].admin


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("root", "no scope"),
        ("", "no scope"),
        ("READ", "no scope"),
        ("projects:read!project=", "name"),
        ("projects:read!project=olga", "name"),
        ("projects:read!project=olga/*", "name"),
        ("projects:read!project=*/*", "name"),
        ("projects:read!project=../olga", "name"),
        ("projects:read!user=olga", "no scope"),
        ("account:write!project=olga/genome", "bound"),
        ("admin!project=olga/genome", "bound"),
        ("read!project=olga/genome", "bound"),
        ("projects:create!project=olga/genome", "bound"),
    ],
)
def test_scopes_that_are_none(given: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        scopes.checked([given])


@pytest.mark.parametrize(
    ("held", "wanted", "may"),
    [
        (["read"], "read", True),
        (["read"], "run", False),
        (["projects:read"], "projects:read!project=a/b", True),
        (["projects:read!project=a/b"], "projects:read", False),
        (["projects:read!project=a/b"], "projects:read!project=a/c", False),
        (["projects:read!project=a/b", "sessions:write"], "sessions:write!project=a/c", True),
        (["sessions:write"], "projects:read", False),
    ],
)
def test_a_narrow_token_makes_no_wider_one(held: list[str], wanted: str, may: bool) -> None:
    assert scopes.covers(held, wanted) is may


@pytest.mark.parametrize(
    ("given", "projects"),
    [
        ([], None),
        (["run"], None),
        (["read"], frozenset()),
        (["sessions:look"], frozenset()),
        (["sessions:write!project=a/b", "read"], frozenset({"a/b"})),
        (["sessions:write!project=a/b", "sessions:write"], None),
    ],
)
def test_whose_apps_a_token_may_use(given: list[str], projects: frozenset[str] | None) -> None:
    assert scopes.may_run(given) == projects


@pytest.mark.parametrize(
    ("given", "projects"),
    [
        ([], None),
        (["sessions:look"], None),
        (["read"], frozenset()),
        (["sessions:look!project=a/b", "sessions:write!project=c/d"], frozenset({"a/b", "c/d"})),
    ],
)
def test_whose_dashboards_a_token_may_open(given: list[str], projects: frozenset[str] | None) -> None:
    assert scopes.may_look(given) == projects


@pytest.mark.parametrize(
    ("scope", "may"), [("sessions:look", True), ("sessions:write", True), ("projects:read", False)]
)
def test_a_token_of_one_project_opens_the_dashboards_of_that_one(scope: str, may: bool) -> None:
    here = project()
    login = Login(
        id="l", user="ada", incarnation="ada", kind=LoginKind.TOKEN, scope=[f"{scope}!project={here.slug}"], expires=1
    )
    actor = Actor(user("ada"), login)
    assert allows(actor, Permission.WATCH) is may  # which project it is is asked again
    assert allows(actor, Permission.WATCH, here) is may
    assert not allows(actor, Permission.WATCH, here.model_copy(update={"slug": "ada/other"}))


def test_a_narrowed_administrator_is_none() -> None:
    for scope, admin in ([], True), (["admin"], True), (["read", "write"], False), (["projects:own"], False):
        login = Login(id="l", user="ada", incarnation="ada", kind=LoginKind.TOKEN, scope=scope, expires=1)
        actor = Actor(user("ada", admin=True), login)
        assert actor.admin is admin
        assert may_see(actor, project()) is admin


def test_narrowed_staff_are_none() -> None:
    for scope, staff in ([], True), (["staff"], True), (["admin"], True), (["read", "write"], False):
        login = Login(id="l", user="sue", incarnation="sue", kind=LoginKind.TOKEN, scope=scope, expires=1)
        actor = Actor(User(id="sue", incarnation="sue", staff=True), login)
        assert actor.staff is staff
        assert not actor.admin
        assert allows(actor, Permission.STAFF) is staff
        assert not allows(actor, Permission.ADMIN)


def test_who_acts_as_one_of_the_staff_has_none_of_their_rights() -> None:
    login = Login(id="l", user="sue", incarnation="sue", kind=LoginKind.BROWSER, acting="ada", expires=1)
    assert not allows(Actor(User(id="sue", incarnation="sue", staff=True), login), Permission.STAFF)


def test_the_page_of_rights_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "rights.md"
    assert page.read_text() == markdown(), "run `python -m aen.roles.server.rights > docs/rights.md`"


def test_of_a_deleted_project_only_its_return_is_left() -> None:
    deleted = project(Visibility.PUBLIC).model_copy(update={"ends": 1})
    left = {Permission.ANYBODY, Permission.SIGNED_IN, Permission.LIST, Permission.VIEW, Permission.OWN}
    assert {permission for permission in Permission if allows(ACTORS["owner"], permission, deleted)} == left
    assert not may_see(ACTORS["stranger"], deleted)
    with pytest.raises(Denied, match="can restore it"):
        check(ACTORS["owner"], Permission.RUN, deleted)
