"""Signing in by LDAP, against a real slapd: who may, who may not, what a hostile name does, what happens when it is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aen.errors import AenError, Denied, Invalid, NotSignedIn, Unavailable
from aen.model.user import User
from aen.roles.server.account.accounts import UserPatch
from tests.directory import BASE, Slapd, group, needs_slapd, person, slapd
from tests.served import PASSWORD, ROOT, Served, served

pytestmark = [needs_slapd, pytest.mark.asyncio(loop_scope="module")]

PEOPLE = (
    person("ada", "ada's own word", "Ada Lovelace")
    + person("Grace.Hopper", "grace's own word")
    + person("Eve", "eve's own word")
    + person("root1", "not the administrator")
    + person("a*", "star's own word")
    + person("root", "root's own word")
    + group("aen", "ada", "Grace.Hopper", "root1")
    + group("bosses", "Grace.Hopper")
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Slapd]:
    async with slapd(tmp_path_factory.mktemp("ldap"), PEOPLE) as running:
        yield running


def login(directory: Slapd, **ldap: object) -> dict[str, Any]:
    return {"backends": ["ldap", "local"], "attempts": 1000, "ldap": directory.options(**ldap)}


async def enter(server: Served, name: str, password: str) -> User:
    made = await server.domain.accounts.sign_in(name, password, "127.0.0.9", "test")
    user = await server.domain.accounts.find(made.user)
    assert user is not None
    return user


async def test_the_first_login_makes_the_account(directory: Slapd, tmp_path: Path) -> None:
    async with served(tmp_path, login=login(directory)) as server:
        user = await enter(server, "ada", "ada's own word")
        assert (user.id, user.full_name, user.email) == ("ada", "Ada Lovelace", "ada@example.org")
        assert (user.login_backend, user.password, user.admin) == ("ldap", "", False)
        assert user.login_subject.startswith("ldap:")
        assert (await enter(server, "  ADA ", "ada's own word")).incarnation == user.incarnation
        assert (await enter(server, "grace.HOPPER", "grace's own word")).id == "grace-hopper"
        browser = await server.nobody(origin=server.url, headers={"Accept": "text/html"})
        answer = await browser.post("/login", data={"name": "Ada", "password": "ada's own word"})
        assert answer.status == 303
        assert (await browser.get("/api/v1/me")).json["name"] == "ada"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", ""),  # an anonymous bind, which this server lets in
        ("ada", "wrong"),
        ("", ""),
        ("*", "ada's own word"),
        ("ad*", "ada's own word"),
        ("*)(uid=*", "ada's own word"),
        ("ada)(|(uid=*", "ada's own word"),
        ("ada)(cn=*))%00", "ada's own word"),
        ("ada\x00", "ada's own word"),
        ("ada\\2a", "ada's own word"),
        ("uid=ada,ou=people", "ada's own word"),
        ("ada@example.org", "ada's own word"),  # no such domain is configured
        ("CORP\\ada", "ada's own word"),
        ("nobody-here", "ada's own word"),
        ("x" * 100_000, "ada's own word"),
        ("ada", "x" * 2000),
        ("ａｄａ", "ada's own word"),  # full width
    ],
)
async def test_what_is_not_let_in(directory: Slapd, tmp_path: Path, name: str, password: str) -> None:
    async with served(tmp_path, login=login(directory)) as server:
        with pytest.raises(NotSignedIn, match="name or the password is wrong"):
            await enter(server, name, password)
        assert await server.domain.accounts.find("ada") is None


@pytest.mark.parametrize("name", ["root", "a*"])
async def test_names_that_no_account_may_have(directory: Slapd, tmp_path: Path, name: str) -> None:
    async with served(tmp_path, login=login(directory)) as server:
        with pytest.raises(Denied, match="name"):
            await enter(server, name, "root's own word" if name == "root" else "star's own word")


@pytest.mark.parametrize("how", ["starttls", "ldaps", "direct", "second"])
async def test_ways_to_the_directory(directory: Slapd, tmp_path: Path, how: str) -> None:
    direct: dict[str, object] = {"bind_dn": "", "bind_password": "", "user_dn": f"uid={{name}},ou=people,{BASE}"}
    more: dict[str, dict[str, object]] = {
        "starttls": {},
        "ldaps": {"servers": [directory.tls_url]},
        "direct": direct,
        "second": {"servers": ["ldap://127.0.0.1:9", directory.url]},
    }
    async with served(tmp_path, login=login(directory, **more[how])) as server:
        assert (await enter(server, "Ada", "ada's own word")).id == "ada"
        for password in ("", "wrong"):
            with pytest.raises(NotSignedIn):
                await enter(server, "ada", password)
        with pytest.raises(NotSignedIn):
            await enter(server, "ada,ou=people", "ada's own word")


@pytest.mark.parametrize("broken", ["foreign", "host", "down", "reader"])
async def test_a_directory_that_cannot_be_trusted_or_asked(directory: Slapd, tmp_path: Path, broken: str) -> None:
    more: dict[str, dict[str, object]] = {
        "foreign": {"ca": None},  # the system's authorities did not sign this certificate
        "host": {"servers": [f"ldap://127.0.0.1:{directory.port}"]},  # the certificate is localhost's
        "down": {"servers": ["ldap://127.0.0.1:9"]},
        "reader": {"bind_password": "another one"},
    }
    async with served(tmp_path, login=login(directory, **more[broken])) as server:
        with pytest.raises(Unavailable, match="directory"):
            await enter(server, "ada", "ada's own word")
        # The local administrator gets in whatever the directory does: break-glass.
        assert (await enter(server, "root1", PASSWORD)).admin


async def test_a_local_administrator_is_nobody_elses(directory: Slapd, tmp_path: Path) -> None:
    only = {**login(directory), "backends": ["ldap"]}
    async with served(tmp_path, login=only) as server:
        assert (await enter(server, "root1", PASSWORD)).id == "root1"
        with pytest.raises(NotSignedIn):
            await enter(server, "root1", "not the administrator")
        await server.person("plain")
        with pytest.raises(NotSignedIn):  # local is not among the back ends: only administrators are let in by it
            await enter(server, "plain", PASSWORD)


async def test_groups(directory: Slapd, tmp_path: Path) -> None:
    groups = {
        "groups": [f"CN=aen,ou=groups,{BASE}"],
        "admin_groups": [f"cn=bosses,ou=groups,{BASE}"],
        "staff_groups": [f"cn=bosses,ou=groups,{BASE}"],
    }
    async with served(tmp_path, login=login(directory, **groups)) as server:
        assert not (await enter(server, "ada", "ada's own word")).admin
        boss = await enter(server, "grace.hopper", "grace's own word")
        assert (boss.admin, boss.staff) == (True, True)
        with pytest.raises(Denied, match="none of the groups"):
            await enter(server, "eve", "eve's own word")
        with pytest.raises(NotSignedIn):
            await enter(server, "eve", "wrong")  # only who proved it is told of groups
        await server.domain.accounts.update(ROOT, "ada", UserPatch(admin=True, staff=True))
        ada = await enter(server, "ada", "ada's own word")
        assert (ada.admin, ada.staff) == (False, False)  # the groups say who administers


async def test_rules_of_the_first_login(directory: Slapd, tmp_path: Path) -> None:
    async with served(tmp_path / "1", login={**login(directory), "create": False}) as server:
        with pytest.raises(Denied, match="no account here yet"):
            await enter(server, "ada", "ada's own word")
    async with served(tmp_path / "2", login={**login(directory), "domains": ["ample.org"]}) as server:
        with pytest.raises(Denied, match="organisation"):
            await enter(server, "ada", "ada's own word")
    async with served(tmp_path / "3", login={**login(directory), "domains": ["Example.org"]}) as server:
        assert (await enter(server, "ada", "ada's own word")).id == "ada"


async def test_a_later_person_of_the_same_name_gets_nothing(directory: Slapd, tmp_path: Path) -> None:
    await directory.change(
        f"dn: uid=mary,ou=people,{BASE}\nchangetype: add\n" + person("mary", "first mary").partition("\n")[2]
    )
    async with served(tmp_path, login=login(directory)) as server:
        await enter(server, "mary", "first mary")
        await directory.change(f"dn: uid=mary,ou=people,{BASE}\nchangetype: delete\n")
        again = person("mary", "second mary").partition("\n")[2]
        await directory.change(f"dn: uid=mary,ou=people,{BASE}\nchangetype: add\n" + again)
        with pytest.raises(Denied, match="another person of that name"):
            await enter(server, "mary", "second mary")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"servers": []}, "servers is empty"),
        ({"servers": ["http://x"]}, "ldap://"),
        ({"bind_password": ""}, "anonymous"),
        ({"bind_dn": ""}, "bind directly"),
        ({"bind_dn": "", "user_dn": "uid=ada"}, "{name}"),
        ({"filter": "(objectClass=*)"}, "filter"),
        ({"base": ""}, "base"),
    ],
)
async def test_what_is_set_up_wrongly_is_refused_at_the_start(
    directory: Slapd, tmp_path: Path, options: dict[str, object], why: str
) -> None:
    with pytest.raises((AenError, Invalid), match=why):
        async with served(tmp_path, login=login(directory, **options)):
            pass


async def test_typed_with_a_domain(directory: Slapd, tmp_path: Path) -> None:
    async with served(tmp_path, login=login(directory, domains=["Example.org", "CORP"])) as server:
        assert (await enter(server, "ada@EXAMPLE.org", "ada's own word")).id == "ada"
        assert (await enter(server, "corp\\Ada", "ada's own word")).id == "ada"
        with pytest.raises(NotSignedIn):
            await enter(server, "other\\ada", "ada's own word")
