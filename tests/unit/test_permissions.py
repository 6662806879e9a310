"""Permissions: every permission against every kind of actor, from one table that can be read."""

from __future__ import annotations

import pytest

from aen.errors import Denied, NotFound, NotSignedIn
from aen.model.project import Member, Project, Role, Visibility
from aen.model.user import Login, LoginKind, User
from aen.roles.server.permissions import RULES, Actor, Permission, allows, check, may_see


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
    "admin": Actor(user("ada", admin=True)),
    "local": Actor(local=True),
}

#: Permission → who may, in a private project.
MAY = {
    Permission.ANYBODY: set(ACTORS),
    Permission.SIGNED_IN: set(ACTORS) - {"anonymous"},
    Permission.ACCOUNT: set(ACTORS) - {"anonymous"},
    Permission.CREATE: set(ACTORS) - {"anonymous"},
    Permission.VIEW: {"viewer", "member", "maintainer", "owner", "admin", "local"},
    Permission.LOOK: {"viewer", "member", "maintainer", "owner"},
    Permission.RUN: {"member", "maintainer", "owner"},
    Permission.CONTROL: {"member", "maintainer", "owner", "admin", "local"},
    Permission.EDIT: {"maintainer", "owner", "admin", "local"},
    Permission.TEAM: {"maintainer", "owner", "admin", "local"},
    Permission.OWN: {"owner", "admin", "local"},
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
    may = MAY[permission] | ({"stranger"} if permission is Permission.VIEW else set())
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
        (["read"], {Permission.VIEW, Permission.SIGNED_IN}),
        (["run"], {Permission.LOOK, Permission.RUN, Permission.CONTROL}),
        (["write"], {Permission.ACCOUNT, Permission.CREATE, Permission.EDIT, Permission.TEAM, Permission.OWN}),
        (["admin"], {Permission.ADMIN}),
        ([], set(Permission) - {Permission.ANYBODY}),
    ],
)
def test_a_token_is_narrowed_by_its_scope(scope: list[str], allowed: set[Permission]) -> None:
    login = Login(id="l", user="olga", incarnation="olga", kind=LoginKind.TOKEN, scope=scope, expires=1)
    actor = Actor(user("olga", admin=True), login)
    assert {p for p in RULES if allows(actor, p, project())} == allowed


def test_names_of_actors() -> None:
    assert [Actor().name, Actor(local=True).name, ACTORS["owner"].name] == ["", "(local)", "olga"]
    assert not ACTORS["stranger"].admin
